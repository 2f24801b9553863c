//! Spawns the real binaries, talks to them as people and clients do, kills them, and starts them again.
//!
//! - [`Broker`], [`FriendServer`], [`ChatUser`]: one process each (a `ChatUser` one for each command).
//! - [`terminal`]: somebody at the TUI, in a pty.
//! - [`Peer`]: a chat user at the level of messages.
//! - [`amqp`]: the same broker seen by a stock AMQP client.
//! - [`hostile`]: peers that do what no client should.
//! - [`tls`]: certificates for a broker.
//! - [`process`]: spawning, reading, ending. Everything that was started ends with its owner, and what it printed is
//!   shown if the test failed.
//! - [`eventually`]: waiting for what has no event to wait for.

pub mod amqp;
mod binaries;
mod broker;
mod chat_user;
mod friend_server;
pub mod hostile;
pub mod kill_loop;
mod peer;
pub mod process;
pub mod promise;
pub mod terminal;
pub mod tls;
mod world;

use std::time::{Duration, Instant};

pub use binaries::{Binary, workspace_root};
pub use broker::{Broker, BrokerConfig};
pub use chat_user::{ChatUser, Listener, Ran};
pub use friend_server::{FriendServer, secret_file};
pub use peer::{Mailbox, Peer};
pub use world::World;

/// How long anything may take before the test fails: generous, because it is waited for only when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again and again, until the answer is something. Fails after [`PATIENCE`], saying `what` did not happen.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
}
