//! Decide and write in one transaction, so that two sessions of one user never decide on the same old state.

use shared::message::{Envelope, RECEIPT_IDS_MAX, ReceiptState};
use shared::topology::FRIENDS_EXCHANGE;

use super::messages::NewMessage;
use super::{Store, StoreError, Waiting, millis};
use crate::session::api::{Command, Delivery, Event};
use crate::session::protocol::{Effect, Now, command, incoming, publishing};

/// The account whose messages the inbox takes.
pub(super) const FRIEND_SERVER_ACCOUNT: &str = "friend-server-account";
/// Peers whose receipts are written in one transaction.
const RECEIPT_PEERS_MAX: usize = 64;

/// A message that arrived in one of our queues.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrival {
    pub queue: String,
    pub envelope: Envelope,
}

/// What became of one publish, as far as the broker is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Confirmed,
    /// There was no queue to put it into.
    Returned,
    /// The broker will never take it.
    Refused(String),
}

#[derive(Debug, Default, PartialEq)]
pub struct Settled {
    pub events: Vec<Event>,
    /// Something is still in the outbox although the broker has dealt with it: publish it again.
    pub again: bool,
    /// The friend servers' exchange has no queue behind it: no friend server ever ran.
    pub no_friend_server: bool,
}

impl Store {
    /// Carries out a command of user `me` as far as the local state goes. Returns what to tell the person.
    pub fn command(&self, me: &str, command: &Command, now: &Now) -> Result<Vec<Event>, StoreError> {
        let Some(name) = command::subject(command) else { return Ok(Vec::new()) };
        self.transaction(|| {
            let target = match command::target(command) {
                Some(row) => self.target(name, row)?,
                None => None,
            };
            let effects = command::decide(me, &self.peer(name)?, target.as_ref(), command, now);
            self.apply(name, effects)
        })
    }

    /// Takes in what arrived, all of it in one transaction. Afterwards it may be acknowledged.
    pub fn arrived(&self, me: &str, arrivals: &[Arrival]) -> Result<Vec<Event>, StoreError> {
        self.transaction(|| {
            let mut events = Vec::new();
            for arrival in arrivals {
                events.extend(self.arrival(me, arrival)?);
            }
            Ok(events)
        })
    }

    fn arrival(&self, me: &str, arrival: &Arrival) -> Result<Vec<Event>, StoreError> {
        let (envelope, now) = (&arrival.envelope, Now::new());
        match self.queue_owner(&arrival.queue)? {
            // Given up in the meantime.
            None => Ok(Vec::new()),
            Some(Some(friend)) => {
                let effects = incoming::letter(&self.peer(&friend)?, &arrival.queue, envelope, &now);
                self.apply(&friend, effects)
            }
            Some(None) => {
                let account = self.meta(FRIEND_SERVER_ACCOUNT)?.unwrap_or_default();
                match incoming::inbox_subject(envelope, &account) {
                    Ok(name) => {
                        let effects = incoming::inbox(me, &self.peer(name)?, envelope, &now);
                        self.apply(name, effects)
                    }
                    Err(reason) => Ok(vec![Event::Notice(format!("dropped a message: {reason}"))]),
                }
            }
        }
    }

    /// Takes in what became of publishes: outbox row, the queue it was published to, and its fate.
    pub fn settled(&self, fates: &[(i64, String, Fate)]) -> Result<Settled, StoreError> {
        self.transaction(|| {
            let mut settled = Settled::default();
            for (seq, key, fate) in fates {
                // Gone already: taken back, or abandoned with the friendship.
                if let Some(waiting) = self.waiting(*seq)? {
                    self.settle(&waiting, key, fate, &mut settled)?;
                }
            }
            Ok(settled)
        })
    }

    fn settle(
        &self,
        waiting: &Waiting,
        key: &str,
        fate: &Fate,
        settled: &mut Settled,
    ) -> Result<(), StoreError> {
        let (outgoing, peer) = (&waiting.outgoing, self.peer(&waiting.peer)?);
        let effects = match fate {
            Fate::Confirmed => publishing::confirmed(&peer, &outgoing.envelope),
            Fate::Refused(reason) => publishing::refused(&peer, &outgoing.envelope, reason),
            Fate::Returned if outgoing.exchange == FRIENDS_EXCHANGE => {
                settled.no_friend_server = true;
                return Ok(());
            }
            Fate::Returned if outgoing.routing_key != key => {
                // The friend moved to another queue in the meantime.
                settled.again = true;
                return Ok(());
            }
            Fate::Returned => publishing::returned(&peer, key, &outgoing.envelope),
        };
        self.dequeue(waiting.seq)?;
        settled.events.extend(self.apply(&waiting.peer, effects)?);
        Ok(())
    }

    /// A message that is not kept (a sign of life, typing) came back from the queue `key` of `friend`.
    pub fn beat_returned(
        &self,
        friend: &str,
        key: &str,
        envelope: &Envelope,
    ) -> Result<Vec<Event>, StoreError> {
        self.transaction(|| {
            if self.is_accept_waiting(friend, key)? {
                // What becomes of our answer decides: they may have taken their request back.
                return Ok(Vec::new());
            }
            let effects = publishing::returned(&self.peer(friend)?, key, envelope);
            self.apply(friend, effects)
        })
    }

    /// Turns owed receipts into publishes, all of them. Returns whether there were any.
    pub fn write_receipts(&self) -> Result<bool, StoreError> {
        let mut any = false;
        // Short transactions, so that other sessions get their turn.
        while self.transaction(|| self.write_some_receipts())? {
            any = true;
        }
        Ok(any)
    }

    fn write_some_receipts(&self) -> Result<bool, StoreError> {
        let owed = self.peers_owed_receipts(RECEIPT_PEERS_MAX)?;
        for name in &owed {
            self.write_receipts_to(name)?;
        }
        Ok(!owed.is_empty())
    }

    fn write_receipts_to(&self, name: &str) -> Result<(), StoreError> {
        let (peer, Some(id)) = (self.peer(name)?, self.peer_id(name)?) else { return Ok(()) };
        let kinds = [(ReceiptState::Delivered, Delivery::Delivered), (ReceiptState::Read, Delivery::Read)];
        for (state, kind) in kinds {
            let ids = self.take_owed(id, &kind, RECEIPT_IDS_MAX)?;
            self.apply(name, publishing::receipt(&peer, ids, state, &Now::new()))?;
        }
        Ok(())
    }

    fn apply(&self, name: &str, effects: Vec<Effect>) -> Result<Vec<Event>, StoreError> {
        let mut events = Vec::new();
        let mut id = self.peer_id(name)?;
        if id.is_none() && effects.iter().any(needs_known) {
            return Ok(vec![Event::Notice(format!("there is nobody called {name} in your list"))]);
        }
        if id.is_none() && effects.iter().any(needs_row) {
            id = Some(self.add_peer(name)?);
        }
        for effect in effects {
            match effect {
                Effect::ShowTyping => events.push(Event::Typing { friend: name.to_owned() }),
                Effect::Refuse { command, reason } => events.push(Event::Failed { command, reason }),
                Effect::Notice(text) => events.push(Event::Notice(text)),
                effect => {
                    if let Some(id) = id {
                        self.apply_one(id, effect)?;
                    }
                }
            }
        }
        Ok(events)
    }

    fn apply_one(&self, id: i64, effect: Effect) -> Result<(), StoreError> {
        match effect {
            Effect::Save(peer) => self.save_peer(id, &peer),
            Effect::OwnQueue(queue) => self.own_queue(&queue, Some(id)),
            Effect::ReleaseQueue { name, drain } => self.release_queue(&name, drain),
            Effect::Publish(outgoing) => self.enqueue(id, &outgoing),
            Effect::Retarget { old, new } => self.retarget(id, &old, &new),
            Effect::Abandon(state) => {
                self.forget_owed(id)?;
                self.abandon(id, &state)
            }
            Effect::Unpublish(message_id) => self.unpublish(id, message_id),
            Effect::AddMessage { id: message_id, outgoing, text, answers, at, state } => {
                let new = NewMessage { id: message_id, outgoing, text: &text, answers, at, state: &state };
                match self.insert_message(id, &new)? && !outgoing {
                    true => self.catch_up_early(id, message_id),
                    false => Ok(()),
                }
            }
            Effect::Advance { id: message_id, state } => self.advance_message(id, message_id, &state),
            Effect::Rewrite { id: message_id, outgoing, revision, text } => {
                self.rewrite(id, message_id, outgoing, revision, &text)
            }
            Effect::Erase { id: message_id, outgoing } => self.erase(id, message_id, outgoing),
            Effect::Mark { id: message_id, by_us, revision, mark } => {
                self.mark(id, message_id, by_us, revision, mark.as_deref())
            }
            Effect::Amended { id: message_id, revision, to } => self.amended(id, message_id, revision, to),
            Effect::MarkRead { up_to } => self.mark_read(id, up_to),
            Effect::SetNickname(nickname) => self.set_nickname(id, nickname.as_deref()),
            Effect::SetMuted(muted) => self.set_muted(id, muted),
            Effect::SetArchived(archived) => self.set_archived(id, archived),
            Effect::SaveDraft(text) => self.set_draft(id, &text, false),
            Effect::KeepAsDraft(text) => self.set_draft(id, &text, true),
            Effect::SetPresence { presence, note, at } => self.set_presence(id, presence, &note, millis(at)),
            // Shown by `apply`.
            Effect::ShowTyping | Effect::Refuse { .. } | Effect::Notice(_) => Ok(()),
        }
    }
}

/// Whether the effect is about what we make of somebody who must be known for that.
fn needs_known(effect: &Effect) -> bool {
    matches!(effect, Effect::SetNickname(_) | Effect::SetMuted(_) | Effect::SetArchived(_))
}

/// Whether the effect is about somebody we must remember from now on.
fn needs_row(effect: &Effect) -> bool {
    matches!(effect, Effect::Save(_) | Effect::OwnQueue(_) | Effect::Publish(_) | Effect::AddMessage { .. })
}
