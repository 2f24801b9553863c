//! The broker over real sockets, one subject a module.

mod channels;
mod consume;
mod exchanges;
mod frames;
mod harness;
mod opening;
mod ownership;
mod permissions;
mod queues;
mod settle;
