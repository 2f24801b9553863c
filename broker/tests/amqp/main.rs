//! The broker over real sockets, one subject a module.

mod channels;
mod churn;
mod consume;
mod dead_letters;
mod exchanges;
mod failing_disk;
mod fairness;
mod frames;
mod harness;
mod large_bodies;
mod lifetime;
mod opening;
mod ownership;
mod permissions;
mod priorities;
mod proxy;
mod publish;
mod queue_types;
mod queues;
mod recovery;
mod replies;
mod settle;
mod tls;
mod transactions;
mod version_0_8;
mod web_socket;
