//! A blocking client for setting up: opens connections, declares, waits for each answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use broker::amqp::{
    self, BasicProperties, FieldTable, FrameKind, Method, basic, channel, confirm, connection, exchange,
    queue,
};

use crate::confirmed::Confirmed;

/// Where the broker is and who asks.
#[derive(Clone, clap::Args)]
pub struct Target {
    /// The broker's address.
    #[arg(long, global = true, default_value = "127.0.0.1:5672")]
    pub addr: SocketAddr,
    #[arg(long, global = true, default_value = "guest")]
    pub user: String,
    #[arg(long, global = true, default_value = "guest")]
    pub password: String,
}

/// A broker that does not answer for so long will not.
const PATIENCE: Duration = Duration::from_secs(60);

/// Methods ahead of their answers: few enough that nobody waits for the other to read.
const PIPELINED_MAX: usize = 200;

pub struct Client {
    pub socket: TcpStream,
    /// What was read behind the last answer.
    pub input: Vec<u8>,
    pub frame_max: u32,
}

impl Client {
    /// A connection with channel 1.
    pub fn open(target: &Target) -> io::Result<Client> {
        let socket = TcpStream::connect(target.addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut client = Client { socket, input: Vec::new(), frame_max: 0 };
        client.socket.write_all(b"AMQP\x00\x00\x09\x01")?;
        let Method::ConnectionStart(_) = client.method()? else { return Err(client.unexpected("start")) };
        client.send(
            0,
            connection::StartOk {
                client_properties: FieldTable::default(),
                mechanism: "PLAIN".into(),
                response: format!("\0{}\0{}", target.user, target.password).into_bytes().into(),
                locale: "en_US".into(),
            },
        )?;
        let Method::ConnectionTune(tune) = client.method()? else { return Err(client.unexpected("tune")) };
        client.frame_max = tune.frame_max;
        let agreed =
            connection::TuneOk { channel_max: tune.channel_max, frame_max: tune.frame_max, heartbeat: 0 };
        client.send(0, agreed)?;
        client.call(0, connection::Open { virtual_host: "/".into() })?;
        client.call(1, channel::Open)?;
        Ok(client)
    }

    pub fn send(&mut self, channel: u16, method: impl Into<Method>) -> io::Result<()> {
        let mut out = Vec::new();
        amqp::write_method(&mut out, channel, &method.into());
        self.socket.write_all(&out)
    }

    /// Sends a method and waits for its answer.
    pub fn call(&mut self, channel: u16, method: impl Into<Method>) -> io::Result<Method> {
        self.send(channel, method)?;
        self.method()
    }

    /// The next method. What closes the channel or the connection is an error.
    pub fn method(&mut self) -> io::Result<Method> {
        loop {
            let frame = amqp::next_frame(&self.input, 0).map_err(io::Error::other)?;
            if let Some((frame, size)) = frame {
                let method = (frame.kind == FrameKind::Method).then(|| Method::decode(frame.payload));
                self.input.drain(..size);
                match method.transpose().map_err(io::Error::other)? {
                    Some(Method::ChannelClose(close)) => {
                        return Err(io::Error::other(String::from(close.reply_text)));
                    }
                    Some(Method::ConnectionClose(close)) => {
                        return Err(io::Error::other(String::from(close.reply_text)));
                    }
                    Some(method) => return Ok(method),
                    None => continue,
                }
            }
            let mut part = [0; 4096];
            match self.socket.read(&mut part)? {
                0 => return Err(self.unexpected("more than the end of the connection")),
                read => self.input.extend_from_slice(&part[..read]),
            }
        }
    }

    /// Sends methods and waits for the answer to each, without waiting in between.
    pub fn call_all<M: Into<Method>>(
        &mut self,
        channel: u16,
        methods: impl IntoIterator<Item = M>,
    ) -> io::Result<()> {
        let mut methods = methods.into_iter().peekable();
        while methods.peek().is_some() {
            let mut out = Vec::new();
            let mut count = 0;
            for method in methods.by_ref().take(PIPELINED_MAX) {
                amqp::write_method(&mut out, channel, &method.into());
                count += 1;
            }
            self.socket.write_all(&out)?;
            for _ in 0..count {
                self.method()?;
            }
        }
        Ok(())
    }

    /// Says goodbye and waits for the answer.
    pub fn close(mut self) -> io::Result<()> {
        let close =
            connection::Close { reply_code: 200, reply_text: "done".into(), class_id: 0, method_id: 0 };
        self.call(0, close).map(|_| ())
    }

    fn unexpected(&self, wanted: &str) -> io::Error {
        io::Error::other(format!("the broker did not send {wanted}"))
    }

    /// A queue that goes with the connection.
    pub fn declare_exclusive(&mut self, name: &str) -> io::Result<Method> {
        self.call(1, queue::Declare { queue: name.into(), exclusive: true, ..Default::default() })
    }

    /// A queue that several connections may consume from.
    pub fn declare_shared(&mut self, name: &str, durable: bool) -> io::Result<Method> {
        self.call(1, queue::Declare { queue: name.into(), durable, ..Default::default() })
    }

    pub fn declare_all(&mut self, names: &[String], durable: bool) -> io::Result<()> {
        let declare =
            |name: &String| queue::Declare { queue: (&**name).into(), durable, ..Default::default() };
        self.call_all(1, names.iter().map(declare))
    }

    pub fn delete_all(&mut self, names: &[String]) -> io::Result<()> {
        let delete = |name: &String| queue::Delete { queue: (&**name).into(), ..Default::default() };
        self.call_all(1, names.iter().map(delete))
    }

    /// Declares a durable queue without waiting for the answer.
    pub fn send_declare(&mut self, name: &str) -> io::Result<()> {
        self.send(1, queue::Declare { queue: name.into(), durable: true, ..Default::default() })
    }

    /// Publishes so many of the same message to a queue that nobody consumes from, and waits until they are there.
    /// Persistent ones need `confirm` before.
    pub fn fill(
        &mut self,
        queue: &str,
        properties: &BasicProperties,
        size: usize,
        count: u64,
    ) -> io::Result<()> {
        const AT_ONCE: u64 = 500;
        let publish = basic::Publish { routing_key: queue.into(), ..Default::default() };
        let (mut out, mut list) = (Vec::new(), Vec::new());
        properties.encode(&mut list);
        for _ in 0..AT_ONCE {
            amqp::write_method(&mut out, 1, &publish.clone().into());
            amqp::write_content(&mut out, 1, &list, &vec![b'x'; size], self.frame_max);
        }
        let each = out.len() / AT_ONCE as usize;
        let mut confirmed = Confirmed::default();
        let confirms = properties.delivery_mode == Some(2);
        let mut sent = 0;
        while sent < count {
            let batch = AT_ONCE.min(count - sent);
            self.socket.write_all(&out[..each * batch as usize])?;
            sent += batch;
            while confirms && confirmed.count() + 20 * AT_ONCE < sent {
                self.confirmation(&mut confirmed)?;
            }
        }
        while confirms && confirmed.count() < count {
            self.confirmation(&mut confirmed)?;
        }
        // Answered behind the messages.
        self.call(1, basic::Qos::default())?;
        Ok(())
    }

    /// Waits for the next confirm.
    pub fn confirmation(&mut self, confirmed: &mut Confirmed) -> io::Result<()> {
        let Method::BasicAck(ack) = self.method()? else {
            return Err(io::Error::other("a message was not confirmed"));
        };
        confirmed.add(ack.delivery_tag, ack.multiple);
        Ok(())
    }

    pub fn send_message(
        &mut self,
        publish: basic::Publish,
        properties: &BasicProperties,
        size: usize,
    ) -> io::Result<()> {
        let (mut out, mut list) = (Vec::new(), Vec::new());
        amqp::write_method(&mut out, 1, &publish.into());
        properties.encode(&mut list);
        amqp::write_content(&mut out, 1, &list, &vec![b'x'; size], self.frame_max);
        self.socket.write_all(&out)
    }

    pub fn delete(&mut self, name: &str) -> io::Result<Method> {
        self.call(1, queue::Delete { queue: name.into(), ..Default::default() })
    }

    pub fn declare_exchange(&mut self, name: &str, kind: &str) -> io::Result<Method> {
        let declare = exchange::Declare {
            exchange: name.into(),
            kind: kind.into(),
            auto_delete: true,
            ..Default::default()
        };
        self.call(1, declare)
    }

    pub fn bind(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: FieldTable,
    ) -> io::Result<Method> {
        let bind = queue::Bind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: key.into(),
            arguments,
            ..Default::default()
        };
        self.call(1, bind)
    }

    pub fn consume(&mut self, queue: &str, no_ack: bool, prefetch: u16) -> io::Result<()> {
        self.call(1, basic::Qos { prefetch_count: prefetch, ..Default::default() })?;
        self.call(1, basic::Consume { queue: queue.into(), no_ack, ..Default::default() })?;
        Ok(())
    }

    pub fn consume_all<'n>(
        &mut self,
        queues: impl Iterator<Item = &'n String>,
        no_ack: bool,
        prefetch: u16,
    ) -> io::Result<()> {
        self.call(1, basic::Qos { prefetch_count: prefetch, ..Default::default() })?;
        let consume =
            |name: &String| basic::Consume { queue: (&**name).into(), no_ack, ..Default::default() };
        self.call_all(1, queues.map(consume))
    }

    pub fn confirm(&mut self) -> io::Result<Method> {
        self.call(1, confirm::Select::default())
    }
}
