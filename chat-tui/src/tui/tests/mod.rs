mod app;
mod fixture;
mod random;
mod reading;
mod screens;
mod surface;
mod writing;
