//! The same user with another data folder, perhaps at another machine. Both would miss half of the friend requests if they
//! took turns at the inbox, so one of them has it alone, and gives it up if the other asks for that. They find each other by
//! a queue whose name only they can know: it is made from that of the inbox.

use std::sync::Arc;

use futures_lite::StreamExt;
use lapin::Consumer;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use shared::client::{Failure, Link, Outcome};
use shared::message::{Body, Envelope};
use shared::topology::{DEFAULT_EXCHANGE, takeover_queue_name};
use tokio::sync::mpsc;

/// Listens for another session that wants the inbox, until `wanted` is dropped.
pub async fn listen(
    link: &Arc<Link>,
    me: &str,
    inbox: &str,
    wanted: mpsc::Sender<()>,
) -> Result<(), Failure> {
    let channel = link.channel().await?;
    let queue = takeover_queue_name(inbox);
    let mut options = link.ownership().declare_options();
    // It means nothing without somebody who listens.
    options.auto_delete = true;
    channel.queue_declare(queue.as_str().into(), options, link.ownership().declare_arguments()).await?;
    let consumer = channel
        .basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let me = me.to_owned();
    tokio::spawn(async move {
        tokio::select! {
            () = hear(consumer, &me, &wanted) => {}
            () = wanted.closed() => {}
        }
        // A channel that is closed already is fine.
        let _ = channel.close(200, "OK".into()).await;
    });
    Ok(())
}

/// Passes on what this very user asks for; others may have learned the name of the queue.
async fn hear(mut consumer: Consumer, me: &str, wanted: &mpsc::Sender<()>) {
    while let Some(Ok(delivery)) = consumer.next().await {
        let asks = Envelope::from_delivery(&delivery).is_ok_and(|envelope| {
            envelope.user_id.as_deref() == Some(me) && envelope.body == Body::TakeOver {}
        });
        if delivery.acker.ack(BasicAckOptions::default()).await.is_err()
            || (asks && wanted.send(()).await.is_err())
        {
            return;
        }
    }
}

/// Asks the session that has the inbox to give it up; false if it does not listen.
pub async fn ask(link: &Link, inbox: &str) -> Result<bool, String> {
    let publisher = link.publisher(1).await.map_err(|failure| failure.to_string())?;
    let body = Envelope::new(Body::TakeOver {});
    let outcome = publisher.publish_confirmed(DEFAULT_EXCHANGE, &takeover_queue_name(inbox), body).await;
    Ok(matches!(outcome.map_err(|error| error.to_string())?, Outcome::Confirmed))
}
