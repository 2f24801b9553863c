//! For tests of what is logged.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

thread_local! {
    /// What is logged on this thread, while somebody wants to know.
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct Heard;

impl Write for Heard {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                heard.extend_from_slice(octets);
            }
        });
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What was logged on this thread during `work`.
pub fn log_of(work: impl FnOnce()) -> String {
    // One for the whole process: where threads come first that have none, `tracing` notes that nobody listens.
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Heard).finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens");
    });
    HEARD.set(Some(Vec::new()));
    work();
    String::from_utf8(HEARD.take().unwrap_or_default()).unwrap()
}
