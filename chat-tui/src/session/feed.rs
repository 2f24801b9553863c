//! From changes of the store to events: whoever made them, this session or another one of the same user.

use std::collections::HashSet;

use super::api::{Direction, Event, Friend, Request};
use crate::store::{Change, Store, StoreError};

/// Changes read at a time.
const CHANGES_MAX: usize = 500;

/// What the person has been told so far.
#[derive(Debug, Default)]
pub struct Feed {
    /// The newest change read.
    change: i64,
    /// The same, when the reading before ended.
    told: i64,
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
        Ok(Feed { change, told: change, row, forgotten, ended_by_them, ..Feed::default() })
    }

    pub fn read(&mut self, store: &Store) -> Result<News, StoreError> {
        let changes = store.changes(self.change, CHANGES_MAX)?;
        let mut news =
            News { more: changes.len() == CHANGES_MAX, pending: store.pending()?, ..News::default() };
        for Change { number, content, message } in changes {
            // What was told so far says nothing of a content that changed after it.
            let rewritten = content > self.told;
            self.change = number;
            if message.row > self.row {
                self.row = message.row;
                news.events.push(Event::Message(message));
            } else if rewritten {
                news.events.push(Event::MessageChanged(message));
            } else if message.direction == Direction::Outgoing {
                let (friend, id, state) = (message.friend, message.id, message.state);
                news.events.push(Event::MessageState { friend, id, state });
            }
        }
        self.told = self.change;
        let forgotten = store.forgotten()?;
        if std::mem::replace(&mut self.forgotten, forgotten) != forgotten {
            news.events.push(Event::Forgotten);
        }
        self.read_people(store, &mut news.events)?;
        Ok(news)
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
