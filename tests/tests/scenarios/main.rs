//! Stories, told to the real binaries.

mod broker_crash;
mod broker_process;
mod durability;
mod friendship;
mod kill_loop;
mod messages;
mod presence;
mod protocol;
mod scripts;
mod sign_up;
mod tls;
mod unfriending;
mod workers;
