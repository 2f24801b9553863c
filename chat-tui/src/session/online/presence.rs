//! Signs of life. They are mandatory like everything else, so a friend who unfriended us is found out even if nobody types;
//! and they expire, so they do not pile up in the queue of a friend who is offline.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use shared::client::{Failure, Link, Outcome, Pending, PublishError, Publisher};
use shared::message::{Body, Envelope, PresenceState};
use shared::topology::DEFAULT_EXCHANGE;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::intake::Sign;
use crate::session::uplink::Context;

/// Well under the time after which a sign expires, so that one can get lost; and as long as it may take until we
/// notice, without writing anything, that a friend is no longer one.
const BEAT_EVERY: Duration = Duration::from_secs(8);
/// A friend who was silent for this long is offline.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Typing is not said more often than this.
const TYPING_EVERY: Duration = Duration::from_secs(3);
const IN_FLIGHT_MAX: usize = 64;

/// Runs until the connection or the store fails; says how.
pub(super) async fn run(
    link: &Link,
    context: &Context,
    mut signs: mpsc::Receiver<Sign>,
    typing: &mut mpsc::Receiver<String>,
) -> String {
    let publisher = match link.publisher(IN_FLIGHT_MAX).await {
        Ok(publisher) => publisher,
        Err(failure) => return failure.to_string(),
    };
    let mut presence = Presence {
        context: context.clone(),
        publisher,
        friends: HashMap::new(),
        heard: HashMap::new(),
        typed: HashMap::new(),
        under_way: JoinSet::new(),
    };
    loop {
        match presence.run(&mut signs, typing).await {
            // Only this channel is closed: the next sign of life goes over a new one.
            Failed::Publishing(failure) if failure.spares_the_connection() => {
                tracing::warn!(%failure, "a sign of life was refused");
                tokio::time::sleep(LOOK_EVERY).await;
                presence.publisher = match link.publisher(IN_FLIGHT_MAX).await {
                    Ok(publisher) => publisher,
                    Err(failure) => return failure.to_string(),
                };
            }
            Failed::Publishing(failure) => return failure.to_string(),
            Failed::Store(reason) => return reason,
        }
    }
}

/// Tells every friend that we go offline.
pub(super) async fn say_goodbye(link: &Link, context: &Context) -> Result<(), Failure> {
    let publisher = link.publisher(IN_FLIGHT_MAX).await?;
    let Ok(bonds) = context.store.call(|store| store.bonds()).await else { return Ok(()) };
    let mut pending = Vec::new();
    for (_, ours, theirs) in bonds {
        let sign = Envelope::new(PresenceState::Offline.into()).with_reply_to(ours);
        if let Ok(sent) = publisher.publish(DEFAULT_EXCHANGE, &theirs, sign).await {
            pending.push(sent);
        }
    }
    for sent in pending {
        sent.await?;
    }
    Ok(())
}

enum Failed {
    Publishing(Failure),
    Store(String),
}

struct Presence {
    context: Context,
    publisher: Publisher,
    /// Our queue and theirs, by name, as of the last look.
    friends: HashMap<String, (String, String)>,
    /// When each friend who is online last gave a sign.
    heard: HashMap<String, Instant>,
    /// When we last told each friend that we type.
    typed: HashMap<String, Instant>,
    under_way: JoinSet<Beat>,
}

/// One sign that was published.
struct Beat {
    friend: String,
    key: String,
    sign: Envelope,
    outcome: Result<Outcome, Failure>,
}

impl Presence {
    async fn run(&mut self, signs: &mut mpsc::Receiver<Sign>, typing: &mut mpsc::Receiver<String>) -> Failed {
        let mut look = self.context.look.subscribe();
        look.mark_changed();
        let mut away = self.context.away.clone();
        let mut beat = interval(BEAT_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut silence = interval(LOOK_EVERY);
        loop {
            let done = tokio::select! {
                Ok(()) = look.changed() => self.greet_new_friends().await,
                _ = beat.tick() => self.tell_all().await,
                Ok(()) = away.changed() => self.tell_all().await,
                _ = silence.tick() => self.notice_silence().await,
                Some(sign) = signs.recv() => self.hear(sign).await,
                Some(friend) = typing.recv() => self.tell_typing(&friend).await,
                Some(Ok(beat)) = self.under_way.join_next() => self.settle(beat).await,
            };
            if let Err(failed) = done {
                return failed;
            }
        }
    }

    async fn greet_new_friends(&mut self) -> Result<(), Failed> {
        let bonds = self.context.store.call(|store| store.bonds()).await;
        let bonds = bonds.map_err(|error| Failed::Store(error.to_string()))?;
        let known = std::mem::take(&mut self.friends);
        self.friends = bonds.into_iter().map(|(name, ours, theirs)| (name, (ours, theirs))).collect();
        self.heard.retain(|name, _| self.friends.contains_key(name));
        let new: Vec<String> = self
            .friends
            .iter()
            .filter(|(name, queues)| known.get(*name) != Some(queues))
            .map(|(name, _)| name.clone())
            .collect();
        for friend in new {
            self.tell(&friend, self.own_state()).await?;
        }
        Ok(())
    }

    async fn tell_all(&mut self) -> Result<(), Failed> {
        let friends: Vec<String> = self.friends.keys().cloned().collect();
        for friend in friends {
            self.tell(&friend, self.own_state()).await?;
        }
        Ok(())
    }

    fn own_state(&self) -> Body {
        match &*self.context.away.borrow() {
            Some(note) => Body::Presence { state: PresenceState::Away, note: note.clone() },
            None => PresenceState::Online.into(),
        }
    }

    async fn tell(&mut self, friend: &str, body: Body) -> Result<(), Failed> {
        let Some((ours, theirs)) = self.friends.get(friend).cloned() else { return Ok(()) };
        let sign = Envelope::new(body).with_reply_to(ours);
        let pending: Pending = match self.publisher.publish(DEFAULT_EXCHANGE, &theirs, sign.clone()).await {
            Ok(pending) => pending,
            Err(PublishError::Failure(failure)) => return Err(Failed::Publishing(failure)),
            Err(error) => return Err(Failed::Store(error.to_string())),
        };
        let friend = friend.to_owned();
        self.under_way.spawn(async move { Beat { friend, key: theirs, sign, outcome: pending.await } });
        Ok(())
    }

    async fn tell_typing(&mut self, friend: &str) -> Result<(), Failed> {
        let now = Instant::now();
        let last = self.typed.get(friend).copied();
        if last.is_some_and(|at| now.duration_since(at) < TYPING_EVERY) || !self.heard.contains_key(friend) {
            return Ok(());
        }
        self.typed.insert(friend.to_owned(), now);
        self.tell(friend, Body::Typing {}).await
    }

    /// Whoever comes online cannot know yet that we are.
    async fn hear(&mut self, sign: Sign) -> Result<(), Failed> {
        if !self.friends.contains_key(&sign.user) {
            return Ok(());
        }
        if sign.state == PresenceState::Offline {
            self.heard.remove(&sign.user);
            return Ok(());
        }
        match self.heard.insert(sign.user.clone(), Instant::now()) {
            Some(_) => Ok(()),
            None => self.tell(&sign.user, self.own_state()).await,
        }
    }

    async fn notice_silence(&mut self) -> Result<(), Failed> {
        let now = Instant::now();
        let silent: Vec<String> = self
            .heard
            .iter()
            .filter(|(_, at)| now.duration_since(**at) > SILENCE_MAX)
            .map(|(name, _)| name.clone())
            .collect();
        for friend in silent {
            self.heard.remove(&friend);
            let lapsed = self.context.store.call(move |store| store.presence_lapsed(&friend)).await;
            lapsed.map_err(|error| Failed::Store(error.to_string()))?;
            self.context.changed().await;
        }
        Ok(())
    }

    async fn settle(&mut self, beat: Beat) -> Result<(), Failed> {
        match beat.outcome {
            Ok(Outcome::Confirmed | Outcome::Refused) => Ok(()),
            Err(failure) => Err(Failed::Publishing(failure)),
            Ok(Outcome::Returned { .. }) => {
                let Beat { friend, key, sign, .. } = beat;
                let told =
                    self.context.store.call(move |store| store.beat_returned(&friend, &key, &sign)).await;
                let events = told.map_err(|error| Failed::Store(error.to_string()))?;
                self.context.show(events).await;
                self.context.changed().await;
                Ok(())
            }
        }
    }
}
