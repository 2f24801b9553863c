//! A bar on the terminal while messages are recovered, and log lines that do not run into it.

use std::io::{self, Write};

use broker::store::{OnProgress, Recovering};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// Draws nothing where standard error is no terminal, or while there is nothing to say. Clones are the same bar.
#[derive(Clone)]
pub struct RecoveryBar(ProgressBar);

impl RecoveryBar {
    pub fn new() -> RecoveryBar {
        let bar = ProgressBar::no_length();
        let template =
            "recovering messages [{wide_bar}] {percent} % of {total_bytes}, {msg} so far, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        RecoveryBar(bar)
    }

    pub fn on_progress(&self) -> OnProgress {
        let bar = self.0.clone();
        OnProgress(std::sync::Arc::new(move |now: Recovering| {
            bar.set_length(now.bytes_total);
            bar.set_message(HumanCount(now.messages).to_string());
            bar.set_position(now.bytes);
        }))
    }

    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Standard error, with the bar out of the way.
impl Write for RecoveryBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for RecoveryBar {
    type Writer = RecoveryBar;

    fn make_writer(&'a self) -> RecoveryBar {
        self.clone()
    }
}
