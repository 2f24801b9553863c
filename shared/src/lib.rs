//! What the friend servers and the chat clients both speak: names, messages, and AMQP helpers.
//!
//! - [`topology`]: every exchange, queue and argument name, in one place.
//! - [`message`]: the chat messages as JSON bodies, and the AMQP properties that travel with them.
//! - [`client`]: connecting, and publishing with `mandatory` and confirms, over `lapin`.
//! - [`backoff`]: how long to wait before connecting again.

pub mod backoff;
pub mod client;
pub mod message;
pub mod topology;
