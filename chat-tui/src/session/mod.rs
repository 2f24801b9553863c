pub mod api;
pub mod protocol;
