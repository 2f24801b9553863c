//! Kills the broker again and again under load, and checks that it kept its promise.
//!
//! `kill-loop --kills 1000` takes about half an hour; `--seed N` draws another course of events. With `--power` the
//! disk loses its power with each kill, so that syncs matter too; it takes root, for a loop device. Then
//! `--preload libeatmydata.so`, which makes syncs do nothing, is the control: it must lose messages.

use std::collections::BTreeMap;
use std::process::ExitCode;

use e2e::kill_loop::{Plan, run};

const USAGE: &str = "usage: kill-loop [--kills COUNT] [--seed SEED] [--power] [--preload LIBRARY]";
/// Of each kind of violation, in full.
const SHOWN: u64 = 3;

fn arguments() -> Result<Plan, String> {
    let mut plan =
        Plan { kills: 50, cuts_power: false, preload: None, seed: 1, life_events: (1, 8000), verbose: true };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--power" {
            plan.cuts_power = true;
            continue;
        }
        let value = words.next().ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
        let number = || value.parse().map_err(|_| format!("{word} needs a number, not '{value}'\n{USAGE}"));
        match word.as_str() {
            "--kills" => plan.kills = number()?,
            "--seed" => plan.seed = number()?,
            "--preload" => plan.preload = Some(value.into()),
            _ => return Err(format!("unknown argument {word}\n{USAGE}")),
        }
    }
    Ok(plan)
}

fn main() -> ExitCode {
    let plan = match arguments() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match run(plan) {
        Ok(summary) => {
            println!("{summary:#?}\nthe promise was kept");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            let mut counts = BTreeMap::<String, u64>::new();
            for (violation, events) in &broken.violations {
                let violation = violation.to_string();
                let kind = violation.split('(').next().unwrap_or_default();
                let count = counts.entry(kind.to_owned()).or_default();
                *count += 1;
                if *count <= SHOWN {
                    println!("{violation}");
                    events.iter().for_each(|event| println!("    {event:?}"));
                }
            }
            println!("the promise was broken {} times: {counts:?}", broken.violations.len());
            ExitCode::FAILURE
        }
    }
}
