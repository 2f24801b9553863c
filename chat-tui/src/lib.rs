//! The terminal client of Warren: a session per user, and who shows it.
//!
//! Arrows mean "uses": `cli → {script, session, store, harmless}`, `script → {session, embedded}`, `session → store → session::{api, protocol}`; those two use
//! nothing of ours but `shared`.
//!
//! - [`session`]: one user signed in to one broker. Commands in, events out.
//! - [`store`]: the local state, in SQLite.
//! - [`cli`]: the headless commands.
//! - [`script`]: several users in one file, with expectations.
//! - [`embedded`]: a broker and friend servers inside this process; the only place that knows them.
//! - [`harmless`]: text from others, made safe for a terminal.

pub mod cli;
pub mod embedded;
pub mod harmless;
pub mod script;
pub mod session;
pub mod store;
pub mod tui;
