//! Publishes what waits in the outbox for one exchange, in order, many at a time.
//!
//! There is a lane for friends' queues and one for the friend servers, so that requests which wait for a friend server to
//! be started do not hold up messages.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::poll_once;
use shared::client::{Failure, Link, Outcome, Pending, PublishError, Publisher};
use shared::topology::FRIENDS_EXCHANGE;
use tokio::time::sleep;

use crate::session::uplink::Context;
use crate::store::{Fate, Page, StoreError, Waiting};

/// Messages under way to the broker at a time.
const IN_FLIGHT_MAX: usize = 128;
/// After the broker could not take a message, or there is no friend server.
const PAUSE: Duration = Duration::from_secs(2);

/// Why publishing stopped.
enum Stop {
    /// The broker could not take a message: again, from the start, after a while.
    Pause,
    /// Again, from the start, at once.
    Again,
    /// The broker closed the channel over one of the messages under way.
    Channel,
    /// The connection is lost, or the local state.
    Lost(String),
}

/// Runs until the connection or the store fails; says how.
pub async fn run(link: Arc<Link>, context: Context, exchange: &'static str) -> String {
    let mut lane = Lane { context, exchange, one_by_one: 0, told: false };
    loop {
        let publisher = match link.publisher(IN_FLIGHT_MAX).await {
            Ok(publisher) => publisher,
            Err(failure) => return failure.to_string(),
        };
        match lane.publish_all(&publisher).await {
            Stop::Again => {}
            Stop::Pause => sleep(PAUSE).await,
            // One of them is to blame. Alone, it will show.
            Stop::Channel => lane.one_by_one = IN_FLIGHT_MAX,
            Stop::Lost(reason) => return reason,
        }
    }
}

struct Lane {
    context: Context,
    exchange: &'static str,
    /// So many more messages go alone.
    one_by_one: usize,
    /// The person knows that there is no friend server.
    told: bool,
}

struct UnderWay {
    waiting: Waiting,
    pending: Pending,
}

impl Lane {
    async fn publish_all(&mut self, publisher: &Publisher) -> Stop {
        let mut look = self.context.look.subscribe();
        let mut under_way: VecDeque<UnderWay> = VecDeque::new();
        let mut last = 0;
        loop {
            let limit = if self.one_by_one > 0 { 1 } else { IN_FLIGHT_MAX };
            let room = limit.saturating_sub(under_way.len());
            look.mark_unchanged();
            let mut sent = 0;
            if room > 0 {
                let page = match self.page(last, room + under_way.len()).await {
                    Ok(page) => page,
                    Err(error) => return Stop::Lost(error.to_string()),
                };
                let is_under_way =
                    |waiting: &Waiting| under_way.iter().any(|one: &UnderWay| one.waiting.seq == waiting.seq);
                let fresh: Vec<Waiting> =
                    page.waiting.into_iter().filter(|waiting| !is_under_way(waiting)).take(room).collect();
                sent = fresh.len();
                for waiting in fresh {
                    last = last.max(waiting.seq);
                    match self.send(publisher, waiting).await {
                        Ok(Some(one)) => under_way.push_back(one),
                        Ok(None) => {}
                        Err(stop) => return stop,
                    }
                }
                // What is held now must be looked at again.
                last = page.first_held.map_or(last, |held| last.min(held - 1));
            }
            // Only the waiting is cancelled by news, never the writing down.
            let idle = room > 0 && sent < room;
            if under_way.is_empty() && !idle {
                continue;
            }
            let outcome = tokio::select! {
                biased;
                Some(outcome) = first_outcome(&mut under_way), if !under_way.is_empty() => outcome,
                changed = look.changed(), if idle => match changed {
                    Ok(()) => continue,
                    Err(_) => return Stop::Lost("the session has ended".into()),
                },
            };
            if let Some(stop) = self.settle(&mut under_way, outcome).await {
                return stop;
            }
        }
    }

    async fn page(&self, after: i64, limit: usize) -> Result<Page, StoreError> {
        let exchange = self.exchange;
        self.context.store.call(move |store| store.outbox(exchange, after, limit)).await
    }

    async fn send(&mut self, publisher: &Publisher, waiting: Waiting) -> Result<Option<UnderWay>, Stop> {
        let outgoing = &waiting.outgoing;
        let publishing =
            publisher.publish(outgoing.exchange, &outgoing.routing_key, outgoing.envelope.clone());
        match publishing.await {
            Ok(pending) => Ok(Some(UnderWay { waiting, pending })),
            Err(PublishError::Failure(failure)) => Err(stop_for(&failure)),
            // It can never be sent.
            Err(error) => {
                let fate = Fate::Refused(error.to_string());
                self.write(vec![(waiting.seq, waiting.outgoing.routing_key, fate)]).await?;
                Ok(None)
            }
        }
    }

    /// Takes the outcome of the first message under way and what else is known by now, and writes it all down at once.
    async fn settle(
        &mut self,
        under_way: &mut VecDeque<UnderWay>,
        first: Result<Outcome, Failure>,
    ) -> Option<Stop> {
        let mut outcome = Some(first);
        let mut fates = Vec::new();
        let mut stop = None;
        while let Some(result) = outcome.take() {
            let Some(UnderWay { waiting, .. }) = under_way.pop_front() else { break };
            match self.fate(result, under_way.is_empty() && fates.is_empty()) {
                Ok(fate) => fates.push((waiting.seq, waiting.outgoing.routing_key, fate)),
                Err(reason) => {
                    stop = Some(reason);
                    break;
                }
            }
            if let Some(next) = under_way.front_mut() {
                outcome = poll_once(&mut next.pending).await;
            }
        }
        self.one_by_one = self.one_by_one.saturating_sub(fates.len());
        match self.write(fates).await {
            Ok(()) => stop,
            Err(written) => stop.or(Some(written)),
        }
    }

    /// `alone`: no other message can have caused the failure.
    fn fate(&self, result: Result<Outcome, Failure>, alone: bool) -> Result<Fate, Stop> {
        match result {
            Ok(Outcome::Confirmed) => Ok(Fate::Confirmed),
            Ok(Outcome::Returned { .. }) => Ok(Fate::Returned),
            Ok(Outcome::Refused) => Err(Stop::Pause),
            // The friends exchange is missing as long as no friend server ever ran.
            Err(failure) if self.exchange == FRIENDS_EXCHANGE && failure.is_not_found() => Ok(Fate::Returned),
            Err(Failure::Channel { text, .. }) if alone && self.one_by_one > 0 => Ok(Fate::Refused(text)),
            Err(failure) => Err(stop_for(&failure)),
        }
    }

    async fn write(&mut self, fates: Vec<(i64, String, Fate)>) -> Result<(), Stop> {
        if fates.is_empty() {
            return Ok(());
        }
        let closed = fates.iter().any(|(_, _, fate)| matches!(fate, Fate::Refused(_)));
        let settled = self.context.store.call(move |store| store.settled(&fates)).await;
        let settled = settled.map_err(|error| Stop::Lost(error.to_string()))?;
        self.context.show(settled.events).await;
        self.context.changed().await;
        if settled.no_friend_server {
            if !std::mem::replace(&mut self.told, true) {
                self.context
                    .notice(
                        "no friend server has run on this broker yet: the request waits here, and is tried again \
                         (start one with `cargo run --release -p friend-server`)",
                    )
                    .await;
            }
            return Err(Stop::Pause);
        }
        // A refusal closed the channel.
        if settled.again || closed { Err(Stop::Again) } else { Ok(()) }
    }
}

async fn first_outcome(under_way: &mut VecDeque<UnderWay>) -> Option<Result<Outcome, Failure>> {
    Some((&mut under_way.front_mut()?.pending).await)
}

fn stop_for(failure: &Failure) -> Stop {
    match failure.spares_the_connection() {
        true => Stop::Channel,
        false => Stop::Lost(failure.to_string()),
    }
}
