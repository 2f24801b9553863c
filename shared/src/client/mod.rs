//! AMQP over `lapin`.
