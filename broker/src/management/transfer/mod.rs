//! Definitions as files in RabbitMQ's shape: `export_definitions`, `import_definitions`, and what is loaded at the start.
//!
//! - [`document`]: what a file asks for; [`fields`] names what is wrong with it.
//! - [`check`]: whether all of it can be done here, before any of it is; [`room`]: as far as limits go.
//! - [`import`]: doing it; [`export`]: writing one.

mod check;
mod document;
mod export;
mod fields;
mod import;
mod room;

pub use document::password;
pub use export::export;
pub use fields::{Entry, Findings};
pub use import::{LoadError, import, load};
