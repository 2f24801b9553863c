//! The messages of one queue, in order. Pure: no locks, no clock, no files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::deadlines::{Deadline, Deadlines};
use super::ready::Ready;
use super::tally::Tally;
use crate::message::Message;

/// A message as one queue holds it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Position in the queue; increases with every message that enters it.
    pub seq: u64,
    /// The message, or `None` while it is only on disk.
    pub message: Option<Message>,
    /// When the message expires, in milliseconds since the epoch; 0 is never.
    pub expires_at_ms: u64,
    /// Body bytes.
    pub body_len: u32,
    /// It was handed out before, or may have been.
    pub redelivered: bool,
    /// The store has, or will have, a record of it.
    pub stored: bool,
    /// The body was read back from disk, and can be again.
    pub(super) from_disk: bool,
    /// Expired or dropped; skipped when its turn comes.
    pub(super) gone: bool,
}

impl Entry {
    /// As recovery and paging leave it. `Ready` packs entries that are just this, but for their deadline.
    pub fn only_on_disk(seq: u64, body_len: u32, redelivered: bool) -> Entry {
        Entry {
            seq,
            message: None,
            expires_at_ms: 0,
            body_len,
            redelivered,
            stored: true,
            from_disk: false,
            gone: false,
        }
    }

    /// A message that was in no queue, as an entry.
    pub fn passing(message: Message) -> Entry {
        let body_len = message.body().len() as u32;
        Entry { message: Some(message), stored: false, ..Entry::only_on_disk(0, body_len, false) }
    }

    /// Leaves an entry that is gone, and gives what it was.
    pub(super) fn take(&mut self) -> Option<Entry> {
        if self.gone {
            return None;
        }
        let entry = self.clone();
        self.gone = true;
        self.message = None;
        Some(entry)
    }

    /// Whether it makes no difference which of the two is kept. Every field counts but `from_disk`, which says
    /// something about a body in memory.
    pub fn is_same(&self, other: &Entry) -> bool {
        let Entry { seq, message, expires_at_ms, body_len, redelivered, stored, from_disk: _, gone } = self;
        message.is_none()
            && other.message.is_none()
            && (*seq, *expires_at_ms, *body_len) == (other.seq, other.expires_at_ms, other.body_len)
            && (*redelivered, *stored, *gone) == (other.redelivered, other.stored, other.gone)
    }

    /// The body has been read from disk.
    pub fn set_body_from_disk(&mut self, message: Message) {
        self.message = Some(message);
        self.from_disk = true;
    }

    /// Once it is handed out, its body is not kept in memory.
    #[inline]
    pub fn is_from_disk(&self) -> bool {
        self.from_disk
    }

    /// Handed out: a body that came from disk is read again if the message comes back. Else a consumer that
    /// never acknowledges would bring all that is stored into memory.
    pub fn let_go_of_body(&mut self) {
        if self.from_disk {
            self.message = None;
        }
    }

    /// Its body is not kept in memory if the store has it on disk.
    pub(super) fn let_go_of_stored_body(&mut self) {
        if self.stored && self.message.as_ref().is_some_and(|message| message.disk.is_written()) {
            self.message = None;
        }
    }
}

/// Ready messages of a queue, ordered by position.
#[derive(Debug, Default)]
pub struct Backlog {
    ready: Ready,
    /// Messages that came back (requeued); always taken first where their position is lower.
    returned: BTreeMap<u64, Entry>,
    /// Of ready messages that expire; few queues have any.
    expiring: Option<Box<Deadlines>>,
    gone: usize,
    next_seq: u64,
    body_bytes: u64,
    /// Those that the store has, or will have.
    stored: Tally,
    /// Those whose bodies are in memory.
    in_memory: Tally,
    /// Messages before this position were looked at for paging out.
    paged_to: u64,
}

impl Backlog {
    /// Messages ready for delivery.
    pub fn len(&self) -> usize {
        self.ready.len() - self.gone + self.returned.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    pub fn stored(&self) -> Tally {
        self.stored
    }

    pub fn in_memory(&self) -> Tally {
        self.in_memory
    }

    /// The position that the next message gets.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    pub fn set_next_seq(&mut self, seq: u64) {
        self.next_seq = self.next_seq.max(seq);
    }

    /// A message that has just come, with the next position: to be handed out at once, or appended.
    #[inline]
    pub fn admit(&mut self, message: Message, expires_at_ms: u64, stored: bool) -> Entry {
        let seq = self.next_seq;
        self.next_seq += 1;
        let body_len = message.body().len() as u32;
        Entry {
            seq,
            message: Some(message),
            expires_at_ms,
            body_len,
            redelivered: false,
            stored,
            from_disk: false,
            gone: false,
        }
    }

    /// Puts what was admitted last to the end.
    #[inline]
    pub fn append(&mut self, entry: Entry) {
        debug_assert_eq!(entry.seq + 1, self.next_seq);
        self.push_entry(entry);
    }

    /// Appends a message and returns its position.
    pub fn push(&mut self, message: Message, expires_at_ms: u64, stored: bool) -> u64 {
        let entry = self.admit(message, expires_at_ms, stored);
        let seq = entry.seq;
        self.append(entry);
        seq
    }

    /// Appends a message that the store gave back at start-up. Positions must come in increasing order.
    pub fn push_recovered(&mut self, seq: u64, body_len: u32, expires_at_ms: u64, redelivered: bool) {
        debug_assert!(self.ready.back_seq().is_none_or(|last| last < seq));
        self.push_entry(Entry { expires_at_ms, ..Entry::only_on_disk(seq, body_len, redelivered) });
    }

    fn push_entry(&mut self, entry: Entry) {
        self.next_seq = entry.seq + 1;
        self.count_in(&entry);
        self.ready.push_back(entry);
    }

    /// Puts a message back to where it was.
    pub fn requeue(&mut self, mut entry: Entry) {
        entry.redelivered = true;
        self.count_in(&entry);
        self.returned.insert(entry.seq, entry);
    }

    fn count_in(&mut self, entry: &Entry) {
        self.body_bytes += u64::from(entry.body_len);
        if entry.stored {
            self.stored.add(entry.body_len);
        }
        if entry.message.is_some() {
            self.in_memory.add(entry.body_len);
        }
        if entry.expires_at_ms != 0 {
            self.expiring.get_or_insert_default().insert((entry.expires_at_ms, entry.seq));
        }
    }

    fn count_out(&mut self, entry: &Entry) {
        self.body_bytes -= u64::from(entry.body_len);
        if entry.stored {
            self.stored.remove(entry.body_len);
        }
        if entry.message.is_some() {
            self.in_memory.remove(entry.body_len);
        }
        if entry.expires_at_ms != 0
            && let Some(expiring) = &mut self.expiring
        {
            expiring.remove((entry.expires_at_ms, entry.seq));
            if expiring.first().is_none() {
                self.expiring = None;
            }
        }
    }

    fn skip_gone(&mut self) {
        while self.ready.front().is_some_and(|entry| entry.gone) {
            self.ready.pop_front();
            self.gone -= 1;
        }
    }

    fn returned_is_first(&self) -> bool {
        match (self.returned.first_key_value(), self.ready.front()) {
            (Some((&seq, _)), Some(front)) => seq < front.seq,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// The message whose turn it is.
    pub fn peek(&self) -> Option<&Entry> {
        if self.returned_is_first() {
            self.returned.first_key_value().map(|(_, entry)| entry)
        } else {
            self.ready.front()
        }
    }

    pub fn pop(&mut self) -> Option<Entry> {
        let entry = if self.returned_is_first() {
            self.returned.pop_first().map(|(_, entry)| entry)
        } else {
            let entry = self.ready.pop_front();
            self.skip_gone();
            entry
        }?;
        self.count_out(&entry);
        Some(entry)
    }

    /// When the next message expires, in milliseconds since the epoch.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        self.next_deadline().map(|(at, _)| at)
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.expiring.as_ref().and_then(|expiring| expiring.first())
    }

    /// Takes out messages whose time has come, wherever they stand, oldest deadline first, at most `count_max`.
    pub fn expire(&mut self, now_ms: u64, count_max: usize) -> Vec<Entry> {
        let mut expired = Vec::new();
        while let Some((at, seq)) = self.next_deadline() {
            if at > now_ms || expired.len() == count_max {
                break;
            }
            let Some(entry) = self.take(seq) else {
                debug_assert!(false, "expiring message {seq} is not in the queue");
                break;
            };
            expired.push(entry);
        }
        expired
    }

    /// The first message from a position on. Where the head was set aside it may be in the middle; else only
    /// positions before the head may be asked for.
    pub fn first_from(&self, seq: u64) -> Option<&Entry> {
        let returned = self.returned.range(seq..).next().map(|(_, entry)| entry);
        let ready = self.ready.front().filter(|entry| entry.seq >= seq);
        returned.into_iter().chain(ready).min_by_key(|entry| entry.seq)
    }

    /// Puts the head of what has not come back yet among what has: it stays where it is, but what is behind it is the
    /// head now.
    pub fn set_aside(&mut self, seq: u64) {
        if self.ready.front().is_some_and(|entry| entry.seq == seq)
            && let Some(entry) = self.ready.pop_front()
        {
            self.returned.insert(seq, entry);
            self.skip_gone();
        }
    }

    /// Takes the message at a position out of the middle.
    pub fn take(&mut self, seq: u64) -> Option<Entry> {
        let entry = if let Some(entry) = self.returned.remove(&seq) {
            entry
        } else {
            let entry = self.ready.take(seq)?;
            self.gone += 1;
            entry
        };
        self.count_out(&entry);
        self.skip_gone();
        Some(entry)
    }

    /// Positions of the next messages that are only on disk, from a position on, in order, at most `count_max` and
    /// about `bytes_max` of bodies (at least one).
    pub fn next_on_disk(&self, from: u64, count_max: usize, bytes_max: u64) -> Vec<u64> {
        let mut bytes = 0;
        let from_returned = self.returned.range(from..).map(|(_, entry)| Cow::Borrowed(entry));
        let from_ready = self.ready.iter().filter(|entry| !entry.gone);
        let mut seqs = Vec::new();
        for entry in from_returned.chain(from_ready).filter(|entry| entry.message.is_none()) {
            if seqs.len() == count_max || (bytes + u64::from(entry.body_len) > bytes_max && !seqs.is_empty())
            {
                break;
            }
            bytes += u64::from(entry.body_len);
            seqs.push(entry.seq);
        }
        seqs
    }

    /// Gives a message that was only on disk its body back.
    pub fn fill(&mut self, seq: u64, message: Message) {
        let entry = match self.returned.get_mut(&seq) {
            Some(entry) => entry,
            None => match self.ready.get_mut(seq).filter(|entry| !entry.gone) {
                Some(entry) => entry,
                None => return,
            },
        };
        if entry.message.is_none() {
            self.in_memory.add(entry.body_len);
        }
        entry.set_body_from_disk(message);
    }

    /// Whether the message is here without its body.
    pub fn is_only_on_disk(&self, seq: u64) -> bool {
        match self.returned.get(&seq) {
            Some(entry) => entry.message.is_none(),
            None => self.ready.get(seq).is_some_and(|entry| !entry.gone && entry.message.is_none()),
        }
    }

    /// Lets go of the bodies of at most `count_max` messages that the store has on disk, but of none among
    /// the first `keep`. Called again and again as the queue grows; each message is looked at about once.
    pub fn page_out(&mut self, keep: usize, count_max: usize) {
        let in_memory = &mut self.in_memory;
        let seen_to = self.ready.visit_mut(self.paged_to, keep, count_max, |entry| {
            match &entry.message {
                // Not yet on disk, nor is anything behind it.
                Some(message) if entry.stored && !message.disk.is_written() => return false,
                Some(_) if entry.stored => {
                    in_memory.remove(entry.body_len);
                    entry.message = None;
                }
                _ => {}
            }
            true
        });
        self.paged_to = seen_to.unwrap_or(self.next_seq);
    }

    /// Lets go of every body that the store has on disk, but for about the first `keep_bytes`. Looks at
    /// `count_max` messages from position `from` on (0: from the first), and returns where to go on.
    pub fn page_out_all(&mut self, from: u64, keep_bytes: u64, count_max: usize) -> Option<u64> {
        let mut kept_bytes = if from == 0 { 0 } else { keep_bytes };
        let in_memory = &mut self.in_memory;
        let mut let_go = |entry: &mut Entry| {
            if kept_bytes < keep_bytes {
                kept_bytes += u64::from(entry.body_len);
            } else if entry.stored && entry.message.as_ref().is_some_and(|m| m.disk.is_written()) {
                in_memory.remove(entry.body_len);
                entry.message = None;
            }
            true
        };
        if from == 0 {
            self.returned.values_mut().for_each(|entry| {
                let_go(entry);
            });
        }
        self.ready.visit_mut(from, 0, count_max, let_go)
    }

    /// Positions of ready messages that were delivered before and are in the store.
    pub fn redelivered(&self) -> impl Iterator<Item = u64> + '_ {
        let from_ready = self.ready.iter().filter(|entry| !entry.gone);
        let from_returned = self.returned.values().map(Cow::Borrowed);
        from_returned.chain(from_ready).filter(|e| e.redelivered && e.stored).map(|e| e.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Message {
        Message::new("", "q", &[0, 0], body.as_bytes(), false)
    }

    fn bodies(backlog: &mut Backlog) -> Vec<String> {
        std::iter::from_fn(|| backlog.pop())
            .map(|e| String::from_utf8(e.message.as_ref().unwrap().body().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_requeued_message_returns_to_its_place() {
        let mut backlog = Backlog::default();
        for body in ["a", "b", "c", "d"] {
            backlog.push(message(body), 0, false);
        }
        let a = backlog.pop().unwrap();
        let b = backlog.pop().unwrap();
        let c = backlog.pop().unwrap();
        backlog.requeue(c);
        backlog.requeue(a);
        assert!(backlog.peek().unwrap().redelivered);
        assert_eq!(backlog.len(), 3);
        drop(b);
        assert_eq!(bodies(&mut backlog), ["a", "c", "d"]);
        assert_eq!(backlog.body_bytes(), 0);
    }

    #[test]
    fn messages_expire_wherever_they_stand() {
        let mut backlog = Backlog::default();
        backlog.push(message("stays"), 0, false);
        backlog.push(message("late"), 200, false);
        backlog.push(message("soon"), 100, false);
        backlog.push(message("also stays"), 0, false);
        assert_eq!(backlog.next_expiry_ms(), Some(100));
        assert!(backlog.expire(99, 9).is_empty());
        assert_eq!(backlog.expire(100, 9).len(), 1);
        assert_eq!(backlog.len(), 3);
        assert_eq!(backlog.expire(500, 9).len(), 1);
        assert_eq!(backlog.next_expiry_ms(), None);
        assert_eq!(backlog.len(), 2);
        assert_eq!(bodies(&mut backlog), ["stays", "also stays"]);
        assert!(backlog.is_empty());
    }

    #[test]
    fn so_many_expire_at_a_time() {
        let mut backlog = Backlog::default();
        for at in [30, 10, 20] {
            backlog.push(message("x"), at, false);
        }
        let first: Vec<u64> = backlog.expire(99, 2).iter().map(|entry| entry.seq).collect();
        assert_eq!(first, [1, 2]);
        assert_eq!(backlog.next_expiry_ms(), Some(30));
        assert_eq!(backlog.expire(99, 2).len(), 1);
    }

    #[test]
    fn a_requeued_message_can_expire() {
        let mut backlog = Backlog::default();
        backlog.push(message("x"), 100, false);
        let entry = backlog.pop().unwrap();
        assert_eq!(backlog.next_expiry_ms(), None);
        backlog.requeue(entry);
        assert_eq!(backlog.expire(100, 9).len(), 1);
        assert!(backlog.is_empty());
    }

    #[test]
    fn only_bodies_on_disk_are_paged_out() {
        let mut backlog = Backlog::default();
        for at in 0..6 {
            let message = message("x");
            if at < 5 {
                message.disk.id.store(at + 1, std::sync::atomic::Ordering::Relaxed);
            }
            backlog.push(message, 0, at != 3);
        }
        backlog.page_out(1, 2);
        assert_eq!(backlog.next_on_disk(0, 9, 9), [1, 2]);
        backlog.page_out(1, 9);
        assert_eq!(backlog.next_on_disk(0, 9, 9), [1, 2, 4]);
    }

    #[test]
    fn all_bodies_on_disk_are_paged_out_but_the_first() {
        let mut backlog = Backlog::default();
        for at in 0..5 {
            let message = message("0123456789");
            message.disk.id.store(at + 1, std::sync::atomic::Ordering::Relaxed);
            backlog.push(message, 0, at != 2);
        }
        assert_eq!(backlog.page_out_all(0, 10, 2), Some(2));
        assert_eq!(backlog.next_on_disk(0, 9, 99), [1]);
        assert_eq!(backlog.page_out_all(2, 10, 9), None);
        assert_eq!(backlog.next_on_disk(0, 9, 99), [1, 3, 4]);
    }

    #[test]
    fn messages_on_disk_are_filled_in_order() {
        let mut backlog = Backlog::default();
        backlog.push_recovered(5, 10, 0, true);
        backlog.push_recovered(9, 10, 0, true);
        assert_eq!(backlog.push(message("new"), 0, true), 10);
        assert_eq!(backlog.next_on_disk(0, 10, 5), [5]);
        assert_eq!(backlog.next_on_disk(0, 10, 100), [5, 9]);
        backlog.fill(5, message("five"));
        assert_eq!(backlog.next_on_disk(0, 10, 100), [9]);
        assert_eq!(backlog.pop().unwrap().seq, 5);
        assert!(backlog.peek().unwrap().message.is_none());
    }

    #[test]
    fn what_is_in_memory_is_counted_as_bodies_come_and_go() {
        let mut backlog = Backlog::default();
        for seq in 0..3 {
            backlog.push_recovered(seq, 10, 0, false);
        }
        backlog.push(message("12345"), 0, false);
        let written = |body: &str| {
            let message = message(body);
            message.disk.id.store(1, std::sync::atomic::Ordering::Release);
            message
        };
        backlog.push(written("123"), 0, true);
        let tally = |count, bytes| Tally { count, bytes };
        assert_eq!((backlog.stored(), backlog.in_memory()), (tally(4, 33), tally(2, 8)));
        backlog.fill(1, written("0123456789"));
        assert_eq!(backlog.in_memory(), tally(3, 18));
        backlog.page_out_all(0, 0, 9);
        assert_eq!(backlog.in_memory(), tally(1, 5), "what is not stored stays");
        backlog.fill(0, written("0123456789"));
        let first = backlog.pop().unwrap();
        assert_eq!((backlog.stored(), backlog.in_memory()), (tally(3, 23), tally(1, 5)));
        backlog.requeue(first);
        assert_eq!((backlog.stored(), backlog.in_memory()), (tally(4, 33), tally(2, 15)));
        while backlog.pop().is_some() {}
        assert_eq!((backlog.stored(), backlog.in_memory()), (Tally::default(), Tally::default()));
    }
}
