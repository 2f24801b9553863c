//! Publishing with `mandatory` and confirms, many messages at a time, in order.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_lite::future::poll_once;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::confirms::{Confirms, Key, Outcome, Return};
use super::failure::Failure;
use crate::message::{EncodeError, Envelope};

/// Publishes on a channel of its own, under its connection's user name. Clones share the channel.
///
/// Messages are sent in the order of the calls to [`publish`](Self::publish), each `mandatory` and
/// confirmed. When the channel closes, everything unconfirmed and everything after it fails: make a new
/// publisher, or a new connection if the [`Failure`] says so, and send again what must not be lost.
#[derive(Debug, Clone)]
pub struct Publisher {
    user: String,
    commands: mpsc::Sender<Box<Command>>,
}

/// The outcome of one message, when it is known. Dropping it does not take the message back.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Outcome, Failure>>);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishError {
    /// Sending it again will not help.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the name of a queue or exchange is {0} bytes long; AMQP carries at most 255")]
    NameTooLong(usize),
    #[error(transparent)]
    Failure(#[from] Failure),
}

#[derive(Debug)]
struct Command {
    exchange: ShortString,
    routing_key: ShortString,
    properties: BasicProperties,
    body: Vec<u8>,
    key: Key,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Outcome, Failure>>;

impl Publisher {
    pub(super) async fn open(channel: Channel, user: String, in_flight_max: usize) -> Result<Self, Failure> {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let (commands, receiver) = mpsc::channel(in_flight_max.max(1));
        let actor = Actor {
            channel,
            commands: receiver,
            in_flight_max: in_flight_max.max(1),
            confirms: Confirms::default(),
            waiting: HashMap::new(),
            answers: HashMap::new(),
            sending: None,
            held_back: None,
            closed_by: None,
            last_number: 0,
        };
        tokio::spawn(actor.run());
        Ok(Self { user, commands })
    }

    /// Sends `envelope` to `exchange` with `routing_key`, and waits only until there is room for it under
    /// way. Its `user_id` becomes this connection's user.
    pub async fn publish(
        &self,
        exchange: &str,
        routing_key: &str,
        envelope: Envelope,
    ) -> Result<Pending, PublishError> {
        let envelope = Envelope { user_id: Some(self.user.clone()), ..envelope };
        let (properties, body) = envelope.to_amqp()?;
        let name = |name: &str| ShortString::try_new(name).map_err(|_| PublishError::NameTooLong(name.len()));
        let (answer, pending) = oneshot::channel();
        let command = Box::new(Command {
            exchange: name(exchange)?,
            routing_key: name(routing_key)?,
            properties,
            body,
            key: Key {
                exchange: exchange.to_owned(),
                routing_key: routing_key.to_owned(),
                message_id: envelope.id.to_string(),
            },
            answer,
        });
        self.commands.send(command).await.map_err(|_| stopped())?;
        Ok(Pending(pending))
    }

    /// Like [`publish`](Self::publish), and waits for the outcome.
    pub async fn publish_confirmed(
        &self,
        exchange: &str,
        routing_key: &str,
        envelope: Envelope,
    ) -> Result<Outcome, PublishError> {
        Ok(self.publish(exchange, routing_key, envelope).await?.await?)
    }
}

impl Future for Pending {
    type Output = Result<Outcome, Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|outcome| outcome.unwrap_or_else(|_| Err(stopped())))
    }
}

fn stopped() -> Failure {
    Failure::Lost("the publisher has stopped".to_owned())
}

type Sending = Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send>>;
type Completed = (u64, lapin::Result<Confirmation>);

/// Owns the channel and everything under way on it.
struct Actor {
    channel: Channel,
    commands: mpsc::Receiver<Box<Command>>,
    in_flight_max: usize,
    confirms: Confirms,
    waiting: HashMap<u64, PublisherConfirm>,
    answers: HashMap<u64, Answer>,
    /// The message being written to the socket: one at a time, for the order.
    sending: Option<(u64, Sending)>,
    /// Waits for a message with the same key.
    held_back: Option<Box<Command>>,
    closed_by: Option<Failure>,
    last_number: u64,
}

enum Step {
    Next(Option<Box<Command>>),
    Completed(Vec<Completed>),
}

impl Actor {
    async fn run(mut self) {
        let mut open = true;
        while open || !self.answers.is_empty() || self.held_back.is_some() {
            match poll_fn(|cx| self.poll_step(cx, open)).await {
                Step::Next(Some(command)) => self.start_unless_under_way(command),
                Step::Next(None) => open = false,
                Step::Completed(completed) => self.settle(completed).await,
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>, open: bool) -> Poll<Step> {
        self.poll_sending(cx);
        let completed = self.poll_waiting(cx);
        if !completed.is_empty() {
            return Poll::Ready(Step::Completed(completed));
        }
        if !self.has_room() {
            return Poll::Pending;
        }
        if let Some(command) = self.held_back.take_if(|held| !self.confirms.is_under_way(&held.key)) {
            return Poll::Ready(Step::Next(Some(command)));
        }
        match open && self.held_back.is_none() {
            true => self.commands.poll_recv(cx).map(Step::Next),
            // The last message failed while it was sent; let `run` see that nothing is left.
            false if self.answers.is_empty() => Poll::Ready(Step::Completed(Vec::new())),
            false => Poll::Pending,
        }
    }

    fn has_room(&self) -> bool {
        self.sending.is_none() && self.answers.len() < self.in_flight_max
    }

    fn start_unless_under_way(&mut self, command: Box<Command>) {
        if self.confirms.is_under_way(&command.key) {
            self.held_back = Some(command);
            return;
        }
        self.last_number += 1;
        let number = self.last_number;
        let Command { exchange, routing_key, properties, body, key, answer } = *command;
        self.confirms.publish(number, key);
        self.answers.insert(number, answer);
        let channel = self.channel.clone();
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sending =
            async move { channel.basic_publish(exchange, routing_key, options, &body, properties).await };
        self.sending = Some((number, Box::pin(sending)));
    }

    fn poll_sending(&mut self, cx: &mut Context<'_>) {
        let Some((number, sending)) = &mut self.sending else { return };
        let Poll::Ready(sent) = sending.as_mut().poll(cx) else { return };
        let number = *number;
        self.sending = None;
        match sent {
            Ok(confirm) => drop(self.waiting.insert(number, confirm)),
            Err(error) => self.fail(number, &error),
        }
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Vec<Completed> {
        let mut completed = Vec::new();
        self.waiting.retain(|&number, confirm| match Pin::new(confirm).poll(cx) {
            Poll::Ready(result) => {
                completed.push((number, result));
                false
            }
            Poll::Pending => true,
        });
        completed
    }

    async fn settle(&mut self, mut completed: Vec<Completed>) {
        // One `basic.ack` may complete many confirms, and we may have seen only some of them so far. To
        // touch lapin's list of confirms waits until it is done with that; then look again.
        while !completed.is_empty() {
            for (number, result) in completed {
                self.complete(number, result);
            }
            let _ = poll_once(self.channel.wait_for_confirms()).await;
            completed = poll_fn(|cx| Poll::Ready(self.poll_waiting(cx))).await;
        }
        for (number, outcome) in self.confirms.settle() {
            self.answer(number, Ok(outcome));
        }
        if !self.channel.status().connected() && self.waiting.is_empty() {
            // What could have told these apart is gone with the channel.
            for number in self.confirms.abandon() {
                self.answer(number, Err(Failure::Lost("the channel was closed".to_owned())));
            }
        }
    }

    fn complete(&mut self, number: u64, result: lapin::Result<Confirmation>) {
        match result {
            Ok(confirmation) => {
                let acked = !confirmation.is_nack();
                let carried = confirmation.take_message().map(|message| named(&message));
                self.confirms.complete(number, acked, carried);
            }
            Err(error) => self.fail(number, &error),
        }
    }

    fn fail(&mut self, number: u64, error: &lapin::Error) {
        self.confirms.forget(number);
        let failure = Failure::from(error);
        // What closed the channel says more than the closed channel does afterwards.
        let why = match (failure, self.closed_by.take()) {
            (Failure::Lost(_), Some(earlier)) => earlier,
            (failure, _) => failure,
        };
        self.closed_by = Some(why.clone());
        self.answer(number, Err(why));
    }

    fn answer(&mut self, number: u64, outcome: Result<Outcome, Failure>) {
        if let Some(answer) = self.answers.remove(&number) {
            // Nobody has to listen.
            let _ = answer.send(outcome);
        }
    }
}

fn named(message: &BasicReturnMessage) -> Return {
    let id = message.delivery.properties.message_id();
    Return {
        key: Key {
            exchange: message.delivery.exchange.to_string(),
            routing_key: message.delivery.routing_key.to_string(),
            message_id: id.as_ref().map(ShortString::to_string).unwrap_or_default(),
        },
        code: message.reply_code,
        text: message.reply_text.to_string(),
    }
}
