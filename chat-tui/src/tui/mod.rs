//! The terminal user interface.
//!
//! ```text
//!   app (the loop) → terminal
//!    ├─ update ★ ──→ layer ★ ──→ model ★ → timeline ★, composer ★ → editor ★ → text ★
//!    ├─ plain ★ (the same model and update, without a screen)
//!    ├─ welcome (signing in, before there is a session)
//!    ├─ keys (what comes from the terminal, and signals)
//!    ├─ outside (an editor of the person's own), job (stopping, as a job of a shell)
//!    ├─ ground (whether the terminal is dark or light)
//!    └─ view ★ ────→ theme ★, layout ★, list ★, marks ★
//!              keymap ★ → action ★ (what can be done; the keys, the help and the commands come from it)
//! ```
//!
//! ★ = pure: no terminal, no tasks, no clock (time comes in as `now`). `update` changes the model and returns
//! what is to be done outside; `view` shows the model and changes nothing; `app` alone awaits.

mod action;
mod app;
mod complete;
mod composer;
mod doubtful;
mod editor;
mod ground;
mod job;
mod keymap;
mod keys;
mod kind;
mod layer;
mod layout;
mod list;
mod marks;
mod model;
mod notice;
mod outside;
mod plain;
mod preset;
mod selection;
mod settings;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod timeline;
mod update;
mod view;
mod welcome;

pub use action::{ACTIONS, Action, named};
pub use app::{TuiError, TuiOptions, run};
pub use keymap::{Keymap, Keys};
pub use kind::has_screen;
pub use notice::sentence;
pub use outside::open_link;
pub use plain::{Plain, Said, Turn};
pub use preset::Preset;
pub use settings::{Desktop, Notify, Settings};
pub use terminal::clipboard;
pub use theme::{Look, Overrides};
pub use welcome::{Choice, Defaults, Gate, Refusal, welcome};
