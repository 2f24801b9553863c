//! Everything that runs while there is a connection. The first of its tasks to fail ends the connection for all: what was
//! under way is in the store, and the next connection starts from there.
//!
//! - [`queues`]: own and consume what the store says, delete what it gave up.
//! - [`intake`]: what arrives goes into the store, then is acknowledged.
//! - [`lane`]: publish the outbox in order.
//! - [`elsewhere`]: the same user with another data folder.
//! - [`hello`]: ask the friend servers for the inbox.
//! - [`receipts`]: say what arrived and what was read.
//! - [`presence`]: signs of life, typing, last words.

mod elsewhere;
mod hello;
mod intake;
mod lane;
mod presence;
mod queues;
mod receipts;

use std::sync::Arc;
use std::time::Duration;

use shared::client::{Link, LinkState};
use shared::topology::{DEFAULT_EXCHANGE, FRIENDS_EXCHANGE};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::uplink::{Context, left};

/// How long a session that leaves waits for its outbox to empty.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) enum Ended {
    /// As asked.
    Left,
    Lost(String),
}

/// Stays online over `link` until it is lost or the session leaves.
pub(super) async fn run(link: Link, context: &Context, typing: &mut mpsc::Receiver<String>) -> Ended {
    let link = Arc::new(link);
    let mut tasks = JoinSet::new();
    let (arrivals, arriving) = mpsc::channel(intake::ARRIVALS_MAX);
    let (emptied, empty_queues) = mpsc::unbounded_channel();
    let (heard, signs) = mpsc::channel(intake::SIGNS_MAX);
    tasks.spawn(queues::run(Arc::clone(&link), context.clone(), arrivals, empty_queues));
    tasks.spawn(intake::run(context.clone(), arriving, emptied, heard));
    tasks.spawn(lane::run(Arc::clone(&link), context.clone(), DEFAULT_EXCHANGE));
    tasks.spawn(lane::run(Arc::clone(&link), context.clone(), FRIENDS_EXCHANGE));
    tasks.spawn(receipts::run(context.clone()));
    tasks.spawn(hello::run(Arc::clone(&link), context.clone()));

    let mut leave = context.leave.clone();
    let presence = presence::run(&link, context, signs, typing);
    let lost = tokio::select! {
        failure = link.down() => failure.to_string(),
        Some(failed) = tasks.join_next() => failed.unwrap_or_else(|error| format!("a task failed: {error}")),
        failure = presence => failure,
        failure = watch_blocked(&link, context) => failure,
        () = left(&mut leave) => {
            let flushed = tokio::time::timeout(FLUSH_TIMEOUT, flush(context)).await;
            tracing::debug!(flushed = flushed.is_ok(), "leaving");
            // Whoever is told that we are offline is not told afterwards that something was delivered.
            tasks.shutdown().await;
            let _ = tokio::time::timeout(FLUSH_TIMEOUT, presence::say_goodbye(&link, context)).await;
            // The broker may be gone by now, which is as good as closed.
            let _ = link.close().await;
            return Ended::Left;
        }
    };
    Ended::Lost(lost)
}

/// Says when the broker takes no messages.
async fn watch_blocked(link: &Link, context: &Context) -> String {
    let mut state = link.state();
    while state.changed().await.is_ok() {
        let blocked = match &*state.borrow_and_update() {
            LinkState::Blocked { reason } => Some(reason.clone()),
            _ => None,
        };
        if let Some(reason) = blocked {
            context
                .notice(format!(
                    "the broker takes no messages for now ({reason}): yours wait, and go out later"
                ))
                .await;
        }
    }
    std::future::pending().await
}

/// Writes the receipts that are owed, and waits until the broker has seen everything.
async fn flush(context: &Context) {
    let mut look = context.look.subscribe();
    loop {
        look.mark_unchanged();
        match context.store.call(|store| Ok((store.write_receipts()?, store.pending()?))).await {
            Ok((_, 0)) | Err(_) => return,
            Ok((true, _)) => context.look.send_modify(|count| *count += 1),
            Ok((false, _)) => {}
        }
        if look.changed().await.is_err() {
            return;
        }
    }
}
