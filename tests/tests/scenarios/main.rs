//! Stories, told to the real binaries.

mod friendship;
