//! What all clients share: the history, the queues, what is in a message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker::store::sim::Rng;

use crate::promise::{Event, MessageId, QueueNumber};
use crate::{Broker, ChatUser};

/// Queues that were deleted lately and are still published to.
const STALE_MAX: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The administrator; publishes and keeps.
    Guest,
    /// Writes to her friend.
    Alice,
    /// Her friend: queues that only he may consume from.
    Bob,
}

impl Account {
    pub fn user(self) -> &'static str {
        match self {
            Account::Guest => "guest",
            Account::Alice => "alice",
            Account::Bob => "bob",
        }
    }

    pub fn url(self, broker: &Broker) -> String {
        match self {
            Account::Guest => broker.guest_url(),
            _ => broker.url_for(self.user(), &ChatUser::PASSWORD.replace(' ', "%20")),
        }
    }

    /// Whose queues this one publishes to.
    fn writes_to(self) -> Account {
        if self == Account::Alice { Account::Bob } else { self }
    }
}

/// Clones share everything.
#[derive(Clone, Default)]
pub struct Scene(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    history: Vec<Event>,
    queues: u32,
    live: Vec<Queue>,
    stale: Vec<Queue>,
    deleted: Vec<Queue>,
}

#[derive(Clone)]
struct Queue {
    number: QueueNumber,
    name: String,
    keeper: Account,
}

impl Scene {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, event: Event) {
        self.state().history.push(event);
    }

    pub fn note_all(&self, events: impl IntoIterator<Item = Event>) {
        self.state().history.extend(events);
    }

    pub fn event_count(&self) -> usize {
        self.state().history.len()
    }

    pub fn into_history(self) -> Vec<Event> {
        std::mem::take(&mut self.state().history)
    }

    pub fn next_queue(&self) -> QueueNumber {
        let mut state = self.state();
        state.queues += 1;
        QueueNumber(state.queues)
    }

    /// The queue is there, and may be published to.
    pub fn declared(&self, number: QueueNumber, name: &str, keeper: Account) {
        let mut state = self.state();
        state.history.push(Event::Declared(number));
        state.live.push(Queue { number, name: name.to_owned(), keeper });
    }

    /// The queue is gone; some will be sent there all the same.
    pub fn deleted_ok(&self, number: QueueNumber) {
        let mut state = self.state();
        state.history.push(Event::Deleted(number));
        let Some(at) = state.live.iter().position(|queue| queue.number == number) else { return };
        let queue = state.live.swap_remove(at);
        state.deleted.push(queue.clone());
        state.stale.push(queue);
        if state.stale.len() > STALE_MAX {
            state.stale.remove(0);
        }
    }

    pub fn deleted(&self, keeper: Account) -> Vec<(QueueNumber, String)> {
        let state = self.state();
        let of_keeper = state.deleted.iter().filter(|queue| queue.keeper == keeper);
        of_keeper.map(|queue| (queue.number, queue.name.clone())).collect()
    }

    /// Notes that the message is about to be published, and where to.
    pub fn publishing(&self, message: MessageId, by: Account, rng: &mut Rng) -> Option<String> {
        let mut state = self.state();
        let from = if rng.below(20) == 0 { &state.stale } else { &state.live };
        let candidates: Vec<&Queue> = from.iter().filter(|queue| queue.keeper == by.writes_to()).collect();
        let queue = (*candidates.get(rng.below(candidates.len() as u64) as usize)?).clone();
        state.history.push(Event::Publishing(message, queue.number));
        Some(queue.name)
    }
}

/// The body of a message can be told from its number.
pub fn body(message: MessageId) -> Vec<u8> {
    let mut rng = Rng::new(message.0);
    let len = if rng.below(50) == 0 { rng.below(60_000) } else { rng.below(600) } as usize;
    let mut body = message.0.to_be_bytes().to_vec();
    while body.len() < 8 + len {
        body.extend(rng.draw().to_be_bytes());
    }
    body
}

/// Which message a body is of, and whether it is whole.
pub fn read_body(bytes: &[u8]) -> (MessageId, bool) {
    let id = bytes.first_chunk().map_or(MessageId(u64::MAX), |id| MessageId(u64::from_be_bytes(*id)));
    (id, bytes == body(id))
}
