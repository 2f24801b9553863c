//! Deliveries of one channel that await acknowledgement, ordered by delivery tag. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::message::Resident;
use crate::queue::{Consumer, Entry, Queue};

const PLACE_BYTES: usize = size_of::<Option<UnackedDelivery>>() + size_of::<u64>();

/// A message that was handed out.
pub struct UnackedDelivery {
    pub tag: u64,
    pub queue: Arc<Queue>,
    pub entry: Entry,
    /// `None` for what `basic.get` fetched.
    pub consumer: Option<Arc<Consumer>>,
}

/// Handed out and not settled; tags only grow.
#[derive(Default)]
pub struct Unacked {
    deliveries: VecDeque<Option<UnackedDelivery>>,
    /// Tag of the first slot; slots are consecutive in tags except for gaps left by no-ack deliveries.
    tags: VecDeque<u64>,
    count: usize,
    with_consumer: u32,
    body_bytes: u64,
    /// What the places take: there may be thousands for one message.
    counted: Resident,
}

impl Unacked {
    pub fn push(&mut self, delivery: UnackedDelivery) {
        debug_assert!(self.tags.back().is_none_or(|&last| last < delivery.tag));
        self.count += 1;
        self.with_consumer += u32::from(delivery.consumer.is_some());
        self.body_bytes += u64::from(delivery.entry.body_len);
        self.tags.push_back(delivery.tag);
        self.deliveries.push_back(Some(delivery));
        self.count_places();
    }

    fn count_places(&mut self) {
        self.counted.set((self.deliveries.capacity() * PLACE_BYTES) as u64);
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Deliveries made to consumers; those fetched by `basic.get` do not count against prefetch.
    pub fn count_with_consumer(&self) -> u32 {
        self.with_consumer
    }

    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Takes the delivery with this tag, or with `multiple` all up to and including it (0: all).
    /// False when the tag is not outstanding (AMQP 0-9-1 §1.8.3.13).
    pub fn take(&mut self, tag: u64, multiple: bool, taken: &mut Vec<UnackedDelivery>) -> bool {
        if multiple {
            return self.take_up_to(tag, taken);
        }
        let at = if self.tags.front() == Some(&tag) { 0 } else { self.tags.partition_point(|&t| t < tag) };
        if self.tags.get(at) != Some(&tag) {
            return false;
        }
        let Some(delivery) = self.deliveries[at].take() else { return false };
        self.count_out(&delivery);
        taken.push(delivery);
        self.drop_settled_front();
        self.drop_gaps();
        true
    }

    fn take_up_to(&mut self, tag: u64, taken: &mut Vec<UnackedDelivery>) -> bool {
        if tag != 0 {
            let at = self.tags.partition_point(|&t| t < tag);
            if self.tags.get(at) != Some(&tag) || self.deliveries[at].is_none() {
                return false;
            }
        }
        while self.tags.front().is_some_and(|&first| tag == 0 || first <= tag) {
            self.tags.pop_front();
            if let Some(Some(delivery)) = self.deliveries.pop_front() {
                self.count_out(&delivery);
                taken.push(delivery);
            }
        }
        self.drop_settled_front();
        true
    }

    fn count_out(&mut self, delivery: &UnackedDelivery) {
        self.count -= 1;
        self.with_consumer -= u32::from(delivery.consumer.is_some());
        self.body_bytes -= u64::from(delivery.entry.body_len);
    }

    fn drop_settled_front(&mut self) {
        while self.deliveries.front().is_some_and(Option::is_none) {
            self.deliveries.pop_front();
            self.tags.pop_front();
        }
        if self.deliveries.is_empty() && self.deliveries.capacity() > 256 {
            self.deliveries = VecDeque::new();
            self.tags = VecDeque::new();
            self.count_places();
        }
    }

    /// A delivery that is never settled must not keep the places of all that were settled behind it.
    fn drop_gaps(&mut self) {
        if self.deliveries.len() > 2 * self.count + 64 {
            self.deliveries.retain(Option::is_some);
            self.tags = self.deliveries.iter().flatten().map(|delivery| delivery.tag).collect();
        }
    }

    /// Takes everything, oldest first.
    pub fn take_all(&mut self) -> Vec<UnackedDelivery> {
        let mut all = Vec::with_capacity(self.count);
        self.take_up_to(0, &mut all);
        all
    }

    /// Puts deliveries back that were taken and not settled after all.
    pub fn put_back(&mut self, deliveries: impl Iterator<Item = UnackedDelivery>) {
        let mut all: Vec<UnackedDelivery> = self.take_all();
        all.extend(deliveries);
        all.sort_unstable_by_key(|delivery| delivery.tag);
        for delivery in all {
            self.push(delivery);
        }
    }

    /// Every outstanding delivery, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &UnackedDelivery> {
        self.deliveries.iter().flatten()
    }
}
