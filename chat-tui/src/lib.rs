//! The terminal client of Warren: a session per user, and who shows it.
//!
//! Arrows mean "uses": `cli → {session, store, harmless}`, `session → store → session::{api, protocol}`; those two use
//! nothing of ours but `shared`.
//!
//! - [`session`]: one user signed in to one broker. Commands in, events out.
//! - [`store`]: the local state, in SQLite.
//! - [`cli`]: the headless commands.
//! - [`harmless`]: text from others, made safe for a terminal.

pub mod cli;
pub mod harmless;
pub mod session;
pub mod store;
pub mod tui;
