//! Keeps one queue at a time: consumes from it, and replaces it now and then.

use broker::store::sim::Rng;
use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use shared::topology::{Ownership, friend_queue_name};
use tokio::sync::{Barrier, watch};

use super::scene::{Account, Scene, read_body};
use crate::amqp;
use crate::promise::{Event, MessageId, QueueNumber};

const PREFETCH: u16 = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Acks,
    /// Acks in transactions.
    Commits,
    /// Lets messages pile up for some lives of the broker, and purges them at times.
    Parks,
}

pub struct Keeper {
    pub account: Account,
    style: Style,
    rng: Rng,
    queue: Option<Kept>,
}

struct Kept {
    number: QueueNumber,
    name: String,
    /// `queue.delete` was sent, and nothing heard of it.
    deleting: bool,
}

/// Deliveries that were not settled.
type Hand = Vec<(u64, MessageId)>;

impl Keeper {
    pub fn new(account: Account, style: Style, rng: Rng) -> Keeper {
        Keeper { account, style, rng, queue: None }
    }

    /// Until the broker is gone. Passes `ready` once there is a queue to publish to.
    pub async fn live(&mut self, scene: &Scene, url: &str, ready: &Barrier, is_over: watch::Receiver<bool>) {
        let connection = amqp::connect(url).await;
        self.find_queue(scene, &connection).await.unwrap_or_else(|error| panic!("no queue: {error}"));
        ready.wait().await;
        // Every error from here on means that the broker was killed.
        if self.style == Style::Parks && self.rng.below(6) > 0 {
            let _ = self.park(scene, &connection, is_over).await;
            return;
        }
        while self.consume(scene, &connection).await.is_ok() && connection.status().connected() {}
    }

    /// The queue of before, or a new one.
    async fn find_queue(&mut self, scene: &Scene, connection: &Connection) -> lapin::Result<()> {
        if let Some(kept) = &self.queue {
            let present = is_present(connection, &kept.name).await;
            scene.note(if present { Event::Present(kept.number) } else { Event::Absent(kept.number) });
            if kept.deleting {
                self.delete(scene, &connection.create_channel().await?).await?;
            } else if !present {
                self.queue = None;
            }
        }
        if self.queue.is_none() {
            self.declare(scene, &connection.create_channel().await?).await?;
        }
        Ok(())
    }

    async fn declare(&mut self, scene: &Scene, channel: &Channel) -> lapin::Result<()> {
        let number = scene.next_queue();
        let (name, options, arguments) = match self.account {
            Account::Bob => {
                let own = Ownership::UserExclusive;
                (friend_queue_name(), own.declare_options(), own.declare_arguments())
            }
            _ => (format!("kept.{}", number.0), QueueDeclareOptions::durable(), FieldTable::default()),
        };
        channel.queue_declare(name.as_str().into(), options, arguments).await?;
        scene.declared(number, &name, self.account);
        self.queue = Some(Kept { number, name, deleting: false });
        Ok(())
    }

    async fn delete(&mut self, scene: &Scene, channel: &Channel) -> lapin::Result<()> {
        let Some(kept) = &mut self.queue else { return Ok(()) };
        kept.deleting = true;
        scene.note(Event::Deleting(kept.number));
        channel.queue_delete(kept.name.as_str().into(), QueueDeleteOptions::default()).await?;
        scene.deleted_ok(kept.number);
        self.queue = None;
        Ok(())
    }

    async fn park(
        &mut self,
        scene: &Scene,
        connection: &Connection,
        mut is_over: watch::Receiver<bool>,
    ) -> lapin::Result<()> {
        let channel = connection.create_channel().await?;
        if let (Some(kept), 0) = (&self.queue, self.rng.below(4)) {
            scene.note(Event::Purging(kept.number));
            channel.queue_purge(kept.name.as_str().into(), QueuePurgeOptions::default()).await?;
            scene.note(Event::Purged(kept.number));
        }
        // Its sender lives as long as the broker.
        let _ = is_over.wait_for(|over| *over).await;
        Ok(())
    }

    /// Consumes until the queue is deleted, and makes the next one; or until the connection breaks.
    async fn consume(&mut self, scene: &Scene, connection: &Connection) -> lapin::Result<()> {
        let channel = connection.create_channel().await?;
        if self.style == Style::Commits {
            channel.tx_select().await?;
        }
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let Some(kept) = &self.queue else { return Ok(()) };
        let (number, name) = (kept.number, kept.name.clone());
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let mut consumer = channel.basic_consume(name.as_str().into(), "".into(), options, none).await?;
        let mut hand = Hand::new();
        loop {
            // It ends without an error when the connection does.
            let Some(delivery) = consumer.next().await else { return Ok(()) };
            let delivery = delivery?;
            let message = note_delivery(scene, number, &delivery);
            hand.push((delivery.delivery_tag, message));
            if self.rng.below(700) == 0 {
                break;
            }
            self.settle(scene, &channel, &mut hand).await?;
        }
        self.delete(scene, &channel).await?;
        self.declare(scene, &channel).await
    }

    /// What a consumer does behind a delivery: ack it or all so far, give it back, or nothing yet.
    async fn settle(&mut self, scene: &Scene, channel: &Channel, hand: &mut Hand) -> lapin::Result<()> {
        let Some(&(tag, message)) = hand.last() else { return Ok(()) };
        let settled: Vec<MessageId> = match self.rng.below(20) {
            0 if self.style == Style::Acks => {
                hand.pop();
                scene.note(Event::Requeueing(message));
                let options = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
                return channel.basic_nack(tag, options).await;
            }
            1..9 => {
                hand.pop();
                vec![message]
            }
            9..14 => hand.drain(..).map(|(_, message)| message).collect(),
            _ if hand.len() > usize::from(PREFETCH) / 2 => {
                hand.drain(..).map(|(_, message)| message).collect()
            }
            _ => return Ok(()),
        };
        scene.note_all(settled.iter().copied().map(Event::Settling));
        channel.basic_ack(tag, BasicAckOptions { multiple: settled.len() > 1 }).await?;
        if self.style == Style::Commits {
            channel.tx_commit().await?;
            scene.note_all(settled.into_iter().map(Event::Settled));
        }
        Ok(())
    }

    /// Everything that is in the queue at the end.
    pub async fn drain(&self, scene: &Scene, url: &str) {
        let connection = amqp::connect(url).await;
        let Some(kept) = &self.queue else { return };
        let present = is_present(&connection, &kept.name).await;
        scene.note(if present { Event::Present(kept.number) } else { Event::Absent(kept.number) });
        if !present {
            return;
        }
        let channel = amqp::channel(&connection).await;
        for delivery in amqp::drain(&channel, &kept.name).await {
            note_delivery(scene, kept.number, &delivery);
        }
        scene.note(Event::Drained(kept.number));
    }
}

fn note_delivery(scene: &Scene, queue: QueueNumber, delivery: &Delivery) -> MessageId {
    let (message, intact) = read_body(&delivery.data);
    scene.note(Event::Delivered { message, queue, redelivered: delivery.redelivered, intact });
    message
}

/// A passive declaration that fails closes its channel, so it gets one of its own.
async fn is_present(connection: &Connection, name: &str) -> bool {
    let channel = amqp::channel(connection).await;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    amqp::soon("an answer", channel.queue_declare(name.into(), passive, FieldTable::default())).await.is_ok()
}
