pub mod session;
pub mod store;
