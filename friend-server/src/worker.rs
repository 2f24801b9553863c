//! One connection's life: declare, consume, decide, forward, answer, acknowledge.

use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, ExchangeDeclareOptions,
    QueueBindOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Consumer, ExchangeKind};
use shared::client::{Failure, Link, Outcome, Pending, PublishError, Publisher};
use shared::message::{Body, Envelope};
use shared::topology::{self, DEFAULT_EXCHANGE, FRIENDS_EXCHANGE, Ownership, inbox_name};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

use crate::decide::{Decision, Request, decide, decide_undecodable};
use crate::limits::Limits;
use crate::secret::Secret;

/// What is in hand at shutdown should take milliseconds; a broker that is short of disk takes forever.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
const CONSUMER_TAG: &str = "friend-server";

pub(crate) struct Worker {
    pub secret: Secret,
    pub limits: Limits,
    pub prefetch: u16,
    pub on_ready: Option<Box<dyn FnOnce() + Send + Sync>>,
}

pub(crate) enum End {
    ShutDown,
    Failed(Failure),
}

/// What remains to be done for a request whose first message is on its way.
enum Job {
    /// Nothing was to be sent, or it is of no use any more.
    Done,
    /// An answer was sent to somebody.
    Answer { to: String, pending: Pending },
    /// A request was sent to the inbox of `to`; `sender` waits to hear of it.
    Forward { sender: String, to: String, id: Uuid, pending: Pending },
}

impl Worker {
    pub fn was_ready(&self) -> bool {
        self.on_ready.is_none()
    }

    /// Works on `link` until it fails or `shutdown` is done.
    pub async fn serve(&mut self, link: Link, shutdown: Pin<&mut impl Future<Output = ()>>) -> End {
        match self.work(&link, shutdown).await {
            Ok(()) => {
                if let Err(failure) = link.close().await {
                    debug!("{failure}");
                }
                End::ShutDown
            }
            Err(failure) => {
                // After an error on a channel the connection still stands, with unacknowledged requests.
                if failure.spares_the_connection() {
                    let _ = link.close().await;
                }
                End::Failed(failure)
            }
        }
    }

    async fn work(
        &mut self,
        link: &Link,
        mut shutdown: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), Failure> {
        let (channel, publisher, mut requests) = tokio::select! {
            ready = self.prepare(link) => ready?,
            failure = link.down() => return Err(failure),
            () = &mut shutdown => return Ok(()),
        };
        info!("ready: taking friend requests");
        if let Some(on_ready) = self.on_ready.take() {
            on_ready();
        }
        let mut in_hand = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                failure = link.down() => return Err(failure),
                Some(finished) = in_hand.join_next() => joined(finished)?,
                delivery = requests.next() => {
                    let delivery = delivery.ok_or_else(consumer_cancelled)??;
                    self.take(delivery, &publisher, &mut in_hand).await?;
                }
            }
        }
        info!("stopping: {} requests are in hand", in_hand.len());
        finish(&channel, in_hand).await
    }

    async fn prepare(&self, link: &Link) -> Result<(Channel, Publisher, Consumer), Failure> {
        let channel = link.channel().await?;
        self.declare(&channel, link.ownership()).await?;
        // Every request sends two messages, so publishing never waits for room.
        let publisher = link.publisher(usize::from(self.prefetch) * 2).await?;
        let requests = self.consume(&channel).await?;
        Ok((channel, publisher, requests))
    }

    async fn declare(&self, channel: &Channel, ownership: Ownership) -> Result<(), Failure> {
        let queue = ShortString::from(self.secret.request_queue().as_str());
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let none = FieldTable::default;
        channel.exchange_declare(FRIENDS_EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;
        let options = topology::request_queue_options();
        let arguments = topology::request_queue_arguments(ownership);
        channel.queue_declare(queue.clone(), options, arguments).await?;
        let bind = QueueBindOptions::default();
        channel.queue_bind(queue, FRIENDS_EXCHANGE.into(), "".into(), bind, none()).await?;
        Ok(())
    }

    async fn consume(&self, channel: &Channel) -> Result<Consumer, Failure> {
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let queue = self.secret.request_queue().as_str().into();
        let (tag, options) = (CONSUMER_TAG.into(), BasicConsumeOptions::default());
        Ok(channel.basic_consume(queue, tag, options, FieldTable::default()).await?)
    }

    /// Decides, and sends the first message in the order of the requests; the rest happens meanwhile.
    async fn take(
        &mut self,
        delivery: Delivery,
        publisher: &Publisher,
        in_hand: &mut JoinSet<Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let (id, decision) = self.decide(&delivery);
        let job = self.start(id, decision, publisher).await?;
        let (secret, publisher) = (self.secret.clone(), publisher.clone());
        in_hand.spawn(async move {
            carry_out(job, &publisher, &secret).await?;
            // Acknowledged last: whatever was cut short until here happens again, under the same id.
            delivery.acker.ack(BasicAckOptions::default()).await?;
            Ok(())
        });
        Ok(())
    }

    fn decide(&mut self, delivery: &Delivery) -> (Uuid, Decision) {
        let now = Instant::now();
        match Envelope::from_delivery(delivery) {
            Ok(envelope) => {
                let request = Request { envelope: &envelope, redelivered: delivery.redelivered };
                (envelope.id, decide(request, now, &mut self.limits))
            }
            Err(error) => {
                let properties = &delivery.properties;
                let text = |property: &Option<ShortString>| property.as_ref().map(ShortString::to_string);
                let (sender, kind) = (text(properties.user_id()), text(properties.kind()));
                let id = text(properties.message_id()).and_then(|id| Uuid::try_parse(&id).ok());
                let (sender, kind) = (sender.as_deref(), kind.as_deref());
                let decision = decide_undecodable(error, sender, kind, id, now, &mut self.limits);
                (id.unwrap_or_default(), decision)
            }
        }
    }

    async fn start(&self, id: Uuid, decision: Decision, publisher: &Publisher) -> Result<Job, Failure> {
        match decision {
            Decision::Ignore(ignored) => {
                warn!("dropped {}", one_line(&ignored.to_string()));
                Ok(Job::Done)
            }
            Decision::Welcome { sender, reply_to } => {
                debug!("{sender} asked for the inbox");
                let inbox = inbox_name(self.secret.key(), &sender);
                let welcome = Envelope::new(Body::Welcome { inbox }).answering(id);
                let sent = publisher.publish(DEFAULT_EXCHANGE, &reply_to, welcome).await;
                Ok(unless_impossible(sent)?.map_or(Job::Done, |pending| Job::Answer { to: sender, pending }))
            }
            Decision::Reject { sender, body } => {
                if let Body::RequestRejected { to, reason, .. } = &body {
                    info!("rejected a request of {sender} to {to:?}: {}", one_line(reason));
                }
                let pending = self.answer(&sender, id, body, publisher).await?;
                Ok(pending.map_or(Job::Done, |pending| Job::Answer { to: sender, pending }))
            }
            Decision::Forward { sender, to, body, reply_to } => {
                let inbox = inbox_name(self.secret.key(), &to);
                let envelope = Envelope { reply_to, ..Envelope::new(body).with_id(id) };
                let sent = publisher.publish(DEFAULT_EXCHANGE, &inbox, envelope).await;
                let forward = |pending| Job::Forward { sender, to, id, pending };
                Ok(unless_impossible(sent)?.map_or(Job::Done, forward))
            }
        }
    }

    async fn answer(
        &self,
        to: &str,
        id: Uuid,
        body: Body,
        publisher: &Publisher,
    ) -> Result<Option<Pending>, Failure> {
        answer(to, id, body, publisher, &self.secret).await
    }
}

async fn carry_out(job: Job, publisher: &Publisher, secret: &Secret) -> Result<(), Failure> {
    match job {
        Job::Done => Ok(()),
        Job::Answer { to, pending } => answered(&to, pending).await,
        Job::Forward { sender, to, id, pending } => {
            let body = match pending.await? {
                Outcome::Confirmed => {
                    info!("forwarded a request of {sender} to {to}");
                    Body::RequestForwarded { to }
                }
                Outcome::Returned { .. } => {
                    info!("{sender} asked for {to}, who has no inbox");
                    let reason = format!(
                        "there is no user called {to} here, or {to} was never online; check the name"
                    );
                    Body::RequestFailed { to, reason }
                }
                Outcome::Refused => return Err(refused()),
            };
            match answer(&sender, id, body, publisher, secret).await? {
                Some(pending) => answered(&sender, pending).await,
                None => Ok(()),
            }
        }
    }
}

/// Sends `body` to the inbox of `to`. `None` if it cannot ever be sent, which is logged.
async fn answer(
    to: &str,
    id: Uuid,
    body: Body,
    publisher: &Publisher,
    secret: &Secret,
) -> Result<Option<Pending>, Failure> {
    let inbox = inbox_name(secret.key(), to);
    let envelope = Envelope::new(body).answering(id);
    unless_impossible(publisher.publish(DEFAULT_EXCHANGE, &inbox, envelope).await)
}

async fn answered(to: &str, pending: Pending) -> Result<(), Failure> {
    match pending.await? {
        Outcome::Confirmed => Ok(()),
        Outcome::Returned { .. } => {
            info!("{to} cannot be answered: the queue for the answer does not exist");
            Ok(())
        }
        Outcome::Refused => Err(refused()),
    }
}

/// A message that cannot be encoded would fail for ever, so its request is dropped.
fn unless_impossible(sent: Result<Pending, PublishError>) -> Result<Option<Pending>, Failure> {
    match sent {
        Ok(pending) => Ok(Some(pending)),
        Err(PublishError::Failure(failure)) => Err(failure),
        Err(impossible) => {
            error!("a message cannot be sent and is dropped: {impossible}");
            Ok(None)
        }
    }
}

/// After `basic.nack` the request stays unacknowledged and comes again with the next connection.
fn refused() -> Failure {
    Failure::Lost("it refused a message; it may be short of memory or disk".to_owned())
}

fn consumer_cancelled() -> Failure {
    Failure::Lost("it ended the consumer; was the request queue deleted?".to_owned())
}

/// Without line breaks and escape sequences: senders must not write lines of their own into the log.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn joined(finished: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    finished.unwrap_or_else(|error| Err(Failure::Lost(format!("a request's task died: {error}"))))
}

async fn finish(channel: &Channel, mut in_hand: JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    let finishing = async {
        channel.basic_cancel(CONSUMER_TAG.into(), BasicCancelOptions::default()).await?;
        while let Some(finished) = in_hand.join_next().await {
            joined(finished)?;
        }
        Ok(())
    };
    match timeout(FINISH_TIMEOUT, finishing).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            let failure: Failure = failure;
            warn!("requests in hand are left to other workers: {failure}");
        }
        Err(_) => warn!("requests in hand are left to other workers: the broker is too slow"),
    }
    Ok(())
}
