//! Two clients that behave: one publishes with confirms, the other consumes and acknowledges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lapin::options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions};

use crate::{Broker, amqp};

const QUEUE: &str = "honest";
const INTERVAL: Duration = Duration::from_millis(5);

/// What the pair has seen: every message was confirmed, and delivered in its turn.
#[derive(Debug, Default)]
pub struct Honest {
    pub messages: usize,
    /// From publish to delivery.
    pub median: Duration,
    pub percentile_99: Duration,
    pub longest: Duration,
}

pub struct Pair {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Pair {
    /// Panics, in its thread, when anything is not as it should be.
    pub fn start(broker: &Broker) -> Pair {
        let stop = Arc::new(AtomicBool::new(false));
        let (url, until) = (broker.guest_url(), stop.clone());
        let thread = std::thread::spawn(move || amqp::run(converse(&url, &until)));
        Pair { stop, thread }
    }

    pub fn stop(self) -> Honest {
        self.stop.store(true, Ordering::Relaxed);
        let mut latencies = match self.thread.join() {
            Ok(latencies) => latencies,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Honest { messages: latencies.len(), median: at(0.5), percentile_99: at(0.99), longest: at(1.0) }
    }
}

async fn converse(url: &str, stop: &AtomicBool) -> Vec<Duration> {
    let (publishing, consuming) = (amqp::connect(url).await, amqp::connect(url).await);
    let (publisher, receiver) = (amqp::channel(&publishing).await, amqp::channel(&consuming).await);
    amqp::declare_durable(&publisher, QUEUE, Default::default()).await;
    let selected = publisher.confirm_select(ConfirmSelectOptions::default()).await;
    selected.unwrap_or_else(|error| panic!("confirm.select: {error}"));
    let mut consumer = amqp::consume(&receiver, QUEUE).await;
    let mut latencies = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let body = latencies.len().to_string();
        let published = publisher.basic_publish(
            "".into(),
            QUEUE.into(),
            BasicPublishOptions { mandatory: true, ..Default::default() },
            body.as_bytes(),
            amqp::persistent(),
        );
        let confirm = published.await.unwrap_or_else(|error| panic!("an honest publish failed: {error}"));
        let delivery = amqp::next(&mut consumer).await;
        latencies.push(began.elapsed());
        assert_eq!(delivery.data, body.as_bytes(), "an honest message is out of its turn");
        let acked = delivery.ack(BasicAckOptions::default()).await;
        acked.unwrap_or_else(|error| panic!("an honest acknowledgement failed: {error}"));
        let confirmed = confirm.await.unwrap_or_else(|error| panic!("an honest confirm failed: {error}"));
        assert!(confirmed.is_ack(), "{confirmed:?}");
        tokio::time::sleep(INTERVAL).await;
    }
    latencies
}
