//! AMQP for chat, over `lapin`: connecting with errors a person can act on, and publishing that knows
//! what became of every message.
//!
//! Nothing here reconnects by itself. A [`Link`] is one connection; when its [`LinkState`] says `Down`,
//! throw it away and [`connect`] again after [`Backoff::failed`](crate::backoff::Backoff::failed). All
//! that was unconfirmed is published again under the same message ids.

mod confirms;
mod connect;
mod failure;
mod link;
mod publisher;
mod server;
mod uri;

pub use confirms::Outcome;
pub use connect::{ConnectError, Options, SignUp, connect};
pub use failure::Failure;
pub use link::{Link, LinkState};
pub use publisher::{Pending, PublishError, Publisher};
pub use server::Server;
pub use uri::{BrokerUri, UriError};

/// Directive for `tracing_subscriber::EnvFilter`. `lapin` logs returned messages whole, with queue names
/// and what people wrote; everything worth knowing comes as errors and is said by us.
pub const QUIET_LAPIN: &str = "lapin=off";
