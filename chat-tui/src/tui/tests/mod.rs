mod app;
mod changing;
pub mod fixture;
mod random;
mod reading;
mod screens;
mod surface;
mod told;
mod writing;
