//! A connection without a socket, for what the management API is asked to do with queues, exchanges and messages: by
//! the same methods, with the same rights and the same promises as for any client.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::amqp::{self, FieldTable, Frame, FrameKind, Method, ReplyCode, Version};
use crate::auth::User;
use crate::broker::{Broker, ConnectionInfo, Traffic};
use crate::clock;
use crate::config::Protocol;
use crate::error::AmqpError;
use crate::outbox::Outbox;
use crate::output::{SLICES_MAX, Writing};

use super::context::{Capabilities, Context, Opened};
use super::opening::{OpenedVhost, admit, open_vhost};
use super::{Connection, Phase};

const CHANNEL: u16 = 1;

/// Whoever asks, and over which connection of his own.
pub struct Asking<'a> {
    pub user: &'a Arc<User>,
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

/// An open connection with one open channel. Lets go of everything when it is dropped.
pub struct Direct {
    connection: Box<Connection>,
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.connection.release();
        let cx = &self.connection.cx;
        cx.broker.forget_connection(cx.id);
    }
}

/// A method of the broker's, with the content behind it.
pub struct Answer {
    pub method: Method,
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
}

/// What became of a message.
pub enum Published {
    Routed,
    /// There is no queue for it.
    Returned,
    /// A queue for it is full, and takes nothing more (`reject-publish`).
    Rejected,
}

/// The exception that closed the channel or the connection. The text begins with the code's name, as clients see it.
#[derive(Debug)]
pub struct Refused {
    pub code: u16,
    pub text: String,
}

impl From<&AmqpError> for Refused {
    fn from(error: &AmqpError) -> Refused {
        Refused { code: error.code.code(), text: error.reply_text() }
    }
}

impl Direct {
    pub async fn open(broker: &Arc<Broker>, asking: &Asking<'_>, vhost: &str) -> Result<Direct, Refused> {
        let connection = open(broker, asking, vhost).map_err(|error| Refused::from(&error))?;
        let mut direct = Direct { connection: Box::new(connection) };
        direct.call(amqp::channel::Open).await?;
        Ok(direct)
    }

    /// Sends a method, and waits for what is answered and for all that the answer promises.
    pub async fn call(&mut self, method: impl Into<Method>) -> Result<Vec<Answer>, Refused> {
        let mut frames = Vec::new();
        amqp::write_method(&mut frames, CHANNEL, &method.into());
        self.exchange(&frames).await
    }

    /// Publishes, and waits for what a confirm promises.
    pub async fn publish(
        &mut self,
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
        body: &[u8],
    ) -> Result<Published, Refused> {
        self.call(amqp::confirm::Select { no_wait: false }).await?;
        let publish = amqp::basic::Publish {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            mandatory: true,
            immediate: false,
        };
        let mut frames = Vec::new();
        amqp::write_method(&mut frames, CHANNEL, &publish.into());
        amqp::write_content(&mut frames, CHANNEL, properties, body, self.connection.frame_max);
        let answers = self.exchange(&frames).await?;
        let has = |which: fn(&Method) -> bool| answers.iter().any(|answer| which(&answer.method));
        Ok(if has(|method| matches!(method, Method::BasicNack(_))) {
            Published::Rejected
        } else if has(|method| matches!(method, Method::BasicReturn(_))) {
            Published::Returned
        } else {
            Published::Routed
        })
    }

    async fn exchange(&mut self, mut input: &[u8]) -> Result<Vec<Answer>, Refused> {
        let broker = self.connection.cx.broker.clone();
        while !input.is_empty() {
            let consumed = {
                let _cork = broker.store.cork();
                let consumed = self.connection.on_input(input);
                self.connection.end_batch();
                consumed
            };
            input = &input[consumed..];
            // Others had their turn: each request comes over a task of its own.
            self.connection.cx.paused = false;
            self.wait_for_body().await?;
            if self.connection.phase != Phase::Running {
                break;
            }
            if consumed == 0 {
                tokio::task::yield_now().await;
            }
        }
        self.wait_for_promises().await?;
        answers(&self.take_output(), self.connection.frame_max)
    }

    /// Somebody else wants this connection to end.
    fn check_evicted(&self) -> Result<(), Refused> {
        self.connection.cx.outbox.evicted().map_or(Ok(()), |error| Err(error.into()))
    }

    /// A `basic.get` that found its message on disk.
    async fn wait_for_body(&mut self) -> Result<(), Refused> {
        let outbox = self.connection.cx.outbox.clone();
        while self.connection.waits_for_body() {
            outbox.set_awake(false);
            self.connection.retry_get();
            if self.connection.waits_for_body() {
                outbox.woken().await;
                self.check_evicted()?;
            }
        }
        Ok(())
    }

    /// No answer is given before what it promises is on disk.
    async fn wait_for_promises(&mut self) -> Result<(), Refused> {
        let broker = self.connection.cx.broker.clone();
        if let Some(highest) = self.connection.cx.gate.highest() {
            let decided = broker.definitions.wait(highest).await;
            let tickets = self.connection.cx.gate.take();
            let decided = decided
                .and_then(|()| tickets.iter().try_for_each(|&ticket| broker.definitions.outcome(ticket)));
            decided.map_err(|why| failed(why.to_string()))?;
        }
        let outbox = self.connection.cx.outbox.clone();
        loop {
            self.connection.flush_confirms();
            let gate = self.connection.cx.gate_round;
            let Some(round) = self.connection.next_confirm_round().into_iter().chain(gate).min() else {
                return Ok(());
            };
            if round <= broker.store.durable_round() {
                self.connection.cx.gate_round = gate.filter(|&gate| gate > round);
                continue;
            }
            if let Some(failure) = broker.store.failure() {
                return Err(failed(failure.to_string()));
            }
            broker.store.on_durable(round, outbox.clone());
            outbox.woken().await;
            self.check_evicted()?;
        }
    }

    fn take_output(&mut self) -> Vec<u8> {
        let mut writing = Writing::default();
        writing.take(&mut self.connection.cx.outbox.lock().output);
        let mut octets = Vec::with_capacity(writing.left());
        while !writing.is_done() {
            let mut slices = [std::io::IoSlice::new(&[]); SLICES_MAX];
            let count = writing.next(&mut slices);
            let before = octets.len();
            slices[..count].iter().for_each(|slice| octets.extend_from_slice(slice));
            let taken = octets.len() - before;
            writing.advance(taken);
        }
        octets
    }
}

fn failed(why: String) -> Refused {
    Refused::from(&AmqpError::connection(ReplyCode::InternalError, why))
}

fn open(broker: &Arc<Broker>, asking: &Asking<'_>, vhost: &str) -> Result<Connection, AmqpError> {
    let OpenedVhost { vhost, permission, seats } = open_vhost(broker, asking.user, vhost)?;
    let limits = &broker.config.limits;
    let (id, frame_max) = (broker.next_connection_id(), limits.frame_max);
    let outbox = Arc::new(Outbox::new(id, limits.outbox_bytes_max));
    outbox.lock().frame_max = frame_max;
    let traffic: Arc<Traffic> = Arc::default();
    let mut client_properties = FieldTable::default();
    client_properties.insert("product", "Warren's management API");
    let info = ConnectionInfo {
        id,
        peer: asking.peer,
        local: asking.local,
        protocol: Protocol::Amqp,
        version: Version::V0_9_1,
        tls: None,
        peer_certificate: None,
        user: asking.user.clone(),
        vhost: vhost.name.clone(),
        outbox: outbox.clone(),
        client_properties,
        mechanism: "PLAIN".into(),
        channel_max: CHANNEL,
        frame_max,
        heartbeat_s: 0,
        opened_at_ms: clock::now_ms(),
        traffic: traffic.clone(),
    };
    admit(broker, info, &vhost)?;
    let cx = Context::new(Opened {
        broker: broker.clone(),
        id,
        peer: asking.peer,
        user: asking.user.clone(),
        vhost,
        outbox,
        traffic,
        capabilities: Capabilities::default(),
        version: Version::V0_9_1,
        channel_max: CHANNEL,
        permission,
        seats,
    });
    Ok(Connection::new(cx, frame_max))
}

/// What the broker sent; or that it closed.
fn answers(mut octets: &[u8], frame_max: u32) -> Result<Vec<Answer>, Refused> {
    let mut answers: Vec<Answer> = Vec::new();
    while let Ok(Some((frame, size))) = amqp::next_frame(octets, frame_max) {
        octets = &octets[size..];
        add(&mut answers, frame)?;
    }
    Ok(answers)
}

fn add(answers: &mut Vec<Answer>, frame: Frame<'_>) -> Result<(), Refused> {
    match (frame.kind, answers.last_mut()) {
        (FrameKind::Method, _) => match Version::V0_9_1.decode(frame.payload) {
            Ok(Method::ChannelClose(close)) => {
                return Err(Refused { code: close.reply_code, text: close.reply_text.into() });
            }
            Ok(Method::ConnectionClose(close)) => {
                return Err(Refused { code: close.reply_code, text: close.reply_text.into() });
            }
            Ok(method) => answers.push(Answer { method, properties: Vec::new(), body: Vec::new() }),
            Err(error) => return Err(failed(error.to_string())),
        },
        (FrameKind::Header, Some(answer)) => match amqp::ContentHeader::decode(frame.payload) {
            Ok(header) => answer.properties = header.properties.to_vec(),
            Err(error) => return Err(failed(error.to_string())),
        },
        (FrameKind::Body, Some(answer)) => answer.body.extend_from_slice(frame.payload),
        _ => {}
    }
    Ok(())
}
