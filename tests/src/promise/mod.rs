//! The broker's promise, as a history that clients saw and the rules it must obey. Pure.
//!
//! Clients write down what they ask and what they are told, in one order ([`Event`]). A mandatory persistent publish
//! with confirms ends in exactly one of these ways:
//!
//! - returned and acked: there was no such queue; it is never delivered.
//! - acked: it is delivered at least once, unless its queue was deleted or purged.
//! - nacked: a queue refused it.
//! - unknown: the connection died first. Anything may have become of it, but nothing twice without a mark.
//!
//! [`check`] says what in a history breaks this.

mod check;
#[cfg(test)]
mod tests;

pub use check::{Summary, Violation, check};

/// A message; the upper 16 bits are its publisher, the lower its number there, counted up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u64);

impl MessageId {
    pub fn new(publisher: u16, number: u64) -> MessageId {
        MessageId(u64::from(publisher) << 48 | number)
    }

    pub fn publisher(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// A queue. Each is declared and deleted at most once: names are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueNumber(pub u32);

/// What a client asked (before it was sent) or was told (when it was read).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `queue.declare-ok`
    Declared(QueueNumber),
    /// `queue.delete` is about to be sent.
    Deleting(QueueNumber),
    /// `queue.delete-ok`
    Deleted(QueueNumber),
    /// `queue.purge` is about to be sent, by whom nothing of the queue is handed out to.
    Purging(QueueNumber),
    /// `queue.purge-ok`
    Purged(QueueNumber),
    /// The queue was looked for and is there.
    Present(QueueNumber),
    /// The queue was looked for and is not there.
    Absent(QueueNumber),
    /// A mandatory persistent `basic.publish` to the queue is about to be sent, on a channel with confirms.
    Publishing(MessageId, QueueNumber),
    Returned(MessageId),
    Acked(MessageId),
    Nacked(MessageId),
    /// The connection died before anything was heard.
    Unknown(MessageId),
    Delivered {
        message: MessageId,
        queue: QueueNumber,
        redelivered: bool,
        /// The body is what was published.
        intact: bool,
    },
    /// `basic.ack` for it is about to be sent.
    Settling(MessageId),
    /// `tx.commit-ok` for that ack.
    Settled(MessageId),
    /// `basic.nack` with requeue is about to be sent.
    Requeueing(MessageId),
    /// The broker was killed, and with it every connection. The next event is of its next life.
    Killed,
    /// The queue was emptied: everything in it was delivered since the last kill.
    Drained(QueueNumber),
}
