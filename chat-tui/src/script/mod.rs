//! Scripts: several users in one file, with expectations. The language is described in [`parse`].
//!
//! Each user is a [`Session`](crate::session::Session) with a folder of its own, against an embedded broker or another.

pub mod parse;
mod player;
mod run;
#[cfg(test)]
mod tests;

pub use parse::{ParseError, parse};
pub use run::{RunError, World, run};
