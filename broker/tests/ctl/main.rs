//! `broker ctl` against a running broker, both as processes.

mod definitions;
#[path = "../amqp/harness/mod.rs"]
mod harness;
mod http;
mod http_changes;
mod http_paths;
mod limits;
mod listings;
mod operator;
mod policies;
mod process;
mod running;
mod tracing;
mod users;
mod vhosts;
