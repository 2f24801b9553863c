//! A complete AMQP 0-9-1 broker. It does not know that chat exists.

mod alarm;
pub mod amqp;
pub mod auth;
mod broker;
mod capacity;
mod client_log;
mod clock;
pub mod config;
mod connection;
pub mod definitions;
mod delivery_counts;
pub mod error;
mod firehose;
mod health;
mod log_exchange;
pub mod management;
pub mod message;
mod outbox;
mod output;
mod overdue;
mod pager;
mod policy;
mod prefetch;
mod queue;
mod server;
pub mod store;
pub mod store_command;
mod striped;
#[cfg(test)]
mod test_log;
mod timer;
mod tls;
mod unacked;
mod vhost;
mod waiting;

pub use alarm::Alarm;
pub use broker::{Broker, Process, StartError, Surroundings, VhostError};
pub use health::Ailment;
pub use log_exchange::{LogLayer, LogLines, log_layer};
pub use server::RunningBroker;

/// Pure parts by themselves, for the benchmarks: nothing to build on.
#[doc(hidden)]
pub mod internals {
    pub use crate::queue::Backlog;
    pub use crate::vhost::routing::{Identify, Kind, Router};
}
