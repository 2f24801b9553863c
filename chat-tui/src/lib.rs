//! The terminal client of Warren: a session per user, and who shows it.
//!
//! Arrows mean "uses": `cli → {config, demo, tui, script, session, store, export, transcript, harmless}`, `config → tui`,
//! `demo → {tui, script, session, embedded}`, `script → {session, embedded}`,
//! `session → {export, store} → session::{api, protocol}`; those two use nothing of ours but `shared`.
//!
//! - [`session`]: one user signed in to one broker. Commands in, events out.
//! - [`store`]: the local state, in SQLite.
//! - [`cli`]: the headless commands.
//! - [`config`]: the config file.
//! - [`tui`]: the terminal user interface.
//! - [`demo`]: all of it in one process, for one person alone.
//! - [`script`]: several users in one file, with expectations.
//! - [`embedded`]: a broker and friend servers inside this process; the only place that knows them.
//! - [`export`]: a whole history in a file; [`transcript`]: messages as lines.
//! - [`harmless`]: text from others, made safe for a terminal.

pub mod cli;
pub mod config;
pub mod demo;
pub mod embedded;
pub mod export;
pub mod harmless;
pub mod script;
pub mod session;
pub mod store;
pub mod transcript;
pub mod tui;
