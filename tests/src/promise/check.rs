//! Whether a history keeps the promise.

use std::collections::HashMap;
use std::fmt;

use super::{Event, MessageId, QueueNumber};

/// What broke the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Confirmed, and never delivered, nor deleted or purged with its queue.
    Lost(MessageId),
    /// Confirmed and never acknowledged by a consumer, and not in the queue at the end.
    LostAfterDelivery(MessageId),
    /// Acked, nacked or unknown twice, or returned after that.
    TwoOutcomes(MessageId),
    NoOutcome(MessageId),
    /// Returned although nobody had asked to delete its queue.
    ReturnedFromQueue(MessageId),
    DeliveredAfterReturn(MessageId),
    /// Published after delete-ok, and confirmed without a return.
    ConfirmedIntoNothing(MessageId),
    /// Nobody published it, or to another queue.
    Invented(MessageId),
    Damaged(MessageId),
    /// Delivered once more without the mark.
    UnmarkedDuplicate(MessageId),
    /// Marked although nobody can have had it before.
    MarkedForNothing(MessageId),
    /// Delivered once more in the life of the broker that was sent its ack.
    AckForgotten(MessageId),
    /// Delivered once more after tx.commit-ok of its ack.
    AckCameBack(MessageId),
    /// Delivered in a later life than the delete-ok or purge-ok that took it.
    CameBack(MessageId),
    /// Delivered for the first time behind a later one of its publisher.
    OutOfOrder(MessageId),
    QueueLost(QueueNumber),
    QueueCameBack(QueueNumber),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What a history went through, to see that it went through anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub published: u64,
    pub confirmed: u64,
    pub returned: u64,
    pub nacked: u64,
    pub unknown: u64,
    pub deliveries: u64,
    /// Deliveries of what had been delivered before; all of them marked.
    pub duplicates: u64,
    pub settled_in_transactions: u64,
    pub queues: u64,
    pub queues_deleted: u64,
    pub purges: u64,
    pub kills: u64,
}

/// Counts the broker's lives.
type Life = u64;

#[derive(Default)]
struct Message {
    queue: Option<QueueNumber>,
    published_in: Life,
    /// Its queue was known to be deleted when it was published.
    into_nothing: bool,
    returned: bool,
    outcome: bool,
    confirmed: bool,
    delivered: bool,
    delivered_in: Life,
    settling_in: Option<Life>,
    settled: bool,
    /// The life of a purge-ok that must have taken it.
    purged_in: Option<Life>,
    /// A purge that may have taken it.
    maybe_purged: bool,
}

#[derive(Default)]
struct Queue {
    deleting: bool,
    deleted_in: Option<Life>,
    drained_in: Option<Life>,
    /// Confirmed before the purge that is under way.
    purging: Vec<MessageId>,
    messages: Vec<MessageId>,
    /// The last message of each publisher that was delivered without a mark.
    latest: HashMap<u16, MessageId>,
}

#[derive(Default)]
struct Checker {
    life: Life,
    messages: HashMap<MessageId, Message>,
    queues: HashMap<QueueNumber, Queue>,
    violations: Vec<Violation>,
    summary: Summary,
}

/// What the history went through, or everything in it that breaks the promise.
pub fn check(history: &[Event]) -> Result<Summary, Vec<Violation>> {
    let mut checker = Checker::default();
    history.iter().for_each(|&event| checker.event(event));
    checker.finish();
    if checker.violations.is_empty() { Ok(checker.summary) } else { Err(checker.violations) }
}

impl Checker {
    fn event(&mut self, event: Event) {
        match event {
            Event::Declared(queue) => {
                self.queues.entry(queue).or_default();
                self.summary.queues += 1;
            }
            Event::Deleting(queue) => self.queue(queue).deleting = true,
            Event::Deleted(queue) => {
                self.queue(queue).deleted_in = Some(self.life);
                self.summary.queues_deleted += 1;
            }
            Event::Purging(queue) => self.purging(queue),
            Event::Purged(queue) => self.purged(queue),
            Event::Present(queue) => {
                if self.queue(queue).deleted_in.is_some() {
                    self.violations.push(Violation::QueueCameBack(queue));
                }
            }
            Event::Absent(queue) => {
                if !self.queue(queue).deleting {
                    self.violations.push(Violation::QueueLost(queue));
                }
            }
            Event::Publishing(message, queue) => self.publishing(message, queue),
            Event::Returned(message) => self.returned(message),
            Event::Acked(message) => self.acked(message),
            Event::Nacked(message) => {
                self.outcome(message);
                self.summary.nacked += 1;
            }
            Event::Unknown(message) => {
                self.outcome(message);
                self.summary.unknown += 1;
            }
            Event::Delivered { message, queue, redelivered, intact } => {
                self.delivered(message, queue, redelivered, intact);
            }
            Event::Settling(message) => self.message(message).settling_in = Some(self.life),
            Event::Settled(message) => {
                self.message(message).settled = true;
                self.summary.settled_in_transactions += 1;
            }
            // It comes again, marked: that much is checked for every duplicate.
            Event::Requeueing(_) => {}
            Event::Killed => {
                self.life += 1;
                self.summary.kills += 1;
            }
            Event::Drained(queue) => self.queue(queue).drained_in = Some(self.life),
        }
    }

    fn queue(&mut self, queue: QueueNumber) -> &mut Queue {
        self.queues.entry(queue).or_default()
    }

    fn message(&mut self, message: MessageId) -> &mut Message {
        self.messages.entry(message).or_default()
    }

    fn publishing(&mut self, message: MessageId, number: QueueNumber) {
        let queue = self.queue(number);
        queue.messages.push(message);
        let into_nothing = queue.deleted_in.is_some();
        let published_in = self.life;
        let new = Message { queue: Some(number), published_in, into_nothing, ..Message::default() };
        self.messages.insert(message, new);
        self.summary.published += 1;
    }

    fn returned(&mut self, message: MessageId) {
        let Some(queue) = self.message(message).queue else {
            return self.violations.push(Violation::Invented(message));
        };
        if !self.queue(queue).deleting {
            self.violations.push(Violation::ReturnedFromQueue(message));
        }
        let state = self.message(message);
        // The return comes first.
        let late = state.outcome;
        state.returned = true;
        let delivered = state.delivered;
        if late {
            self.violations.push(Violation::TwoOutcomes(message));
        }
        if delivered {
            self.violations.push(Violation::DeliveredAfterReturn(message));
        }
        self.summary.returned += 1;
    }

    fn acked(&mut self, message: MessageId) {
        self.outcome(message);
        let state = self.message(message);
        state.confirmed = true;
        if state.into_nothing && !state.returned {
            self.violations.push(Violation::ConfirmedIntoNothing(message));
        }
        self.summary.confirmed += 1;
    }

    fn outcome(&mut self, message: MessageId) {
        if std::mem::replace(&mut self.message(message).outcome, true) {
            self.violations.push(Violation::TwoOutcomes(message));
        }
    }

    fn purging(&mut self, number: QueueNumber) {
        let Some(queue) = self.queues.get_mut(&number) else { return };
        queue.purging.clear();
        for id in &queue.messages {
            let Some(message) = self.messages.get_mut(id) else { continue };
            message.maybe_purged = true;
            if message.confirmed && message.settling_in.is_none() {
                queue.purging.push(*id);
            }
        }
        self.summary.purges += 1;
    }

    fn purged(&mut self, number: QueueNumber) {
        let life = self.life;
        for id in std::mem::take(&mut self.queue(number).purging) {
            self.message(id).purged_in = Some(life);
        }
    }

    fn delivered(&mut self, id: MessageId, number: QueueNumber, redelivered: bool, intact: bool) {
        self.summary.deliveries += 1;
        let life = self.life;
        let deleted_in = self.queue(number).deleted_in;
        let message = self.message(id);
        if message.queue != Some(number) {
            return self.violations.push(Violation::Invented(id));
        }
        // In the life of the delete-ok itself, deliveries may have been under way.
        let gone_in = [deleted_in, message.purged_in].into_iter().flatten().min();
        let again = message.delivered;
        let rules = [
            (!intact, Violation::Damaged(id)),
            (message.returned, Violation::DeliveredAfterReturn(id)),
            (gone_in.is_some_and(|gone| life > gone), Violation::CameBack(id)),
            (message.settled, Violation::AckCameBack(id)),
            (message.settling_in == Some(life), Violation::AckForgotten(id)),
            (again && !redelivered, Violation::UnmarkedDuplicate(id)),
            (!again && redelivered && message.published_in == life, Violation::MarkedForNothing(id)),
        ];
        message.delivered = true;
        message.delivered_in = life;
        self.violations
            .extend(rules.into_iter().filter(|(broken, _)| *broken).map(|(_, violation)| violation));
        self.summary.duplicates += u64::from(again);
        if !redelivered {
            let latest = self.queue(number).latest.insert(id.publisher(), id);
            if latest.is_some_and(|latest| latest >= id) {
                self.violations.push(Violation::OutOfOrder(id));
            }
        }
    }

    fn finish(&mut self) {
        let mut ids: Vec<MessageId> = self.messages.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let message = &self.messages[&id];
            let Some(queue) = message.queue.and_then(|queue| self.queues.get(&queue)) else { continue };
            if !message.outcome {
                self.violations.push(Violation::NoOutcome(id));
            }
            let excused = queue.deleting || message.maybe_purged;
            if !message.confirmed || message.returned || excused {
                continue;
            }
            if !message.delivered {
                self.violations.push(Violation::Lost(id));
            } else if message.settling_in.is_none()
                && queue.drained_in == Some(self.life)
                && message.delivered_in != self.life
            {
                self.violations.push(Violation::LostAfterDelivery(id));
            }
        }
    }
}
