//! Where to look for what a queue's next message needs besides the queue: hints, to be fetched ahead.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::prefetch::{prefetch_arc, prefetch_first};

use super::Consumer;

/// Never followed: what was there may be gone.
#[derive(Default)]
pub struct Nearby {
    consumer: AtomicPtr<Consumer>,
    tag: AtomicPtr<u8>,
}

impl Nearby {
    /// This is the consumer that gets everything now.
    pub fn set(&self, consumer: Option<&Arc<Consumer>>) {
        let (consumer, tag) = match consumer {
            Some(consumer) => (Arc::as_ptr(consumer).cast_mut(), consumer.tag.as_ptr().cast_mut()),
            None => (ptr::null_mut(), ptr::null_mut()),
        };
        self.consumer.store(consumer, Ordering::Relaxed);
        self.tag.store(tag, Ordering::Relaxed);
    }

    #[inline]
    pub fn prefetch(&self) {
        prefetch_arc(self.consumer.load(Ordering::Relaxed).cast_const());
        prefetch_first(self.tag.load(Ordering::Relaxed).cast_const());
    }
}
