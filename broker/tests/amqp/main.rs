//! The broker over real sockets, one subject a module.

mod channels;
mod frames;
mod harness;
mod opening;
mod ownership;
mod permissions;
