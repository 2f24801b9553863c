//! One client's connection: bytes in, frames into the outbox. No sockets here; the driver has them.
//!
//! `on_input` handles every complete frame of a read before anybody is woken or confirmed; `end_batch` then
//! sends the confirms that are due and wakes each outbox that was touched, once. What a frame asks for is in
//! `frames.rs` and `class/`.

mod arrival;
mod body_frame;
pub mod channel;
mod checks;
pub mod class;
pub mod confirms;
pub mod content;
pub mod context;
mod crowd;
pub mod direct;
pub mod driver;
mod ending;
mod foresight;
mod frames;
pub mod handshake;
mod input;
mod latest;
mod names;
mod opening;
mod own_queues;
mod pending;
pub mod publish;
mod rewrite;
pub mod routes;
pub mod settle;
mod stream;
mod turns;

pub use arrival::serve;
pub use crowd::Crowd;
pub use stream::tls::TlsDetails;

use hashbrown::HashMap;

use crate::amqp::{self, ReplyCode};
use crate::error::AmqpError;

use body_frame::BodyFrame;
use channel::Channel;
use confirms::{Confirm, Confirms};
use context::Context;
use foresight::Foresight;
use turns::deliver_to_waiting;

const BASIC_PUBLISH: (u16, u16) = (60, 40);
const BASIC_GET: (u16, u16) = (60, 70);

/// How far a connection is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// The server has sent `connection.close` and waits for `close-ok`.
    Closing,
    /// The client has closed and is to close the socket. It may say once more that it closes, from another of its
    /// threads, and waits for an answer then.
    Parting,
    /// Both sides know; what is in the outbox is still to be written.
    Closed,
}

/// Channels that the client closed a moment ago: what it sent for them before it could read close-ok, from another of
/// its threads perhaps, is dropped (as by RabbitMQ), and is no reason to close the connection. For two reads, and as
/// long as more comes: a message may come in any number of pieces.
#[derive(Default)]
struct Closed {
    lately: Vec<u16>,
    before: Vec<u16>,
    /// Something was handled, and not only the piece of a frame read.
    is_later: bool,
}

impl Closed {
    fn add(&mut self, channel: u16) {
        self.lately.push(channel);
    }

    /// Whether a frame for it is dropped.
    fn drops(&mut self, channel: u16) -> bool {
        if self.lately.contains(&channel) {
            return true;
        }
        let drops = self.before.contains(&channel);
        if drops {
            self.lately.push(channel);
        }
        drops
    }

    fn end_batch(&mut self) {
        let is_later = std::mem::take(&mut self.is_later);
        if is_later && (!self.lately.is_empty() || !self.before.is_empty()) {
            self.before = std::mem::take(&mut self.lately);
        }
    }
}

pub struct Connection {
    pub cx: Context,
    pub phase: Phase,
    frame_max: u32,
    channels: HashMap<u16, Box<Channel>>,
    closed: Closed,
    /// Channels with confirms that are ready or wait for the disk.
    confirming: Vec<u16>,
    /// A large body frame whose end has not come.
    body_frame: Option<BodyFrame>,
    /// What was read last was large bodies.
    reads_large: bool,
    released: bool,
}

impl Connection {
    pub fn new(cx: Context, frame_max: u32) -> Connection {
        Connection {
            cx,
            phase: Phase::Running,
            frame_max,
            channels: HashMap::new(),
            closed: Closed::default(),
            confirming: Vec::new(),
            body_frame: None,
            reads_large: false,
            released: false,
        }
    }

    /// Handles every complete frame in `input` and returns how many bytes they took.
    pub fn on_input(&mut self, input: &[u8]) -> usize {
        if self.phase == Phase::Closed || self.cx.paused || self.waits_for_body() {
            return 0;
        }
        let mut consumed = self.continue_body_frame(input);
        let mut foresight = Foresight::default();
        while self.phase != Phase::Closed && !self.cx.paused && !self.waits_for_body() {
            self.look_ahead(&mut foresight, input, consumed);
            let handled = match amqp::next_frame(&input[consumed..], self.frame_max) {
                Ok(None) => {
                    consumed += self.begin_body_frame(&input[consumed..]);
                    break;
                }
                Ok(Some((frame, size))) => {
                    consumed += size;
                    match self.on_whole_publish(frame, &input[consumed..]) {
                        Some((content_size, handled)) => {
                            consumed += content_size;
                            handled
                        }
                        None => self.on_frame(frame),
                    }
                }
                Err(error) => {
                    // Where the next frame begins is anybody's guess.
                    consumed = input.len();
                    Err((
                        0,
                        AmqpError::connection(ReplyCode::FrameError, error.to_string()).caused_by((0, 0)),
                    ))
                }
            };
            if let Err((channel, error)) = handled {
                self.fail(channel, error);
            }
        }
        self.closed.is_later |= consumed > 0;
        consumed
    }

    /// The frames of a read are handled: sends confirms that are due and wakes others.
    pub fn end_batch(&mut self) {
        self.closed.end_batch();
        self.cx.traffic.set_counts(self.cx.published, self.cx.acknowledged);
        self.cx.forget_taken();
        self.flush_confirms();
        self.cx.wakes.wake_all();
    }

    /// Sends confirms for what is durable by now.
    pub fn flush_confirms(&mut self) {
        if self.confirming.is_empty() {
            return;
        }
        let channels = &mut self.channels;
        let cx = &self.cx;
        self.confirming.retain(|id| {
            let Some(channel) = channels.get_mut(id) else { return false };
            flush_channel_confirms(cx, channel)
        });
    }

    /// The commit round that the oldest outstanding confirm waits for.
    pub fn next_confirm_round(&self) -> Option<crate::store::Round> {
        self.confirming.iter().filter_map(|id| self.channels.get(id)?.confirms.as_ref()?.next_round()).min()
    }

    /// Queues were turned away while the outbox was full; there is room again, for each of them in turn.
    pub fn resume_consumers(&mut self) {
        let cx = &mut self.cx;
        deliver_to_waiting(&cx.outbox, &mut cx.wakes);
        cx.wakes.wake_all();
    }

    /// A `basic.get` waits for a body that is being read; nothing behind it is handled.
    pub fn waits_for_body(&self) -> bool {
        self.cx.waiting_get.is_some()
    }

    /// Tries again what waited for a body.
    pub fn retry_get(&mut self) {
        let Some((id, get)) = self.cx.waiting_get.take() else { return };
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.closing) else { return };
        if let Err(error) = class::basic::get(&mut self.cx, channel, &get) {
            self.fail(id, blame(error, BASIC_GET));
        }
        self.cx.wakes.wake_all();
    }

    /// Publishes that wait for their confirm, on the channel that has the most.
    pub fn unconfirmed(&self) -> usize {
        let of = |id| self.channels.get(id)?.confirms.as_ref().map(Confirms::unconfirmed);
        self.confirming.iter().filter_map(of).max().unwrap_or(0)
    }
}

/// Returns whether more confirms are outstanding.
fn flush_channel_confirms(cx: &Context, channel: &mut Channel) -> bool {
    let Some(confirms) = &mut channel.confirms else { return false };
    let durable = cx.broker.store.durable_round();
    let mut out = cx.outbox.lock();
    let id = channel.id;
    confirms.flush(durable, |confirm| match confirm {
        Confirm::Ack { tag, multiple } => amqp::write_ack(&mut out.output.frames, id, tag, multiple),
        Confirm::Nack { tag } => amqp::write_nack(&mut out.output.frames, id, tag, false),
    });
    channel.has_confirms = confirms.unconfirmed() > 0;
    let unconfirmed = confirms.unconfirmed() as u32;
    if let Some(out) = out.channel(id) {
        out.setup.unconfirmed = unconfirmed;
    }
    channel.has_confirms
}

fn blame(error: AmqpError, id: (u16, u16)) -> AmqpError {
    if error.caused_by.is_some() { error } else { error.caused_by(id) }
}
