//! What arrives goes into the store, many messages to a transaction, and is acknowledged only then.

use std::collections::BTreeSet;

use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use shared::client::Failure;
use shared::message::{Body, Envelope, PresenceState};
use tokio::sync::mpsc;

use crate::session::uplink::Context;
use crate::store::Arrival;

/// Messages that wait for the store; consumers wait beyond it.
pub const ARRIVALS_MAX: usize = 256;
pub const SIGNS_MAX: usize = 64;

pub enum Arriving {
    Delivery {
        queue: String,
        delivery: Box<Delivery>,
    },
    /// Everything that was in the queue has come before this.
    Emptied {
        queue: String,
    },
    /// The broker ended the consumer: the queue was deleted.
    Gone {
        queue: String,
    },
    /// The channel of the consumers is closed.
    Failed(Failure),
}

/// What becomes known about a queue once all before it is in the store.
pub enum Fact {
    Emptied(String),
    Gone(String),
}

/// A sign of life from a user.
pub struct Sign {
    pub user: String,
    pub state: PresenceState,
}

/// Runs until the store or the connection fails; says how.
pub async fn run(
    context: Context,
    mut arriving: mpsc::Receiver<Arriving>,
    facts: mpsc::UnboundedSender<Fact>,
    signs: mpsc::Sender<Sign>,
) -> String {
    let mut batch = Vec::with_capacity(ARRIVALS_MAX);
    loop {
        if arriving.recv_many(&mut batch, ARRIVALS_MAX).await == 0 {
            return "the consumers have ended".into();
        }
        if let Err(reason) = take_in(&context, batch.drain(..), &facts, &signs).await {
            return reason;
        }
    }
}

async fn take_in(
    context: &Context,
    batch: impl Iterator<Item = Arriving>,
    facts: &mpsc::UnboundedSender<Fact>,
    signs: &mpsc::Sender<Sign>,
) -> Result<(), String> {
    let (mut arrivals, mut ackers, mut learned, mut heard) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut unreadable = BTreeSet::new();
    for arriving in batch {
        match arriving {
            Arriving::Emptied { queue } => learned.push(Fact::Emptied(queue)),
            Arriving::Gone { queue } => learned.push(Fact::Gone(queue)),
            Arriving::Failed(failure) => return Err(failure.to_string()),
            Arriving::Delivery { queue, delivery } => {
                match Envelope::from_delivery(&delivery) {
                    Ok(envelope) => {
                        heard.extend(sign_of_life(&envelope));
                        arrivals.push(Arrival { queue, envelope });
                    }
                    // It will not improve: acknowledge and drop it.
                    Err(error) => {
                        unreadable.insert(error.to_string());
                    }
                }
                ackers.push(delivery.acker);
            }
        }
    }
    for error in unreadable {
        context.notice(format!("dropped an unreadable message: {error}")).await;
    }
    if !arrivals.is_empty() {
        let me = context.me.clone();
        let arrived = context.store.call(move |store| store.arrived(&me, &arrivals)).await;
        let mut events = arrived.map_err(|error| error.to_string())?;
        // Somebody who floods us with what is dropped gets one line for it.
        events.dedup();
        context.show(events).await;
        context.changed().await;
    }
    for acker in ackers {
        acker.ack(BasicAckOptions::default()).await.map_err(|error| error.to_string())?;
    }
    for fact in learned {
        // Whoever listens ends together with this task.
        let _ = facts.send(fact);
    }
    for sign in heard {
        let _ = signs.send(sign).await;
    }
    Ok(())
}

fn sign_of_life(envelope: &Envelope) -> Option<Sign> {
    match (&envelope.body, &envelope.user_id) {
        (Body::Presence { state, .. }, Some(user)) => Some(Sign { user: user.clone(), state: *state }),
        _ => None,
    }
}
