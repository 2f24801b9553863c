//! What a broker is started with beside its configuration, and what it says while it starts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::fs::{Fs, RealFs};
use crate::store::{OnProgress, Recovering};

/// How often recovery says in the log how far it is.
const LOG_INTERVAL: Duration = Duration::from_secs(2);

/// The defaults are what everybody wants but tests and terminals.
#[derive(Clone)]
pub struct Surroundings {
    /// Where the message log is written.
    pub fs: Arc<dyn Fs>,
    /// Told how far the recovery of messages has got.
    pub on_progress: OnProgress,
    /// For operators; `None` where the broker is a part of another program.
    pub process: Option<Arc<dyn Process>>,
}

/// The process that is the broker, as far as an operator may change it.
pub trait Process: Send + Sync {
    /// Ends the broker in good order, and the process with it; returns before that.
    fn stop(&self);

    /// Logs what these directives say (`info`, `warn,broker::auth=debug`), until the end.
    fn set_log(&self, directives: &str) -> Result<(), String>;
}

impl Default for Surroundings {
    fn default() -> Surroundings {
        Surroundings { fs: Arc::new(RealFs), on_progress: OnProgress::default(), process: None }
    }
}

/// Passes progress on, and logs it now and then.
pub(super) fn logged(on_progress: OnProgress) -> OnProgress {
    let said = Mutex::new(Instant::now());
    OnProgress(Arc::new(move |now: Recovering| {
        (on_progress.0)(now);
        let mut said = said.lock();
        if said.elapsed() >= LOG_INTERVAL {
            *said = Instant::now();
            let percent = now.bytes * 100 / now.bytes_total.max(1);
            tracing::info!(
                "recovering messages: {percent} % of {} MiB read, {} messages so far",
                now.bytes_total >> 20,
                now.messages
            );
        }
    }))
}
