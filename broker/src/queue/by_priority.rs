//! The ready messages of a queue by priority. Pure.
//!
//! Nearly every queue has one backlog and nothing else. A queue with `x-max-priority` has one more for each
//! priority above 0; positions are given out across all of them.

use hashbrown::HashMap;

use super::backlog::{Backlog, Entry};
use super::tally::Tally;
use crate::message::Message;

#[derive(Debug, Default)]
pub struct ByPriority {
    /// Priority 0.
    plain: Backlog,
    higher: Option<Box<Higher>>,
}

#[derive(Debug)]
struct Higher {
    /// Priorities from 1 on.
    levels: Vec<Backlog>,
    /// Priorities above 0 of messages that are handed out, by position: where they come back to.
    handed_out: HashMap<u64, u8>,
}

impl ByPriority {
    pub fn new(priority_max: u8) -> ByPriority {
        let higher = (priority_max > 0).then(|| {
            let levels = (0..priority_max).map(|_| Backlog::default()).collect();
            Box::new(Higher { levels, handed_out: HashMap::new() })
        });
        ByPriority { plain: Backlog::default(), higher }
    }

    /// 0: messages have no priority here.
    #[inline]
    pub fn priority_max(&self) -> u8 {
        self.higher.as_ref().map_or(0, |higher| higher.levels.len() as u8)
    }

    fn levels(&self) -> impl Iterator<Item = &Backlog> {
        std::iter::once(&self.plain).chain(self.higher.iter().flat_map(|higher| higher.levels.iter()))
    }

    fn levels_mut(&mut self) -> impl Iterator<Item = &mut Backlog> {
        std::iter::once(&mut self.plain)
            .chain(self.higher.iter_mut().flat_map(|higher| higher.levels.iter_mut()))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.higher {
            None => self.plain.len(),
            Some(_) => self.levels().map(Backlog::len).sum(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.plain.is_empty()
            && self.higher.as_ref().is_none_or(|higher| higher.levels.iter().all(Backlog::is_empty))
    }

    pub fn body_bytes(&self) -> u64 {
        match &self.higher {
            None => self.plain.body_bytes(),
            Some(_) => self.levels().map(Backlog::body_bytes).sum(),
        }
    }

    /// Those that the store has, or will have.
    pub fn stored(&self) -> Tally {
        self.levels().map(Backlog::stored).fold(Tally::default(), std::ops::Add::add)
    }

    /// Those whose bodies are in memory.
    pub fn in_memory(&self) -> Tally {
        self.levels().map(Backlog::in_memory).fold(Tally::default(), std::ops::Add::add)
    }

    pub fn set_next_seq(&mut self, seq: u64) {
        self.plain.set_next_seq(seq);
    }

    /// Appends a message and returns its position. A priority above the highest is the highest.
    pub fn push(&mut self, message: Message, expires_at_ms: u64, stored: bool, priority: u8) -> u64 {
        match self.higher_level(priority) {
            None => self.plain.push(message, expires_at_ms, stored),
            Some((level, seq)) => {
                level.set_next_seq(seq);
                level.push(message, expires_at_ms, stored);
                self.plain.set_next_seq(seq + 1);
                seq
            }
        }
    }

    /// A message that has just come and would be the only one, with its position: to be handed out at once, or
    /// appended. `None` where there are others, or priorities.
    #[inline]
    pub fn admit_alone(&mut self, message: &Message, expires_at_ms: u64, stored: bool) -> Option<Entry> {
        if self.higher.is_some() || !self.plain.is_empty() {
            return None;
        }
        Some(self.plain.admit(message.clone(), expires_at_ms, stored))
    }

    /// Puts what `admit_alone` gave to the end.
    #[inline]
    pub fn append(&mut self, entry: Entry) {
        self.plain.append(entry);
    }

    /// Appends a message that the store gave back at start-up. Positions must come in increasing order.
    pub fn push_recovered(
        &mut self,
        seq: u64,
        body_len: u32,
        expires_at_ms: u64,
        redelivered: bool,
        priority: u8,
    ) {
        match self.higher_level(priority) {
            None => self.plain.push_recovered(seq, body_len, expires_at_ms, redelivered),
            Some((level, _)) => {
                level.push_recovered(seq, body_len, expires_at_ms, redelivered);
                self.plain.set_next_seq(seq + 1);
            }
        }
    }

    /// The backlog of a priority above 0, and the next position.
    fn higher_level(&mut self, priority: u8) -> Option<(&mut Backlog, u64)> {
        let seq = self.plain.next_seq();
        let levels = &mut self.higher.as_mut()?.levels;
        let at = usize::from(priority).min(levels.len()).checked_sub(1)?;
        Some((&mut levels[at], seq))
    }

    /// Where the next message stands: the highest priority that has any.
    fn next_level(&self) -> usize {
        let Some(higher) = &self.higher else { return 0 };
        higher.levels.iter().rposition(|level| !level.is_empty()).map_or(0, |at| at + 1)
    }

    fn level_mut(&mut self, at: usize) -> &mut Backlog {
        match (at.checked_sub(1), &mut self.higher) {
            (Some(at), Some(higher)) => &mut higher.levels[at],
            _ => &mut self.plain,
        }
    }

    /// The message whose turn it is.
    #[inline]
    pub fn peek(&self) -> Option<&Entry> {
        if self.higher.is_none() {
            return self.plain.peek();
        }
        match (self.next_level().checked_sub(1), &self.higher) {
            (Some(at), Some(higher)) => higher.levels[at].peek(),
            _ => self.plain.peek(),
        }
    }

    /// Takes the message whose turn it is, to hand it out: it is settled, or comes back.
    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        if self.higher.is_none() {
            return self.plain.pop();
        }
        let level = self.next_level();
        let entry = self.level_mut(level).pop()?;
        if let Some(higher) = &mut self.higher
            && level > 0
        {
            higher.handed_out.insert(entry.seq, level as u8);
        }
        Some(entry)
    }

    /// Priority and position of the message whose turn it is.
    pub fn first_place(&self) -> Option<(usize, u64)> {
        Some((self.next_level(), self.peek()?.seq))
    }

    fn level(&self, at: usize) -> &Backlog {
        match (at.checked_sub(1), &self.higher) {
            (Some(at), Some(higher)) => &higher.levels[at],
            _ => &self.plain,
        }
    }

    /// See [`Backlog::first_from`].
    pub fn first_from(&self, level: usize, seq: u64) -> Option<&Entry> {
        self.level(level).first_from(seq)
    }

    /// See [`Backlog::set_aside`].
    pub fn set_aside(&mut self, level: usize, seq: u64) {
        self.level_mut(level).set_aside(seq);
    }

    /// Takes the message at a place away for good.
    pub fn take(&mut self, level: usize, seq: u64) -> Option<Entry> {
        self.level_mut(level).take(seq)
    }

    /// Takes the message at a place, to hand it out: it is settled, or comes back.
    pub fn pop_at(&mut self, level: usize, seq: u64) -> Option<Entry> {
        let entry = self.level_mut(level).take(seq)?;
        if let Some(higher) = &mut self.higher
            && level > 0
        {
            higher.handed_out.insert(seq, level as u8);
        }
        Some(entry)
    }

    /// Takes the message whose turn it is away for good.
    pub fn drop_first(&mut self) -> Option<Entry> {
        let level = self.next_level();
        self.level_mut(level).pop()
    }

    /// A message that was handed out does not come back.
    #[inline]
    pub fn settled(&mut self, seq: u64) {
        if let Some(higher) = &mut self.higher {
            higher.handed_out.remove(&seq);
        }
    }

    /// Puts a message back to where it was. Says where: its priority, and its position.
    pub fn requeue(&mut self, entry: Entry) -> (usize, u64) {
        let level = self.higher.as_mut().and_then(|higher| higher.handed_out.remove(&entry.seq)).unwrap_or(0);
        let place = (level.into(), entry.seq);
        self.level_mut(level.into()).requeue(entry);
        place
    }

    /// Takes out every ready message; positions go on from where they were.
    pub fn take_all(&mut self) -> ByPriority {
        let mut left = ByPriority::new(self.priority_max());
        left.set_next_seq(self.plain.next_seq());
        if let (Some(left), Some(higher)) = (&mut left.higher, &mut self.higher) {
            left.handed_out = std::mem::take(&mut higher.handed_out);
        }
        std::mem::replace(self, left)
    }

    /// When the next message expires, in milliseconds since the epoch.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        match &self.higher {
            None => self.plain.next_expiry_ms(),
            Some(_) => self.levels().filter_map(Backlog::next_expiry_ms).min(),
        }
    }

    /// Takes out messages whose time has come, at most `count_max` of each priority.
    pub fn expire(&mut self, now_ms: u64, count_max: usize) -> Vec<Entry> {
        let mut expired = self.plain.expire(now_ms, count_max);
        if let Some(higher) = &mut self.higher {
            higher.levels.iter_mut().for_each(|level| expired.extend(level.expire(now_ms, count_max)));
        }
        expired
    }

    /// Positions of the next messages that are only on disk, at most `count_max` and about `bytes_max` of bodies;
    /// of each priority from a position on, or from the first.
    pub fn next_on_disk(&self, from: Option<&[u64]>, count_max: usize, bytes_max: u64) -> Vec<u64> {
        let from = |level: usize| from.map_or(0, |from| from[level]);
        let levels = (0..=usize::from(self.priority_max())).rev();
        let found = levels.map(|at| self.level(at).next_on_disk(from(at), count_max, bytes_max));
        found.into_iter().find(|seqs| !seqs.is_empty()).unwrap_or_default()
    }

    /// Gives a message that was only on disk its body back.
    pub fn fill(&mut self, seq: u64, message: Message) {
        if let Some(level) = self.levels_mut().find_map(|level| level.is_only_on_disk(seq).then_some(level)) {
            level.fill(seq, message);
        }
    }

    /// Whether the message is here without its body.
    pub fn is_only_on_disk(&self, seq: u64) -> bool {
        self.levels().any(|level| level.is_only_on_disk(seq))
    }

    /// See [`Backlog::page_out`].
    pub fn page_out(&mut self, keep: usize, count_max: usize) {
        self.levels_mut().for_each(|level| level.page_out(keep, count_max));
    }

    /// See [`Backlog::page_out_all`].
    pub fn page_out_all(&mut self, from: u64, keep_bytes: u64, count_max: usize) -> Option<u64> {
        self.levels_mut().filter_map(|level| level.page_out_all(from, keep_bytes, count_max)).min()
    }

    /// Positions of ready messages that were delivered before and are in the store.
    pub fn redelivered(&self) -> impl Iterator<Item = u64> + '_ {
        self.levels().flat_map(Backlog::redelivered)
    }

    /// Every message, by position within its priority.
    pub fn into_entries(self) -> impl Iterator<Item = Entry> {
        let higher = self.higher.into_iter().flat_map(|higher| higher.levels);
        std::iter::once(self.plain)
            .chain(higher)
            .flat_map(|mut level| std::iter::from_fn(move || level.pop()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> Message {
        Message::new("", "q", &[0, 0], b"x", false)
    }

    fn popped(queue: &mut ByPriority) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).map(|entry| entry.seq).collect()
    }

    #[test]
    fn higher_priorities_go_first_and_each_in_order() {
        let mut queue = ByPriority::new(2);
        for priority in [0, 1, 2, 9, 1, 0] {
            queue.push(message(), 0, false, priority);
        }
        assert_eq!((queue.len(), queue.body_bytes(), queue.peek().unwrap().seq), (6, 6, 2));
        assert_eq!(popped(&mut queue), [2, 3, 1, 4, 0, 5]);
        assert!(queue.is_empty());
        // Without priorities they make no difference.
        let mut queue = ByPriority::new(0);
        for priority in [3, 0, 5] {
            queue.push(message(), 0, false, priority);
        }
        assert_eq!(popped(&mut queue), [0, 1, 2]);
    }

    #[test]
    fn what_comes_back_has_the_priority_it_had() {
        let mut queue = ByPriority::new(5);
        for priority in [5, 1, 5] {
            queue.push(message(), 0, false, priority);
        }
        let first = queue.pop().unwrap();
        let second = queue.pop().unwrap();
        queue.requeue(second);
        queue.settled(first.seq);
        assert!(queue.peek().unwrap().redelivered);
        assert_eq!(popped(&mut queue), [2, 1]);
    }

    #[test]
    fn all_are_taken_and_positions_go_on() {
        let mut queue = ByPriority::new(1);
        for priority in [0, 1, 0] {
            queue.push(message(), 0, false, priority);
        }
        let handed_out = queue.pop().unwrap();
        assert_eq!(handed_out.seq, 1);
        let taken = queue.take_all();
        assert_eq!((taken.len(), queue.len()), (2, 0));
        assert_eq!(taken.into_entries().map(|entry| entry.seq).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(queue.push(message(), 0, false, 0), 3);
        queue.requeue(handed_out);
        assert_eq!(popped(&mut queue), [1, 3]);
    }

    #[test]
    fn recovered_messages_have_their_priority() {
        let mut queue = ByPriority::new(3);
        queue.push_recovered(4, 1, 0, false, 0);
        queue.push_recovered(6, 1, 0, false, 3);
        queue.push_recovered(9, 1, 0, false, 0);
        assert_eq!(queue.next_on_disk(None, 9, 9), [6]);
        assert!(queue.is_only_on_disk(6));
        queue.fill(6, message());
        assert!(!queue.is_only_on_disk(6));
        assert_eq!(queue.next_on_disk(None, 9, 9), [4, 9]);
        assert_eq!(queue.push(message(), 0, false, 1), 10);
        assert_eq!(popped(&mut queue), [6, 10, 4, 9]);
    }

    proptest! {
        /// Against the simplest thing that could do the same: a list that is sorted.
        #[test]
        fn any_order_of_work(
            work in proptest::collection::vec((0..4u8, 0..8u8, 0..40u64), 0..80),
            max in 0..6u8,
        ) {
            let mut queue = ByPriority::new(max);
            let mut model: Vec<(std::cmp::Reverse<u8>, u64)> = Vec::new();
            let mut out: Vec<(Entry, std::cmp::Reverse<u8>)> = Vec::new();
            for (what, priority, at) in work {
                match what {
                    0 | 1 => {
                        let seq = queue.push(message(), 0, false, priority);
                        model.push((std::cmp::Reverse(priority.min(max)), seq));
                    }
                    2 => {
                        model.sort_unstable();
                        let expected = (!model.is_empty()).then(|| model.remove(0));
                        let entry = queue.pop();
                        prop_assert_eq!(entry.as_ref().map(|e| e.seq), expected.map(|(_, seq)| seq));
                        out.extend(entry.zip(expected.map(|(priority, _)| priority)));
                    }
                    _ if !out.is_empty() => {
                        let (entry, priority) = out.remove(at as usize % out.len());
                        if at % 2 == 0 {
                            model.push((priority, entry.seq));
                            queue.requeue(entry);
                        } else {
                            queue.settled(entry.seq);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }
}
