//! `broker ctl help`: the commands by what they are about.

use std::fmt::Write;

use clap::{Command, Subcommand};

use crate::management::request::{Act, List, Look, PolicyCommand, Run, Transfer, UserCommand, VhostCommand};

use super::local::Local;

/// clap would list all commands in one go; [`commands`] does it by group.
pub const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\nOptions:\n{options}";

const EXAMPLES: &str = "\
Examples:
  broker ctl status
  broker ctl list_queues name messages_ready messages_unacknowledged consumers
  broker ctl -p /shop list_queues --json
  broker ctl add_user alice                      asks for the password
  broker ctl set_permissions alice '^alice\\.' '^(alice\\.|amq\\.default$)' '^alice\\.'
  broker ctl list_connections pid name user && broker ctl close_connection 7 'maintenance'

It finds the broker by its data folder: give the same --data-dir or --config (or WARREN_DATA_DIR, WARREN_CONFIG) as to
the broker, and be the same user of the operating system, or root. Exit codes: 0 done, 1 refused or unhealthy, 2 wrong
usage, 69 no broker there. Listings go to standard output, everything else to standard error.";

/// Every command with its first line of help, and examples.
pub fn commands() -> String {
    let mut text = String::new();
    group::<Look>(&mut text, "How it is");
    group::<List>(&mut text, "Listings");
    group::<UserCommand>(&mut text, "Users");
    group::<VhostCommand>(&mut text, "Vhosts");
    group::<PolicyCommand>(&mut text, "Policies");
    group::<Act>(&mut text, "Queues and connections");
    group::<Transfer>(&mut text, "Definitions as files");
    group::<Run>(&mut text, "The broker itself");
    group::<Local>(&mut text, "Without asking it");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "`broker ctl help COMMAND` says more about one of them.\n");
    text.push_str(EXAMPLES);
    text
}

fn group<T: Subcommand>(text: &mut String, heading: &str) {
    let _ = writeln!(text, "{heading}:");
    for command in T::augment_subcommands(Command::new("group")).get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "  {:28}  {about}", command.get_name());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::ctl::Command as CtlCommand;

    #[test]
    fn every_command_is_in_the_help() {
        let text = commands();
        let all = CtlCommand::augment_subcommands(Command::new("all"));
        assert!(all.get_subcommands().count() > 30);
        for command in all.get_subcommands() {
            let line = text.lines().find(|line| line.split_whitespace().next() == Some(command.get_name()));
            assert!(line.is_some_and(|line| line.split_whitespace().count() > 2), "{}", command.get_name());
        }
    }
}
