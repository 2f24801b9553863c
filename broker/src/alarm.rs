//! What makes the broker hold publishers back: a disk that is nearly full, memory above its watermark.
//!
//! Only connections that publish are held (they are no longer read from, and told `connection.blocked` if they
//! understand it); consumers keep draining. It ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::message::resident_bytes;
use crate::store::Store;

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Bodies leave memory from this share of the watermark on, so that stored messages never raise the alarm.
const PAGE_OUT_PERCENT: u64 = 50;

/// Publishers go on when memory has fallen to this share of the watermark.
const CLEAR_PERCENT: u64 = 90;

/// Why publishers are held; the texts are RabbitMQ's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    Memory,
    Disk,
}

impl Alarm {
    pub fn reason(self) -> &'static str {
        match self {
            Alarm::Memory => "low on memory",
            Alarm::Disk => "low on disk",
        }
    }
}

/// The alarm as it changes.
pub struct Alarms {
    raised: watch::Sender<Option<Alarm>>,
    memory_bytes_max: AtomicU64,
    /// [`PAGE_OUT_PERCENT`] of it, which is asked for with every message.
    page_out_bytes: AtomicU64,
    moved: Notify,
}

impl Alarms {
    pub fn new(memory_bytes_max: u64) -> Alarms {
        let alarms = Alarms {
            raised: watch::Sender::new(None),
            memory_bytes_max: AtomicU64::default(),
            page_out_bytes: AtomicU64::default(),
            moved: Notify::new(),
        };
        alarms.set_memory_bytes_max(memory_bytes_max);
        alarms
    }

    /// Moves the watermark, also while the alarm is looked after. With 0, publishers are held until it is moved again.
    pub fn set_memory_bytes_max(&self, bytes: u64) {
        self.memory_bytes_max.store(bytes, Ordering::Relaxed);
        self.page_out_bytes.store(bytes / 100 * PAGE_OUT_PERCENT, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// The watermark: bytes of messages in memory above which publishers are held.
    pub fn memory_bytes_max(&self) -> u64 {
        self.memory_bytes_max.load(Ordering::Relaxed)
    }

    /// Bytes of messages in memory above which bodies are let go.
    pub fn page_out_bytes(&self) -> u64 {
        self.page_out_bytes.load(Ordering::Relaxed)
    }

    pub fn raised(&self) -> Option<Alarm> {
        *self.raised.borrow()
    }

    pub fn watch(&self) -> watch::Receiver<Option<Alarm>> {
        self.raised.subscribe()
    }

    /// Looks after the alarm until the task is dropped.
    pub async fn run(self: Arc<Self>, store: Arc<Store>) {
        let mut disk = store.watch_blocked();
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = disk.changed() => {}
                () = self.moved.notified() => {}
            }
            let now = judge(self.raised(), store.blocked(), resident_bytes(), self.memory_bytes_max());
            let changed = self.raised.send_if_modified(|raised| std::mem::replace(raised, now) != now);
            match now {
                Some(alarm) if changed => tracing::warn!("publishers are held: {}", alarm.reason()),
                None if changed => tracing::info!("publishers may go on"),
                _ => {}
            }
        }
    }
}

fn judge(
    before: Option<Alarm>,
    disk_is_low: bool,
    memory_bytes: u64,
    memory_bytes_max: u64,
) -> Option<Alarm> {
    let memory_limit = match before {
        Some(Alarm::Memory) => memory_bytes_max / 100 * CLEAR_PERCENT,
        _ => memory_bytes_max,
    };
    if disk_is_low {
        Some(Alarm::Disk)
    } else if memory_bytes > memory_limit || memory_bytes_max == 0 {
        Some(Alarm::Memory)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_alarm_does_not_flutter() {
        assert_eq!(judge(None, false, 1000, 1000), None);
        assert_eq!(judge(None, false, 1001, 1000), Some(Alarm::Memory));
        assert_eq!(judge(Some(Alarm::Memory), false, 950, 1000), Some(Alarm::Memory));
        assert_eq!(judge(Some(Alarm::Memory), false, 900, 1000), None);
        assert_eq!(judge(None, true, 0, 1000), Some(Alarm::Disk));
    }

    #[test]
    fn a_watermark_of_zero_holds_publishers_though_there_is_no_message() {
        assert_eq!(judge(None, false, 0, 0), Some(Alarm::Memory));
        assert_eq!(judge(Some(Alarm::Memory), false, 0, 0), Some(Alarm::Memory));
        assert_eq!(judge(Some(Alarm::Memory), false, 0, 1), None);
    }
}
