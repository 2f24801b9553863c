//! Asks the friend servers where our inbox is.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use shared::client::{Failure, Link, Outcome, PublishError, Publisher};
use shared::message::{Body, Envelope, Lifetime};
use shared::topology::{FRIENDS_EXCHANGE, reply_queue_name, reply_queue_options};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::session::uplink::Context;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses between questions double up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Asks until there is an answer, then does nothing any more. Returns only when the connection fails, and says how.
pub async fn run(link: Arc<Link>, context: Context) -> String {
    let mut pause = Duration::from_secs(1);
    let mut told = false;
    loop {
        match ask(&link, &context).await {
            Ok(Some(())) => std::future::pending().await,
            Ok(None) => {}
            Err(failure) if failure.spares_the_connection() => tracing::debug!(%failure, "hello failed"),
            Err(failure) => return failure.to_string(),
        }
        if !std::mem::replace(&mut told, true) {
            context
                .notice("no friend server answers: friend requests wait until one runs on this broker")
                .await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Asks once, on a channel of its own. `None`: nobody answered in time.
async fn ask(link: &Link, context: &Context) -> Result<Option<()>, Failure> {
    let channel = link.channel().await?;
    let publisher = link.publisher(1).await?;
    let queue = reply_queue_name();
    let mut answers = reply_queue(&channel, &queue).await?;
    let hello = Envelope {
        // Of no use to a friend server that starts when we no longer wait.
        lifetime: Lifetime::Transient { expires_after: ANSWER_TIMEOUT },
        ..Envelope::new(Body::Hello {}).with_reply_to(&queue)
    };
    let id = hello.id;
    let found = match timeout(ANSWER_TIMEOUT, answer(&publisher, hello, id, &mut answers)).await {
        Ok(found) => found?,
        Err(_) => None,
    };
    if let Some((inbox, account)) = &found {
        let (inbox, account) = (inbox.clone(), account.clone());
        let stored = context.store.call(move |store| store.welcome(&inbox, &account)).await;
        stored.map_err(|error| Failure::Lost(error.to_string()))?;
        context.changed().await;
    }
    // The reply queue deletes itself with its consumer. A channel that is closed already is fine.
    let _ = channel.close(200, "OK".into()).await;
    Ok(found.map(drop))
}

async fn reply_queue(channel: &Channel, queue: &str) -> Result<Consumer, Failure> {
    let options: QueueDeclareOptions = reply_queue_options();
    channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    Ok(channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?)
}

/// Inbox and account of the friend servers. Only they know the name of the reply queue, so whoever answers is one.
async fn answer(
    publisher: &Publisher,
    hello: Envelope,
    id: Uuid,
    answers: &mut Consumer,
) -> Result<Option<(String, String)>, Failure> {
    match publisher.publish_confirmed(FRIENDS_EXCHANGE, "", hello).await {
        Ok(Outcome::Confirmed) => {}
        // No friend server ever ran on this broker, or the broker is busy.
        Ok(Outcome::Returned { .. } | Outcome::Refused) => return Ok(None),
        Err(PublishError::Failure(failure)) if failure.is_not_found() => return Ok(None),
        Err(PublishError::Failure(failure)) => return Err(failure),
        Err(error) => return Err(Failure::Lost(error.to_string())),
    }
    while let Some(delivery) = answers.next().await {
        let Ok(envelope) = Envelope::from_delivery(&delivery?) else { continue };
        if let (Body::Welcome { inbox }, Some(account)) = (envelope.body, envelope.user_id)
            && envelope.correlation_id == Some(id)
        {
            return Ok(Some((inbox, account)));
        }
    }
    Ok(None)
}
