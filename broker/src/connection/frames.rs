//! What a frame asks for, in each state of its connection and channel.

use crate::amqp::{self, Frame, FrameKind, Method, Octets, PublishArgs, ReplyCode, Version};
use crate::capacity::Full;
use crate::error::AmqpError;

use super::channel::Channel;
use super::content::{Content, Progress};
use super::context::Context;
use super::{BASIC_PUBLISH, Connection, Phase, blame, class, publish, settle};

const BASIC_ACK: (u16, u16) = (60, 80);
const CHANNEL_OPEN: (u16, u16) = (20, 10);
const CHANNEL_CLOSE: (u16, u16) = (20, 40);
const CHANNEL_CLOSE_OK: (u16, u16) = (20, 41);
const CONNECTION_CLASS: u16 = 10;

/// What came of a frame; an error with the channel it is on.
type Handled = Result<(), (u16, AmqpError)>;

impl Connection {
    pub(super) fn on_frame(&mut self, frame: Frame<'_>) -> Handled {
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
    pub(super) fn on_whole_publish(&mut self, frame: Frame<'_>, behind: &[u8]) -> Option<(usize, Handled)> {
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
        // Where these names lead may be remembered: then they were looked at before.
        let publish = amqp::split_publish(frame.payload).ok()?;
        let content = Content::whole(
            &publish,
            &header,
            body,
            self.cx.broker.config.limits.message_bytes_max,
            &mut self.cx.room,
        )?;
        let published = publish_content(&mut self.cx, channel, &mut self.confirming, content);
        Some((
            size,
            published.map_err(|error| (frame.channel, of_names_first(frame.payload, &publish, error))),
        ))
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
    pub(super) fn on_body(&mut self, id: u16, len: usize, progress: Progress) -> Result<(), AmqpError> {
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
                self.closed.add(frame.channel);
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
        if id != CHANNEL_OPEN && self.closed.drops(frame.channel) {
            if id == CHANNEL_CLOSE {
                self.cx.send(frame.channel, amqp::channel::CloseOk);
            }
            return Ok(());
        }
        if id != CHANNEL_OPEN {
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
            Some(CHANNEL_OPEN) => {
                return Err(AmqpError::connection(ReplyCode::ChannelError, "second 'channel.open' seen")
                    .caused_by(CHANNEL_OPEN));
            }
            _ => {}
        }
        Ok(())
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

/// Names that are no text are spoken of before anything else that is wrong with a message.
#[cold]
fn of_names_first(payload: &[u8], publish: &PublishArgs<'_>, error: AmqpError) -> AmqpError {
    publish.check().map_or_else(|wrong| cannot_decode(payload, wrong), |()| error)
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
