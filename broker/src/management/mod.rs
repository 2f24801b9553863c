//! What operators see and do: listings, and changes of users, vhosts and permissions on a running broker.
//!
//! - [`request`]: what can be asked, one enum for command line and wire.
//! - [`reply`]: how it is answered, line by line.
//! - [`control_socket`]: the broker's end of the unix socket in the data folder.
//! - [`execute`]: what each request does; [`list`] the listings.
//! - [`ctl`]: `broker ctl` and `broker top`, the other end.
//! - [`transfer`]: all definitions as a file, in RabbitMQ's shape.
//! - [`http`]: metrics, health and the listings for browsers and programs, where that is configured.
//!
//! Listings take a snapshot of references under a brief lock and then look at one thing at a time, so a listing of
//! a hundred thousand queues never holds anybody up.

mod amount;
mod control_socket;
pub mod ctl;
mod execute;
mod http;
mod limits;
mod list;
mod objects;
mod reply;
mod request;
mod show;
mod transfer;

pub use control_socket::ControlSocketError;
pub(crate) use control_socket::{ControlSocket, serve};
pub(crate) use http::serve as serve_http;
pub use transfer::LoadError;
pub(crate) use transfer::load as load_definitions;
