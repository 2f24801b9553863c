//! The broker over real sockets, one subject a module.

mod channels;
mod churn;
mod consume;
mod exchanges;
mod failing_disk;
mod frames;
mod harness;
mod lifetime;
mod opening;
mod ownership;
mod permissions;
mod publish;
mod queues;
mod recovery;
mod settle;
mod transactions;
