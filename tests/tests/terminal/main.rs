//! People at terminals: the real TUI in ptys, a real broker and friend server between them.

mod broken;
mod first_run;
mod looks;
mod talking;
