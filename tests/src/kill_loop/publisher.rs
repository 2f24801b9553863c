//! Publishes without a break, with mandatory and confirms.

use std::collections::VecDeque;

use broker::store::sim::Rng;
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};

use super::scene::{Account, Scene, body, read_body};
use crate::amqp;
use crate::promise::{Event, MessageId};

const BATCH_MAX: u64 = 100;

pub struct Publisher {
    id: u16,
    pub account: Account,
    rng: Rng,
    number: u64,
    batch: Batch,
}

/// Messages on their way together. lapin hands a return to any confirm that the same frame settles, so what was
/// returned is known once all of them are settled; the message itself says which it is.
#[derive(Default)]
struct Batch {
    /// Noted, and not known to be on its way.
    sending: Option<MessageId>,
    under_way: VecDeque<(MessageId, PublisherConfirm)>,
    returned: Vec<Event>,
    settled: Vec<Event>,
}

impl Publisher {
    pub fn new(id: u16, account: Account, rng: Rng) -> Publisher {
        Publisher { id, account, rng, number: 0, batch: Batch::default() }
    }

    /// Until the connection breaks. May be dropped anywhere; then [`Publisher::give_up`].
    pub async fn live(&mut self, scene: &Scene, url: &str) {
        let Ok(connection) = lapin::Connection::connect(url, Default::default()).await else { return };
        let Ok(channel) = connection.create_channel().await else { return };
        if channel.confirm_select(ConfirmSelectOptions::default()).await.is_err() {
            return;
        }
        while channel.status().connected() {
            for _ in 0..=self.rng.below(BATCH_MAX) {
                if self.publish(scene, &channel).await.is_err() {
                    return;
                }
            }
            self.batch.settle().await;
            self.batch.note(scene);
        }
    }

    /// The connection is dead: what has no outcome by now gets none.
    pub fn give_up(&mut self, scene: &Scene) {
        let batch = &mut self.batch;
        let under_way = batch.under_way.drain(..).map(|(message, _)| message);
        batch.settled.extend(batch.sending.take().into_iter().chain(under_way).map(Event::Unknown));
        batch.note(scene);
    }

    async fn publish(&mut self, scene: &Scene, channel: &Channel) -> lapin::Result<()> {
        let message = MessageId::new(self.id, self.number + 1);
        let Some(queue) = scene.publishing(message, self.account, &mut self.rng) else {
            // All queues are just being replaced.
            tokio::task::yield_now().await;
            return Ok(());
        };
        self.number += 1;
        self.batch.sending = Some(message);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (body, properties) = (body(message), amqp::persistent());
        let sent = channel.basic_publish("".into(), queue.as_str().into(), options, &body, properties);
        self.batch.under_way.push_back((message, sent.await?));
        self.batch.sending = None;
        Ok(())
    }
}

impl Batch {
    /// Waits for every outcome.
    async fn settle(&mut self) {
        while let Some((message, confirm)) = self.under_way.front_mut() {
            let (message, outcome) = (*message, confirm.await);
            self.under_way.pop_front();
            self.settled.push(match outcome {
                Ok(Confirmation::Ack(returned)) => {
                    let id = |returned: BasicReturnMessage| read_body(&returned.delivery.data).0;
                    self.returned.extend(returned.map(|returned| Event::Returned(id(returned))));
                    Event::Acked(message)
                }
                Ok(Confirmation::Nack(_)) => Event::Nacked(message),
                Ok(Confirmation::NotRequested) => panic!("not in confirm mode"),
                Err(_) => Event::Unknown(message),
            });
        }
    }

    fn note(&mut self, scene: &Scene) {
        scene.note_all(self.returned.drain(..).chain(self.settled.drain(..)));
    }
}
