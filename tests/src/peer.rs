//! A chat user at the level of messages, for what `chat-tui` would never do or show.

use std::collections::VecDeque;

use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use shared::client::{Link, Options, Outcome, Publisher, SignUp, connect};
use shared::message::{Body, Envelope};
use shared::topology::{
    DEFAULT_EXCHANGE, FRIENDS_EXCHANGE, friend_queue_name, reply_queue_name, reply_queue_options,
};

use crate::amqp::soon;
use crate::{Broker, ChatUser};

/// Signed in, with a channel to declare and consume on and one to publish on.
pub struct Peer {
    link: Link,
    pub channel: Channel,
    publisher: Publisher,
}

/// A queue that is consumed from; everything is acknowledged as it is taken.
pub struct Mailbox {
    pub name: String,
    consumer: Consumer,
    put_back: VecDeque<Envelope>,
}

impl Peer {
    /// With a new account.
    pub async fn signed_up(broker: &Broker, name: &str) -> Peer {
        Peer::connected(broker, name, Some(SignUp::Open)).await
    }

    /// With the account of somebody who also uses `chat-tui`.
    pub async fn signed_in(broker: &Broker, name: &str) -> Peer {
        Peer::connected(broker, name, None).await
    }

    async fn connected(broker: &Broker, name: &str, sign_up: Option<SignUp>) -> Peer {
        let url = broker.url().parse::<shared::client::BrokerUri>();
        let url = url.unwrap_or_else(|error| panic!("{error}")).with_login(name, ChatUser::PASSWORD);
        let options = Options { sign_up, ..Options::new("e2e", "0") };
        let link = connect(&url, &options).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let channel = link.channel().await.unwrap_or_else(|error| panic!("{name}: {error}"));
        let publisher = link.publisher(100).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        Peer { link, channel, publisher }
    }

    pub fn name(&self) -> &str {
        self.link.user()
    }

    /// Sends and waits for the outcome.
    pub async fn publish(&self, exchange: &str, key: &str, envelope: Envelope) -> Outcome {
        let published = soon("a confirm", self.publisher.publish_confirmed(exchange, key, envelope)).await;
        published.unwrap_or_else(|error| panic!("{}: {error}", self.name()))
    }

    pub async fn tell_friend_servers(&self, envelope: Envelope) -> Outcome {
        self.publish(FRIENDS_EXCHANGE, "", envelope).await
    }

    pub async fn tell(&self, queue: &str, envelope: Envelope) -> Outcome {
        self.publish(DEFAULT_EXCHANGE, queue, envelope).await
    }

    /// Asks for the inbox; returns the answer as it came.
    pub async fn hello(&self) -> Envelope {
        let name = reply_queue_name();
        let none = FieldTable::default();
        let declared = self.channel.queue_declare(name.as_str().into(), reply_queue_options(), none).await;
        declared.unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        let mut replies = self.consume(&name).await;
        let hello = Envelope::new(Body::Hello {}).with_reply_to(&name);
        assert_eq!(self.tell_friend_servers(hello).await, Outcome::Confirmed);
        replies.next().await
    }

    /// The inbox, asked for, declared and consumed from.
    pub async fn inbox(&self) -> Mailbox {
        let Body::Welcome { inbox } = self.hello().await.body else { panic!("no welcome") };
        self.declare(&inbox).await;
        self.consume(&inbox).await
    }

    /// A new friend queue, which only this user can read.
    pub async fn friend_queue(&self) -> String {
        let name = friend_queue_name();
        self.declare(&name).await;
        name
    }

    async fn declare(&self, queue: &str) {
        let ownership = self.link.ownership();
        let (options, arguments) = (ownership.declare_options(), ownership.declare_arguments());
        let declared = soon("a queue", self.channel.queue_declare(queue.into(), options, arguments)).await;
        declared.unwrap_or_else(|error| panic!("{}: {error}", self.name()));
    }

    pub async fn consume(&self, queue: &str) -> Mailbox {
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consumer =
            soon("a consumer", self.channel.basic_consume(queue.into(), "".into(), options, none)).await;
        let consumer = consumer.unwrap_or_else(|error| panic!("{}: {error}", self.name()));
        Mailbox { name: queue.to_owned(), consumer, put_back: VecDeque::new() }
    }

    /// Asks `to` to be friends, with an answer to `reply_to`.
    pub async fn ask(&self, to: &str, reply_to: &str) -> Envelope {
        let request = Body::FriendRequest { to: to.to_owned(), note: String::new() };
        let request = Envelope::new(request).with_reply_to(reply_to);
        assert_eq!(self.tell_friend_servers(request.clone()).await, Outcome::Confirmed);
        request
    }
}

impl Mailbox {
    pub async fn next(&mut self) -> Envelope {
        if let Some(envelope) = self.put_back.pop_front() {
            return envelope;
        }
        let delivery = crate::amqp::next(&mut self.consumer).await;
        let acked = delivery.acker.ack(BasicAckOptions::default()).await;
        acked.unwrap_or_else(|error| panic!("cannot ack: {error}"));
        Envelope::from_delivery(&delivery).unwrap_or_else(|error| panic!("no chat message: {error}"))
    }

    /// The next message that passes; what came before it is kept.
    pub async fn next_that(&mut self, passes: impl Fn(&Body) -> bool) -> Envelope {
        let mut others = VecDeque::new();
        loop {
            let envelope = self.next().await;
            if passes(&envelope.body) {
                others.append(&mut self.put_back);
                self.put_back = others;
                return envelope;
            }
            others.push_back(envelope);
        }
    }
}
