//! A complete AMQP 0-9-1 broker. It does not know that chat exists.

pub mod amqp;
pub mod auth;
pub mod config;
pub mod definitions;
pub mod message;
pub mod store;
