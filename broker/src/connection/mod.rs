//! One client's connection: bytes in, frames into the outbox. No sockets here; the driver has them.
//!
//! `on_input` handles every complete frame of a read before anybody is woken or confirmed; `end_batch` then
//! sends the confirms that are due and wakes each outbox that was touched, once.

mod arrival;
mod body_frame;
pub mod channel;
pub mod class;
pub mod confirms;
pub mod content;
pub mod context;
mod crowd;
pub mod driver;
pub mod handshake;
mod input;
mod names;
mod opening;
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

use crate::amqp::{self, Frame, FrameKind, Method, Octets, ReplyCode, Version};
use crate::auth::Access;
use crate::capacity::Full;
use crate::error::{AmqpError, Scope};
use crate::store::StoreFailure;

use body_frame::BodyFrame;
use channel::Channel;
use class::tx::Transaction;
use confirms::{Confirm, Confirms};
use content::{Content, Progress};
use context::Context;
use turns::{SHARE_OF_OUTBOX, deliver_in_turn};

const BASIC_PUBLISH: (u16, u16) = (60, 40);
const BASIC_GET: (u16, u16) = (60, 70);
const BASIC_ACK: (u16, u16) = (60, 80);
const CHANNEL_CLOSE: (u16, u16) = (20, 40);
const CHANNEL_CLOSE_OK: (u16, u16) = (20, 41);
const CONNECTION_CLASS: u16 = 10;

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

/// What came of a frame; an error with the channel it is on.
type Handled = Result<(), (u16, AmqpError)>;

pub struct Connection {
    pub cx: Context,
    pub phase: Phase,
    frame_max: u32,
    channels: HashMap<u16, Box<Channel>>,
    /// Channels with confirms that are ready or wait for the disk.
    confirming: Vec<u16>,
    /// A large body frame whose end has not come.
    body_frame: Option<BodyFrame>,
    released: bool,
    /// Which of its consumers comes first when the outbox has drained.
    turn: usize,
}

impl Connection {
    pub fn new(cx: Context, frame_max: u32) -> Connection {
        Connection {
            cx,
            phase: Phase::Running,
            frame_max,
            channels: HashMap::new(),
            confirming: Vec::new(),
            body_frame: None,
            released: false,
            turn: 0,
        }
    }

    /// Handles every complete frame in `input` and returns how many bytes they took.
    pub fn on_input(&mut self, input: &[u8]) -> usize {
        if self.phase == Phase::Closed || self.cx.paused || self.waits_for_body() {
            return 0;
        }
        let mut consumed = self.continue_body_frame(input);
        while self.phase != Phase::Closed && !self.cx.paused && !self.waits_for_body() {
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
        consumed
    }

    fn on_frame(&mut self, frame: Frame<'_>) -> Handled {
        if matches!(self.phase, Phase::Closing | Phase::Parting) {
            self.on_frame_while_closing(frame);
            return Ok(());
        }
        let channel = frame.channel;
        if channel == 0 {
            return self.on_frame_of_connection(frame).map_err(|error| (0, error));
        }
        self.on_frame_of_channel(frame).map_err(|error| (channel, error))
    }

    /// A publish whose header and body are here as well, which is nearly every one: it is published without
    /// being put together frame by frame. Returns the size of its content, or `None` for anything else and for
    /// everything that is wrong with it; `on_frame` knows what to say then.
    fn on_whole_publish(&mut self, frame: Frame<'_>, behind: &[u8]) -> Option<(usize, Handled)> {
        if frame.kind != FrameKind::Method
            || amqp::peek_method_id(frame.payload) != Some(BASIC_PUBLISH)
            || self.phase != Phase::Running
        {
            return None;
        }
        let channel = self.channels.get_mut(&frame.channel)?;
        if channel.closing || channel.content.is_some() {
            return None;
        }
        let (header, body, size) = amqp::whole_content(behind, frame.channel, self.frame_max)?;
        let publish = amqp::decode_publish(frame.payload).ok()?;
        let content =
            Content::whole(&publish, &header, body, self.cx.broker.config.limits.message_bytes_max)?;
        let published = publish_content(&mut self.cx, channel, &mut self.confirming, content);
        Some((size, published.map_err(|error| (frame.channel, error))))
    }

    fn on_frame_while_closing(&mut self, frame: Frame<'_>) {
        if frame.channel != 0 || frame.kind != FrameKind::Method {
            return;
        }
        match self.cx.version.decode(frame.payload) {
            Ok(Method::ConnectionCloseOk(_)) => self.phase = Phase::Closed,
            Ok(Method::ConnectionClose(_)) => {
                self.cx.send(0, amqp::connection::CloseOk);
                if self.phase == Phase::Closing {
                    self.phase = Phase::Closed;
                }
            }
            _ => {}
        }
    }

    fn on_frame_of_connection(&mut self, frame: Frame<'_>) -> Result<(), AmqpError> {
        match frame.kind {
            FrameKind::Heartbeat => return Ok(()),
            FrameKind::Method => {}
            FrameKind::Header | FrameKind::Body => return Err(unexpected_frame(frame)),
        }
        let method = self.decode(frame.payload)?;
        match method {
            Method::ConnectionClose(close) => {
                tracing::debug!(
                    connection = self.cx.id,
                    code = close.reply_code,
                    text = &*close.reply_text,
                    "closed by the client"
                );
                // Released first: after close-ok the client may expect its exclusive queues to be gone.
                self.release();
                self.cx.send(0, amqp::connection::CloseOk);
                self.phase = Phase::Parting;
                Ok(())
            }
            Method::ConnectionCloseOk(_) => Ok(()),
            Method::ConnectionUpdateSecret(_) => {
                // Nothing expires here, so there is nothing to renew; clients only wait for the answer.
                self.cx.send(0, amqp::connection::UpdateSecretOk);
                Ok(())
            }
            other => Err(AmqpError::connection(
                ReplyCode::ChannelError,
                "unexpected method in connection state running",
            )
            .caused_by(other.id())),
        }
    }

    fn on_frame_of_channel(&mut self, frame: Frame<'_>) -> Result<(), AmqpError> {
        if frame.kind == FrameKind::Heartbeat {
            return Err(unexpected_frame(frame));
        }
        let Some(channel) = self.channels.get_mut(&frame.channel) else {
            return self.on_frame_of_unopened_channel(frame);
        };
        let channel = &mut **channel;
        if channel.closing {
            return self.on_frame_of_closing_channel(frame);
        }
        match frame.kind {
            FrameKind::Method => {
                if let Some(content) = &channel.content {
                    return Err(content.unexpected("non content body"));
                }
                self.on_method(frame)
            }
            FrameKind::Header => match &mut channel.content {
                Some(content) => {
                    let progress =
                        content.header(frame.payload, self.cx.broker.config.limits.message_bytes_max)?;
                    self.on_content_progress(frame.channel, progress)
                }
                None => Err(expected_method()),
            },
            _ => match &mut channel.content {
                Some(content) => {
                    let progress = content.body(frame.payload)?;
                    self.on_body(frame.channel, frame.payload.len(), progress)
                }
                None => Err(expected_method()),
            },
        }
    }

    /// A body frame is in its message.
    fn on_body(&mut self, id: u16, len: usize, progress: Progress) -> Result<(), AmqpError> {
        if progress == Progress::Incomplete
            && let Some(content) = self.channels.get_mut(&id).and_then(|channel| channel.content.as_mut())
        {
            self.cx.pending.add(len as u64).map_err(|error| blame(error, BASIC_PUBLISH))?;
            content.pending_bytes += len as u64;
        }
        self.on_content_progress(id, progress)
    }

    fn on_content_progress(&mut self, id: u16, progress: Progress) -> Result<(), AmqpError> {
        if progress == Progress::Incomplete {
            return Ok(());
        }
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let Some(content) = channel.content.take() else { return Ok(()) };
        if content.pending_bytes > 0 {
            self.cx.pending.remove(content.pending_bytes);
        }
        publish_content(&mut self.cx, channel, &mut self.confirming, content)
    }

    fn on_method(&mut self, frame: Frame<'_>) -> Result<(), AmqpError> {
        let id = amqp::peek_method_id(frame.payload).unwrap_or_default();
        let Some(channel) = self.channels.get_mut(&frame.channel) else { return Ok(()) };
        let handled = match id {
            BASIC_PUBLISH => {
                let publish =
                    amqp::decode_publish(frame.payload).map_err(|e| cannot_decode(frame.payload, e))?;
                channel.content = Some(Content::begin(&publish));
                Ok(())
            }
            BASIC_ACK => {
                let (tag, multiple) =
                    amqp::decode_ack(frame.payload).map_err(|e| cannot_decode(frame.payload, e))?;
                settle::settle(&mut self.cx, channel, tag, multiple, settle::Verdict::Gone)
            }
            CHANNEL_CLOSE => {
                self.decode(frame.payload)?;
                self.close_channel(frame.channel);
                self.cx.send(frame.channel, amqp::channel::CloseOk);
                Ok(())
            }
            (CONNECTION_CLASS, _) => {
                Err(AmqpError::connection(ReplyCode::CommandInvalid, "unimplemented method"))
            }
            _ => {
                let method = decode(self.cx.version, frame.payload)?;
                let handled = class::dispatch(&mut self.cx, channel, method);
                let setup = channel.setup();
                if let Some(out) = self.cx.outbox.lock().channel(frame.channel) {
                    out.setup = setup;
                }
                handled
            }
        };
        handled.map_err(|error| blame(error, id))
    }

    fn decode(&self, payload: &[u8]) -> Result<Method, AmqpError> {
        decode(self.cx.version, payload)
    }

    fn on_frame_of_unopened_channel(&mut self, frame: Frame<'_>) -> Result<(), AmqpError> {
        let id = match frame.kind {
            FrameKind::Method => amqp::peek_method_id(frame.payload).unwrap_or_default(),
            _ => (0, 0),
        };
        if id != (20, 10) {
            return Err(
                AmqpError::connection(ReplyCode::ChannelError, "expected 'channel.open'").caused_by(id)
            );
        }
        self.decode(frame.payload)?;
        let open = self.channels.len();
        let max = usize::from(self.cx.channel_max);
        if open >= max {
            return Err(AmqpError::connection(
                ReplyCode::NotAllowed,
                format!("number of channels opened ({open}) has reached the negotiated channel_max ({max})"),
            )
            .caused_by(id));
        }
        let seat = self.cx.user.channels().take().map_err(|Full(max)| {
            AmqpError::connection(
                ReplyCode::NotAllowed,
                format!(
                    "number of channels opened for user '{}' has reached the maximum allowed user limit of ({max})",
                    self.cx.user.name()
                ),
            )
            .caused_by(id)
        })?;
        let channel = Channel { _seat: Some(seat), ..Channel::new(frame.channel) };
        self.channels.insert(frame.channel, Box::new(channel));
        self.cx.outbox.lock().open_channel(frame.channel);
        self.cx.send(frame.channel, amqp::channel::OpenOk);
        Ok(())
    }

    fn on_frame_of_closing_channel(&mut self, frame: Frame<'_>) -> Result<(), AmqpError> {
        let id = match frame.kind {
            FrameKind::Method => amqp::peek_method_id(frame.payload),
            _ => None,
        };
        match id {
            Some(CHANNEL_CLOSE_OK) => {
                self.channels.remove(&frame.channel);
            }
            Some(CHANNEL_CLOSE) => self.cx.send(frame.channel, amqp::channel::CloseOk),
            Some((20, 10)) => {
                return Err(AmqpError::connection(ReplyCode::ChannelError, "second 'channel.open' seen")
                    .caused_by((20, 10)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Answers an exception and closes what it closes.
    fn fail(&mut self, channel: u16, error: AmqpError) {
        if self.phase != Phase::Running {
            return;
        }
        let (class_id, method_id) = error.caused_by.unwrap_or_default();
        if self.cx.broker.client_log.admits(self.cx.peer) {
            tracing::warn!(
                connection = self.cx.id,
                peer = %self.cx.peer,
                user = self.cx.user.name(),
                channel,
                "{error} (caused by method {class_id}.{method_id})"
            );
        }
        match error.scope {
            Scope::Channel if channel != 0 => {
                self.release_channel(channel);
                if let Some(channel) = self.channels.get_mut(&channel) {
                    **channel = Channel::new(channel.id);
                    channel.closing = true;
                }
                self.cx.send(
                    channel,
                    amqp::channel::Close {
                        reply_code: error.code.code(),
                        reply_text: error.reply_text().into(),
                        class_id,
                        method_id,
                    },
                );
            }
            _ => self.close_with(&error),
        }
    }

    /// Sends `connection.close` and lets go of everything.
    pub fn close_with(&mut self, error: &AmqpError) {
        if self.phase != Phase::Running {
            return;
        }
        let (class_id, method_id) = error.caused_by.unwrap_or_default();
        self.flush_confirms();
        self.release();
        // The client's close-ok is to be read.
        self.cx.held = false;
        self.cx.paused = false;
        self.cx.waiting_get = None;
        self.cx.send(
            0,
            amqp::connection::Close {
                reply_code: error.code.code(),
                reply_text: error.reply_text().into(),
                class_id,
                method_id,
            },
        );
        self.phase = Phase::Closing;
    }

    fn close_channel(&mut self, id: u16) {
        self.release_channel(id);
        self.channels.remove(&id);
    }

    /// Consumers go, what they held comes back.
    fn release_channel(&mut self, id: u16) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        // Confirms that are due are still owed.
        flush_channel_confirms(&self.cx, channel);
        self.confirming.retain(|&confirming| confirming != id);
        let transaction = channel.transaction.take();
        let pending_of_transaction = transaction.as_ref().map_or(0, Transaction::bytes);
        let pending_of_content = channel.content.take().map_or(0, |content| content.pending_bytes);
        self.cx.pending.remove(pending_of_transaction + pending_of_content);
        let subscriptions: Vec<_> = channel.consumers.drain().map(|(_, subscription)| subscription).collect();
        if let Some(reply) = channel.reply.take() {
            self.cx.vhost.replies.remove(&reply.address);
        }
        let mut to_drop = Vec::new();
        for subscription in subscriptions {
            if subscription.queue.cancel(&subscription.consumer, &mut self.cx.wakes) {
                to_drop.push(subscription.queue);
            }
        }
        // Only now can nothing more be handed out on this channel.
        let out = self.cx.outbox.lock().close_channel(id);
        let mut unacked = out.map(|mut out| out.unacked.take_all()).unwrap_or_default();
        unacked.extend(transaction.into_iter().flat_map(|transaction| transaction.into_unsettled()));
        settle::apply(&mut self.cx.wakes, unacked, settle::Verdict::Requeue, true);
        for queue in to_drop {
            class::basic::drop_unused(&mut self.cx, &queue);
        }
    }

    /// Lets go of every channel and exclusive queue; for the end of the connection, once.
    pub fn release(&mut self) {
        if std::mem::replace(&mut self.released, true) {
            return;
        }
        // What one channel gives back must not go out on the next one, to a client that no longer listens.
        self.cx.outbox.lock().closed = true;
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        for id in ids {
            self.close_channel(id);
        }
        for queue in std::mem::take(&mut self.cx.exclusive_queues).into_values() {
            if let Some(done) = self.cx.vhost.drop_queue(&queue, false) {
                self.cx.finish(done);
            }
        }
        self.cx.wakes.wake_all();
    }

    /// The frames of a read are handled: sends confirms that are due and wakes others.
    pub fn end_batch(&mut self) {
        self.cx.traffic.set_counts(self.cx.published, self.cx.acknowledged);
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

    /// The store has failed: no confirm that waits for it will ever come, so its channel is closed. Consumers on
    /// other channels go on.
    pub fn fail_unconfirmed(&mut self, failure: &StoreFailure) {
        let waits = |id: &u16| self.channels.get(id).is_some_and(|c| c.waits_for_disk());
        let waiting: Vec<u16> = self.confirming.iter().copied().filter(waits).collect();
        for id in waiting {
            self.fail(id, publish::store_failed(failure).caused_by((0, 0)));
        }
        self.cx.wakes.wake_all();
    }

    /// Deliveries were skipped while the outbox was full; there is room again, for each queue in turn.
    pub fn resume_consumers(&mut self) {
        let channels = self.channels.values();
        let subscriptions = channels.flat_map(|channel| channel.consumers.values());
        let queues: Vec<_> = subscriptions.map(|subscription| subscription.queue.clone()).collect();
        let cx = &mut self.cx;
        deliver_in_turn(&cx.outbox, &queues, &mut self.turn, SHARE_OF_OUTBOX, &mut cx.wakes);
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

    /// Closes channels with a delivery that was not acknowledged in time.
    pub fn close_overdue(&mut self, now_ms: u64) {
        let default_ms = self.cx.broker.config.limits.consumer_timeout_ms;
        let overdue = self.cx.outbox.lock().overdue(now_ms, default_ms);
        for (id, timeout_ms) in overdue {
            let text = format!(
                "delivery acknowledgement on channel {id} timed out. Timeout value used: {timeout_ms} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more"
            );
            self.fail(id, AmqpError::precondition_failed(text).caused_by((0, 0)));
        }
        self.cx.wakes.wake_all();
    }

    /// The user's rights have become less: consumers of queues that he may no longer read from end.
    pub fn recheck_rights(&mut self) {
        let mut refused = Vec::new();
        for (&id, channel) in &self.channels {
            for (tag, subscription) in &channel.consumers {
                if let Err(error) = self.cx.check(Access::Read, "queue", subscription.queue.name()) {
                    refused.push((id, tag.clone(), error));
                }
            }
        }
        for (id, tag, error) in refused {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            let Some(subscription) = channel.consumers.remove(&tag) else { continue };
            class::basic::unsubscribe(&mut self.cx, &subscription);
            match subscription.consumer.wants_cancel {
                true => subscription.consumer.announce_cancelled(),
                false => self.fail(id, error.caused_by((0, 0))),
            }
        }
        self.cx.wakes.wake_all();
    }

    /// Publishes that wait for their confirm, on the channel that has the most.
    pub fn unconfirmed(&self) -> usize {
        let of = |id| self.channels.get(id)?.confirms.as_ref().map(Confirms::unconfirmed);
        self.confirming.iter().filter_map(of).max().unwrap_or(0)
    }
}

/// Publishes a message, and lists its channel if there is a confirm to send now and was none before.
fn publish_content(
    cx: &mut Context,
    channel: &mut Channel,
    confirming: &mut Vec<u16>,
    content: Content,
) -> Result<(), AmqpError> {
    let is_listed = channel.has_confirms;
    publish::complete(cx, channel, content).map_err(|error| blame(error, BASIC_PUBLISH))?;
    if channel.has_confirms && !is_listed {
        confirming.push(channel.id);
    }
    Ok(())
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

fn decode(version: Version, payload: &[u8]) -> Result<Method, AmqpError> {
    version.decode(payload).map_err(|error| match error {
        amqp::DecodeError::UnknownMethod { class, .. } if version.has_unspoken_class(class) => {
            let text = format!("class {class} of AMQP 0-8 is not spoken here");
            AmqpError::connection(ReplyCode::NotImplemented, text).caused_by(ids(payload))
        }
        error => cannot_decode(payload, error),
    })
}

fn cannot_decode(payload: &[u8], error: amqp::DecodeError) -> AmqpError {
    let arguments = payload.get(4..).unwrap_or_default();
    let shown = &arguments[..arguments.len().min(16)];
    AmqpError::connection(ReplyCode::FrameError, format!("cannot decode {}: {error}", Octets(shown)))
        .caused_by(ids(payload))
}

fn ids(payload: &[u8]) -> (u16, u16) {
    amqp::peek_method_id(payload).unwrap_or_default()
}

fn blame(error: AmqpError, id: (u16, u16)) -> AmqpError {
    if error.caused_by.is_some() { error } else { error.caused_by(id) }
}

fn expected_method() -> AmqpError {
    AmqpError::connection(ReplyCode::UnexpectedFrame, "expected method frame, got non method frame instead")
        .caused_by((0, 0))
}

fn unexpected_frame(frame: Frame<'_>) -> AmqpError {
    AmqpError::connection(
        ReplyCode::UnexpectedFrame,
        format!("type {}, {}", frame.kind as u8, amqp::Preview::new(frame.payload)),
    )
    .caused_by((0, 0))
}
