//! From changes of the store to events: whoever made them, this session or another one of the same user.

use std::collections::HashSet;

use super::api::{Direction, Event, Friend, Request};
use crate::store::{Change, Store, StoreError};

/// Changes read at a time.
const CHANGES_MAX: usize = 500;

/// What the person has been told so far.
#[derive(Debug, Default)]
pub struct Feed {
    /// The newest change read, and of many at once the row.
    change: (i64, i64),
    /// The number of the last change that was told whole, when the reading before ended.
    told: i64,
    /// The newest message told.
    row: i64,
    forgotten: u64,
    friends: Option<Vec<Friend>>,
    requests: Option<Vec<Request>>,
    ended_by_them: HashSet<String>,
}

/// What is new.
#[derive(Debug, Default)]
pub struct News {
    pub events: Vec<Event>,
    /// Steps that the broker has not seen yet.
    pub pending: u64,
    /// There is more, too much for one go.
    pub more: bool,
}

impl Feed {
    /// Starts from now: what is in the store already is history.
    pub fn new(store: &Store) -> Result<Feed, StoreError> {
        let (change, row) = store.newest_change()?;
        let ended_by_them = store.ended_by_them()?.into_iter().collect();
        let forgotten = store.forgotten()?;
        Ok(Feed {
            change: (change, i64::MAX),
            told: change,
            row,
            forgotten,
            ended_by_them,
            ..Feed::default()
        })
    }

    pub fn read(&mut self, store: &Store) -> Result<News, StoreError> {
        store.at_one_moment(|| {
            let mut news = News { pending: store.pending()?, ..News::default() };
            self.read_messages(store, &mut news)?;
            let forgotten = store.forgotten()?;
            if std::mem::replace(&mut self.forgotten, forgotten) != forgotten {
                news.events.push(Event::Forgotten);
            }
            self.read_people(store, &mut news.events)?;
            Ok(news)
        })
    }

    /// New messages are told in the order of their rows, as they are by now: what changed about one before it was told says
    /// nothing of its place, and may be younger than the messages behind it.
    fn read_messages(&mut self, store: &Store, news: &mut News) -> Result<(), StoreError> {
        let (newest, _) = store.newest_change()?;
        let changes = store.changes(self.change, self.row, CHANGES_MAX)?;
        let is_all = changes.len() < CHANGES_MAX;
        for Change { number, content, message } in changes {
            self.change = (number, message.row);
            // What was told so far says nothing of a content that changed after it.
            if content > self.told {
                news.events.push(Event::MessageChanged(message));
            } else if message.direction == Direction::Outgoing {
                let (friend, id, state) = (message.friend, message.id, message.state);
                news.events.push(Event::MessageState { friend, id, state });
            }
        }
        if !is_all {
            (self.told, news.more) = (self.change.0 - 1, true);
            return Ok(());
        }
        (self.change, self.told) = ((newest, i64::MAX), newest);
        let messages = store.newer(self.row, CHANGES_MAX)?;
        news.more = messages.len() == CHANGES_MAX;
        self.row = messages.last().map_or(self.row, |message| message.row);
        news.events.extend(messages.into_iter().map(Event::Message));
        Ok(())
    }

    fn read_people(&mut self, store: &Store, events: &mut Vec<Event>) -> Result<(), StoreError> {
        let ended: HashSet<String> = store.ended_by_them()?.into_iter().collect();
        let mut newly: Vec<_> = ended.difference(&self.ended_by_them).cloned().collect();
        newly.sort();
        events.extend(newly.into_iter().map(|by| Event::Unfriended { by }));
        self.ended_by_them = ended;

        let friends = store.friends()?;
        if self.friends.as_ref() != Some(&friends) {
            self.friends = Some(friends.clone());
            events.push(Event::Friends(friends));
        }
        let requests = store.requests()?;
        if self.requests.as_ref() != Some(&requests) {
            self.requests = Some(requests.clone());
            events.push(Event::Requests(requests));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::message::Body;

    use super::*;
    use crate::session::api::{Command, Delivery};
    use crate::store::tests::{Bench, text};
    use crate::store::{Fate, Store};

    /// What is told about messages, in short.
    fn told(feed: &mut Feed, store: &Store) -> Vec<String> {
        let mut told = Vec::new();
        loop {
            let news = feed.read(store).unwrap();
            told.extend(news.events.into_iter().filter_map(|event| match event {
                Event::Message(message) => Some(format!("{} {:?}", message.text, message.state)),
                Event::MessageChanged(message) => Some(format!("changed: {}", message.text)),
                Event::MessageState { state, .. } => Some(format!("{state:?}")),
                _ => None,
            }));
            if !news.more {
                return told;
            }
        }
    }

    #[test]
    fn messages_are_told_in_their_order_whatever_happened_to_them_meanwhile() {
        let bench = Bench::new();
        bench.befriend("bob");
        bench.settle_all(Fate::Confirmed);
        let mut feed = Feed::new(&bench.store).unwrap();
        bench.send("bob", "one");
        let first = bench.outbox().remove(0);
        bench.send("bob", "two");
        // The older message has the newer change.
        bench.store.settled(&[(first.seq, first.outgoing.routing_key, Fate::Confirmed)]).unwrap();
        assert_eq!(told(&mut feed, &bench.store), ["one Sent", "two Queued"]);
        bench.settle_all(Fate::Confirmed);
        assert_eq!(told(&mut feed, &bench.store), ["Sent"]);
        let row = bench.store.newest_change().unwrap().1;
        bench.run(Command::Edit { friend: "bob".into(), row, text: "2".into() });
        assert_eq!(told(&mut feed, &bench.store), ["changed: 2"]);
        assert_eq!(told(&mut feed, &bench.store), [""; 0]);
    }

    #[test]
    fn what_changes_at_once_is_told_however_much_it_is() {
        let bench = Bench::new();
        let (ours, theirs) = bench.befriend("bob");
        let mut feed = Feed::new(&bench.store).unwrap();
        let count = 2 * CHANGES_MAX + 7;
        for n in 0..count {
            bench.arrive(&ours, "bob", text(&n.to_string()), &theirs);
        }
        let newest = bench.store.newest_change().unwrap().1;
        bench.run(Command::MarkRead { friend: "bob".into(), up_to: newest });
        let want: Vec<String> = (0..count).map(|n| format!("{n} {:?}", Delivery::Read)).collect();
        assert_eq!(told(&mut feed, &bench.store), want);
        // Friends' edits of some of them, more than are read at a time, with reading in between.
        for n in 0..count {
            let id = bench.arrive(&ours, "bob", text("x"), &theirs);
            let edit = Body::Edit { id, revision: 1, text: format!("x {n}") };
            bench.arrive(&ours, "bob", edit, &theirs);
        }
        let want: Vec<String> = (0..count).map(|n| format!("x {n} {:?}", Delivery::Delivered)).collect();
        assert_eq!(told(&mut feed, &bench.store), want);
    }
}
