//! A client that sends what it is told and checks what comes: no retries, no state but the frames.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use broker::amqp::{
    self, BasicProperties, ContentHeader, FieldTable, FieldValue, FrameKind, Method, Properties, basic,
    channel, connection, exchange,
};

use super::{Content, PATIENCE};

pub const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// How a connection is opened.
pub struct Login<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub vhost: &'a str,
    pub capabilities: &'a [&'a str],
    pub channel_max: u16,
    pub frame_max: u32,
    pub heartbeat_s: u16,
}

impl Default for Login<'_> {
    fn default() -> Self {
        Login {
            user: "guest",
            password: "guest",
            vhost: "/",
            capabilities: &["consumer_cancel_notify", "connection.blocked", "authentication_failure_close"],
            channel_max: 0,
            frame_max: 0,
            heartbeat_s: 0,
        }
    }
}

impl Login<'_> {
    pub fn client_properties(&self) -> FieldTable {
        let capabilities: FieldTable =
            self.capabilities.iter().map(|name| (*name, FieldValue::Boolean(true))).collect();
        [("capabilities", FieldValue::Table(capabilities))].into()
    }

    pub fn start_ok(&self) -> connection::StartOk {
        connection::StartOk {
            client_properties: self.client_properties(),
            mechanism: "PLAIN".into(),
            response: format!("\0{}\0{}", self.user, self.password).into_bytes().into(),
            locale: "en_US".into(),
        }
    }
}

/// What came from the broker on a channel.
#[allow(clippy::large_enum_variant, reason = "few of them, in tests")]
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Method(Method),
    Content(Content),
}

/// What a client's bytes travel through.
pub trait Socket: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;

    /// Says that nothing more will be written.
    fn finish(&mut self) {
        self.tcp().shutdown(std::net::Shutdown::Write).unwrap();
    }
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

pub struct Client {
    stream: Box<dyn Socket>,
    input: Vec<u8>,
    /// Come on other channels than the one that was listened to.
    pending: VecDeque<(u16, Received)>,
    pub frame_max: u32,
    /// Heartbeat frames so far.
    pub heartbeats: usize,
    /// The largest frame so far, in octets.
    pub largest_frame: usize,
}

impl Client {
    /// Only the socket.
    pub fn dial(addr: SocketAddr) -> Client {
        Client::on(TcpStream::connect(addr).unwrap())
    }

    /// A socket that the kernel buffers little for, so that not reading is noticed.
    pub fn dial_with_small_buffer(addr: SocketAddr) -> Client {
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(&addr.into()).unwrap();
        Client::on(TcpStream::from(socket))
    }

    pub fn on(stream: impl Socket + 'static) -> Client {
        stream.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
        stream.tcp().set_write_timeout(Some(PATIENCE)).unwrap();
        stream.tcp().set_nodelay(true).unwrap();
        Client {
            stream: Box::new(stream),
            input: Vec::new(),
            pending: VecDeque::new(),
            frame_max: 0,
            heartbeats: 0,
            largest_frame: 0,
        }
    }

    /// All of the handshake.
    pub fn open(addr: SocketAddr, login: &Login<'_>) -> Client {
        let mut client = Client::dial(addr);
        client.finish_opening(login);
        client
    }

    /// The handshake on a socket that is connected.
    pub fn finish_opening(&mut self, login: &Login<'_>) {
        self.log_in(login);
        self.tune(login.channel_max, login.frame_max, login.heartbeat_s);
        self.send(0, connection::Open { virtual_host: login.vhost.into() });
        self.expect(0, connection::OpenOk);
    }

    /// Two handles on one connection, to read and write at the same time.
    pub fn split(self) -> (Client, Client) {
        let mut writer = Client::on(self.stream.tcp().try_clone().unwrap());
        writer.frame_max = self.frame_max;
        (self, writer)
    }

    /// Up to start-ok.
    pub fn log_in(&mut self, login: &Login<'_>) {
        self.send_bytes(PROTOCOL_HEADER);
        self.expect_start();
        self.send(0, login.start_ok());
    }

    /// Whether the broker lets this socket log in, rather than close it.
    pub fn try_log_in(&mut self, login: &Login<'_>) -> bool {
        let sent = self.stream.write_all(PROTOCOL_HEADER).is_ok();
        if !sent || !matches!(self.try_next(), Ok(Some(_))) {
            return false;
        }
        self.send(0, login.start_ok());
        matches!(self.try_next(), Ok(Some((0, Received::Method(Method::ConnectionTune(_))))))
    }

    pub fn expect_start(&mut self) -> connection::Start {
        match self.method(0) {
            Method::ConnectionStart(start) => start,
            other => panic!("expected connection.start, got {other:?}"),
        }
    }

    /// Answers connection.tune; 0 takes what is offered, no heartbeats for `heartbeat_s`.
    pub fn tune(&mut self, channel_max: u16, frame_max: u32, heartbeat: u16) -> connection::Tune {
        let offer = match self.method(0) {
            Method::ConnectionTune(tune) => tune,
            other => panic!("expected connection.tune, got {other:?}"),
        };
        let or_offered = |value, offered| if value == 0 { offered } else { value };
        let channel_max = or_offered(u32::from(channel_max), u32::from(offer.channel_max)) as u16;
        let frame_max = or_offered(frame_max, offer.frame_max);
        self.frame_max = frame_max;
        self.send(0, connection::TuneOk { channel_max, frame_max, heartbeat });
        offer
    }

    pub fn open_channel(&mut self, channel: u16) {
        self.send(channel, channel::Open);
        self.expect(channel, channel::OpenOk);
    }

    pub fn close_channel(&mut self, channel: u16) {
        self.send(channel, channel::Close { reply_code: 200, ..Default::default() });
        self.expect(channel, channel::CloseOk);
    }

    /// Closes the connection in order; deliveries on the way are passed over.
    pub fn close(mut self) {
        self.send(0, connection::Close { reply_code: 200, ..Default::default() });
        self.expect(0, connection::CloseOk);
        self.stream.finish();
        self.expect_end();
    }

    // Sending.

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Ends the socket, for a handle in another thread too.
    pub fn hang_up(&mut self) {
        self.stream.tcp().shutdown(std::net::Shutdown::Both).unwrap();
    }

    /// False when the broker no longer takes anything.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends as much as the socket takes without waiting for ever; returns how much that was.
    pub fn flood(&mut self, bytes: &[u8]) -> usize {
        self.stream.tcp().set_write_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        let mut sent = 0;
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(written) => sent += written,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => panic!("cannot send: {error}"),
            }
        }
        self.stream.tcp().set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    pub fn send(&mut self, channel: u16, method: impl Into<Method>) {
        self.send_bytes(&encode(channel, method));
    }

    pub fn send_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        self.send_bytes(&frame(kind, channel, payload));
    }

    pub fn send_content(
        &mut self,
        channel: u16,
        publish: basic::Publish,
        properties: &BasicProperties,
        body: &[u8],
    ) {
        self.send_bytes(&encode_content(channel, publish, properties, body, self.frame_max));
    }

    /// A message without properties.
    pub fn publish(&mut self, channel: u16, exchange: &str, routing_key: &str, body: &str) {
        let publish = super::publish(exchange, routing_key);
        self.send_content(channel, publish, &BasicProperties::default(), body.as_bytes());
    }

    pub fn publish_persistent(&mut self, channel: u16, exchange: &str, routing_key: &str, body: &str) {
        let publish = super::publish(exchange, routing_key);
        self.send_content(channel, publish, &super::persistent(), body.as_bytes());
    }

    // Receiving.

    /// The next that comes on the channel.
    pub fn receive(&mut self, channel: u16) -> Received {
        if let Some(at) = self.pending.iter().position(|(on, _)| *on == channel) {
            return self.pending.remove(at).unwrap().1;
        }
        loop {
            let (on, received) = self.next();
            if on == channel {
                return received;
            }
            if let Received::Method(Method::ConnectionClose(close)) = &received {
                panic!("waiting on channel {channel}, but the connection was closed: {close:?}");
            }
            self.pending.push_back((on, received));
        }
    }

    pub fn method(&mut self, channel: u16) -> Method {
        match self.receive(channel) {
            Received::Method(method) => method,
            Received::Content(content) => {
                panic!("expected a method on channel {channel}, got content {content:?}")
            }
        }
    }

    pub fn expect(&mut self, channel: u16, expected: impl Into<Method>) {
        assert_eq!(self.method(channel), expected.into(), "on channel {channel}");
    }

    /// Sends a method and checks its answer.
    pub fn call(&mut self, channel: u16, method: impl Into<Method>, answer: impl Into<Method>) {
        self.send(channel, method);
        self.expect(channel, answer);
    }

    pub fn content(&mut self, channel: u16) -> Content {
        match self.receive(channel) {
            Received::Content(content) => content,
            Received::Method(method) => panic!("expected content on channel {channel}, got {method:?}"),
        }
    }

    pub fn delivery(&mut self, channel: u16) -> Content {
        let content = self.content(channel);
        assert!(matches!(content.method, Method::BasicDeliver(_)), "expected basic.deliver, got {content:?}");
        content
    }

    /// Checks the texts of the next deliveries and returns their tags.
    pub fn expect_deliveries<const N: usize>(&mut self, channel: u16, texts: [&str; N]) -> [u64; N] {
        texts.map(|text| {
            let delivery = self.delivery(channel);
            assert_eq!(delivery.text(), text, "on channel {channel}");
            delivery.tag()
        })
    }

    /// `basic.get` with acknowledgement, of a message that is there.
    pub fn fetch(&mut self, channel: u16, queue: &str) -> Content {
        self.send(channel, super::get(queue));
        let content = self.content(channel);
        assert!(matches!(content.method, Method::BasicGetOk(_)), "expected basic.get-ok, got {content:?}");
        content
    }

    pub fn expect_empty(&mut self, channel: u16, queue: &str) {
        self.call(channel, super::get(queue), basic::GetEmpty);
    }

    /// A message that comes back: code, and the text of its body.
    pub fn expect_returned(&mut self, channel: u16, code: u16, body: &str) {
        let content = self.content(channel);
        let Method::BasicReturn(returned) = &content.method else {
            panic!("expected basic.return, got {content:?}");
        };
        assert_eq!((returned.reply_code, content.text()), (code, body), "{returned:?}");
    }

    /// Every tag up to `last` is confirmed, by whatever acks.
    pub fn confirmed(&mut self, channel: u16, last: u64) {
        let mut open: std::collections::BTreeSet<u64> = (1..=last).collect();
        self.confirmed_of(channel, &mut open);
    }

    /// All of these tags are confirmed, by whatever acks.
    pub fn confirmed_of(&mut self, channel: u16, open: &mut std::collections::BTreeSet<u64>) {
        while !open.is_empty() {
            match self.method(channel) {
                Method::BasicAck(ack) if ack.multiple => *open = open.split_off(&(ack.delivery_tag + 1)),
                Method::BasicAck(ack) => assert!(open.remove(&ack.delivery_tag), "confirmed twice: {ack:?}"),
                other => panic!("expected confirms of {open:?}, got {other:?}"),
            }
        }
    }

    /// Nothing has come on the channel, up to everything that was sent on this connection.
    pub fn expect_silence(&mut self, channel: u16) {
        let passive =
            exchange::Declare { exchange: "amq.direct".into(), passive: true, ..Default::default() };
        self.call(channel, passive, exchange::DeclareOk);
    }

    /// The broker has handled all that was sent.
    pub fn sync(&mut self, channel: u16) {
        self.expect_silence(channel);
    }

    /// Like `sync`, for a channel on which deliveries may come at any time: they are kept for later.
    pub fn sync_among_deliveries(&mut self, channel: u16) {
        let passive =
            exchange::Declare { exchange: "amq.direct".into(), passive: true, ..Default::default() };
        self.send(channel, passive);
        let mut kept = Vec::new();
        loop {
            match self.receive(channel) {
                Received::Method(Method::ExchangeDeclareOk(_)) => break,
                other => kept.push((channel, other)),
            }
        }
        self.pending.extend(kept);
    }

    /// The answer to a method that may succeed or not; deliveries are passed over, the channel is opened again.
    pub fn next_reply(&mut self, channel: u16) {
        loop {
            match self.receive(channel) {
                Received::Content(Content { method: Method::BasicDeliver(_), .. }) => {}
                Received::Method(Method::BasicCancel(_)) => {}
                Received::Method(Method::ChannelClose(_)) => {
                    self.send(channel, channel::CloseOk);
                    return self.open_channel(channel);
                }
                _ => return,
            }
        }
    }

    /// An exception of the channel; it is acknowledged, so that the channel is free again.
    #[track_caller]
    pub fn expect_channel_error(&mut self, channel: u16, code: u16, text: &str) {
        match self.method(channel) {
            Method::ChannelClose(close) => {
                assert!(
                    close.reply_code == code && close.reply_text.starts_with(text),
                    "expected {code} {text:?}, got {close:?}"
                );
            }
            other => panic!("expected channel.close {code} {text:?}, got {other:?}"),
        }
        self.send(channel, channel::CloseOk);
    }

    /// Sends a method that is answered with an exception of the channel.
    #[track_caller]
    pub fn refused(&mut self, channel: u16, method: impl Into<Method>, code: u16, text: &str) {
        self.send(channel, method);
        self.expect_channel_error(channel, code, text);
        self.open_channel(channel);
    }

    /// An exception of the connection; it is acknowledged, and the broker closes the socket.
    #[track_caller]
    pub fn expect_connection_error(&mut self, code: u16, text: &str) -> connection::Close {
        let close = self.expect_connection_close(code, text);
        self.send(0, connection::CloseOk);
        self.expect_end();
        close
    }

    #[track_caller]
    pub fn expect_connection_close(&mut self, code: u16, text: &str) -> connection::Close {
        match self.method(0) {
            Method::ConnectionClose(close) => {
                assert!(
                    close.reply_code == code && close.reply_text.starts_with(text),
                    "expected {code} {text:?}, got {close:?}"
                );
                close
            }
            other => panic!("expected connection.close {code} {text:?}, got {other:?}"),
        }
    }

    /// The broker closes the socket, having sent nothing more that matters.
    #[track_caller]
    pub fn expect_end(&mut self) {
        loop {
            match self.try_next() {
                Ok(Some((0, Received::Method(method)))) => panic!("expected the end, got {method:?}"),
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("expected the end: {error}"),
            }
        }
    }

    /// What comes next, on any channel; `None` when the connection is lost.
    pub fn next_if_any(&mut self) -> Option<(u16, Received)> {
        self.try_next().ok().flatten()
    }

    /// What comes next, on any channel. Heartbeats are only counted.
    pub fn next(&mut self) -> (u16, Received) {
        match self.try_next() {
            Ok(Some(next)) => next,
            Ok(None) => panic!("the broker closed the socket"),
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    fn try_next(&mut self) -> std::io::Result<Option<(u16, Received)>> {
        let Some((channel, kind, payload)) = self.read_frame()? else { return Ok(None) };
        assert_eq!(kind, FrameKind::Method, "a message without its method");
        let method = Method::decode(&payload).unwrap();
        let carries_content =
            matches!(method, Method::BasicDeliver(_) | Method::BasicGetOk(_) | Method::BasicReturn(_));
        if !carries_content {
            return Ok(Some((channel, Received::Method(method))));
        }
        let Some((_, _, payload)) = self.read_frame()? else { return Ok(None) };
        let header = ContentHeader::decode(&payload).unwrap();
        let properties = Properties::parse(header.properties).unwrap().to_owned();
        let body_size = header.body_size as usize;
        let mut body = Vec::new();
        while body.len() < body_size {
            let Some((on, kind, part)) = self.read_frame()? else { return Ok(None) };
            assert_eq!((on, kind), (channel, FrameKind::Body));
            body.extend_from_slice(&part);
        }
        Ok(Some((channel, Received::Content(Content { method, properties, body }))))
    }

    fn read_frame(&mut self) -> std::io::Result<Option<(u16, FrameKind, Vec<u8>)>> {
        loop {
            if let Some((frame, size)) = amqp::next_frame(&self.input, 0).unwrap() {
                let read = (frame.channel, frame.kind, frame.payload.to_vec());
                self.largest_frame = self.largest_frame.max(size);
                self.input.drain(..size);
                if read.1 == FrameKind::Heartbeat {
                    self.heartbeats += 1;
                    continue;
                }
                return Ok(Some(read));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads at least one heartbeat frame's worth.
    pub fn wait_for_heartbeat(&mut self) {
        let before = self.heartbeats;
        while self.heartbeats == before {
            while let Some((frame, size)) = amqp::next_frame(&self.input, 0).unwrap() {
                assert_eq!(frame.kind, FrameKind::Heartbeat, "expected a heartbeat");
                self.input.drain(..size);
                self.heartbeats += 1;
            }
            assert!(self.heartbeats > before || self.fill().unwrap(), "the broker closed the socket");
        }
    }

    fn fill(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 64 * 1024];
        let read = self.stream.read(&mut buffer)?;
        self.input.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    }

    /// The next octets, whatever they mean.
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.input.len() < count {
            assert!(self.fill().unwrap(), "the broker closed the socket after {:?}", self.input);
        }
        self.input.drain(..count).collect()
    }
}

pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(amqp::FRAME_END);
    out
}

pub fn encode(channel: u16, method: impl Into<Method>) -> Vec<u8> {
    let mut out = Vec::new();
    amqp::write_method(&mut out, channel, &method.into());
    out
}

pub fn encode_content(
    channel: u16,
    publish: basic::Publish,
    properties: &BasicProperties,
    body: &[u8],
    frame_max: u32,
) -> Vec<u8> {
    let mut out = encode(channel, publish);
    let mut list = Vec::new();
    properties.encode(&mut list);
    amqp::write_content(&mut out, channel, &list, body, frame_max);
    out
}
