pub mod session;
pub mod store;
pub mod tui;
