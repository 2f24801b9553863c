//! The broker over real sockets, one subject a module.

mod harness;
mod opening;
mod ownership;
