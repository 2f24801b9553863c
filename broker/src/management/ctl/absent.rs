//! Commands of `rabbitmqctl` and `rabbitmq-diagnostics` that are not here: why, and what to use instead. Pure.

use clap::error::{ContextKind, ContextValue, ErrorKind};

const NO_CLUSTER: &str = "a broker is one process, and there are no clusters. `status` says how it is";
const NO_MIRRORS: &str =
    "queues have no mirrors: a broker is one process, and what it confirmed is on its disk";
const NO_APPLICATION: &str =
    "the broker is one program, not an application in a node. `stop` ends it; start it as you did before";
const NO_RESET: &str = "nothing here throws all messages, queues and users away. Stop the broker (`stop`) and start \
                        it with another --data-dir, or move the old folder away";
const NO_ERLANG: &str = "the broker runs no Erlang";
const NO_CODING: &str = "the configuration has no encrypted values. Passwords of users are not in it; they are stored \
                         as argon2id hashes";
const NO_PARAMETERS: &str = "there are no shovels, federation or other plugins that would read parameters. See \
                             set_policy, set_vhost_limits and set_user_limits";
const NO_FLAGS: &str = "every feature is always on. A newer version converts the data folder by itself";
const NO_PLUGINS: &str = "there are no plugins: what is built in is on, or is turned on in the configuration (`broker \
                          --print-default-config`)";
const NO_STREAMS: &str = "there are no streams here; classic and quorum queues keep what they are given";
const NO_OTHER_PROTOCOLS: &str = "the broker speaks AMQP 0-9-1 and 0-8; list_connections has them all";
const HEALTH: &str = "see `health`, which exits with 1 and says why if something is wrong, and `status`";
const STATUS: &str = "see `status`, which has it";

/// Names with what is to be said of them.
const ABSENT: &[(&[&str], &str)] = &[
    (
        &[
            "cluster_status",
            "join_cluster",
            "change_cluster_node_type",
            "forget_cluster_node",
            "rename_cluster_node",
            "update_cluster_nodes",
            "await_online_nodes",
            "force_boot",
            "set_cluster_name",
        ],
        NO_CLUSTER,
    ),
    (&["sync_queue", "cancel_sync_queue"], NO_MIRRORS),
    (&["start_app", "stop_app"], NO_APPLICATION),
    (&["reset", "force_reset"], NO_RESET),
    (&["eval", "eval_file", "exec", "force_gc", "hipe_compile", "erlang_version", "schema_info"], NO_ERLANG),
    (&["encode", "decode", "list_ciphers", "list_hashes", "encrypt_conf_value"], NO_CODING),
    (
        &[
            "set_parameter",
            "clear_parameter",
            "list_parameters",
            "set_global_parameter",
            "clear_global_parameter",
            "list_global_parameters",
            "shovel_status",
            "delete_shovel",
            "restart_shovel",
            "federation_status",
            "restart_federation_link",
        ],
        NO_PARAMETERS,
    ),
    (&["enable_feature_flag", "list_feature_flags", "list_deprecated_features"], NO_FLAGS),
    (&["enable", "disable", "plugins", "list_plugins"], NO_PLUGINS),
    (
        &["add_super_stream", "delete_super_stream", "list_stream_connections", "list_stream_consumers"],
        NO_STREAMS,
    ),
    (&["list_mqtt_connections", "list_stomp_connections", "list_amqp10_connections"], NO_OTHER_PROTOCOLS),
    (
        &[
            "node_health_check",
            "check_running",
            "check_local_alarms",
            "check_alarms",
            "alarms",
            "check_virtual_hosts",
            "check_port_connectivity",
            "check_port_listener",
            "check_protocol_listener",
            "is_running",
            "is_booting",
            "list_unresponsive_queues",
        ],
        HEALTH,
    ),
    (&["listeners", "memory_breakdown", "server_version", "disk_alarms", "os_env", "report"], STATUS),
    (
        &["environment"],
        "`broker --print-default-config` has every setting with its meaning, `status` what counts now",
    ),
    (&["wait"], "there is no file to watch. See `await_startup`"),
    (&["rotate_logs"], "the log goes to standard error, and whoever started the broker keeps it"),
    (
        &["log_tail", "log_tail_stream"],
        "the log goes to standard error; bind a queue to exchange amq.rabbitmq.log to read along",
    ),
    (&["restart_vhost"], "vhosts do not fail by themselves. If the message log failed, `health` says so"),
    (
        &["suspend_listeners", "resume_listeners", "maintenance_status", "drain", "revive"],
        "there is no other broker that clients could go to meanwhile. `close_all_connections` and `stop` are there",
    ),
    (&["list_node_auth_attempt_stats"], "logins that failed are in the log, and slowed down by themselves"),
    (&["autocomplete"], "`broker ctl help` lists the commands"),
];

/// What to say instead of clap's error, if somebody asked for one of these.
pub fn explanation(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(command)) => why(command),
        _ => None,
    }
}

fn why(command: &str) -> Option<String> {
    let (_, reason) = ABSENT.iter().find(|(names, _)| names.contains(&command))?;
    Some(format!("there is no {command}: {reason}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Cli;

    fn asked(command: &str) -> clap::Error {
        Cli::try_parse_from(["broker", "ctl", command]).expect_err("no such command")
    }

    #[test]
    fn who_asks_for_what_is_not_here_learns_why() {
        for (names, _) in ABSENT {
            for name in *names {
                let text = explanation(&asked(name));
                assert!(
                    text.is_some_and(|text| text.starts_with(&format!("there is no {name}: "))),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_typing_error_is_claps_to_explain() {
        assert_eq!(explanation(&asked("list_quues")), None);
        assert!(asked("list_quues").to_string().contains("list_queues"));
    }
}
