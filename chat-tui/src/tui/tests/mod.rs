mod app;
mod changing;
mod fixture;
mod random;
mod reading;
mod screens;
mod surface;
mod writing;
