//! What the tests share: a broker on a free port with a folder of its own, and a client that speaks raw AMQP.
//!
//! A test reads as a transcript: `client.send(1, declare("q")); client.expect(1, declare_ok("q", 0, 0));`.
//! Nothing sleeps; every wait ends after [`PATIENCE`] with a panic that says what was waited for.

// Each test binary uses a part of it.
#![allow(dead_code, unused_imports)]

mod broker;
mod client;
mod content;
mod methods;
mod tls;
mod web_socket;

use std::time::{Duration, Instant};

pub use broker::{FULL, TestBroker};
pub use client::{Client, Login, PROTOCOL_HEADER, Received, Socket, encode, encode_content, frame};
pub use content::Content;
pub use methods::*;
pub use tls::*;
pub use web_socket::*;

/// No answer takes this long, not even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until a count is above a goal, as long as it grows at all: a busy machine is slow, a broker that is stuck stands.
pub fn grows_above(what: &str, goal: u64, count: impl Fn() -> u64) {
    let mut last = count();
    while last <= goal {
        eventually(what, || count() > last);
        last = count();
    }
}

/// Waits for something that the protocol does not announce.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::yield_now();
    }
}
