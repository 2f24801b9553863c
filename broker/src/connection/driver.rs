//! The task of a connection: moves bytes between the socket and `Connection`, and keeps its clocks.
//!
//! One task per connection. It reads what there is, handles all of it, then writes all there is to write;
//! output is held back while a reply's promise is not yet on disk (the gates).

mod gates;
mod writing;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval, sleep_until};

use crate::alarm::Alarm;
use crate::amqp::{self, ReplyCode};
use crate::broker::Broker;
use crate::clock;
use crate::definitions::DefinitionsError;
use crate::error::AmqpError;
use crate::output::Writing;

use super::input::{Input, READ_BYTES, Read};
use super::opening::Established;
use super::stream::Stream;
use super::{Connection, Phase};

/// After a read of so much the task lets others go first: a client that never stops sending would keep its thread
/// from timers and from the sockets of everybody else.
const READ_BYTES_BEFORE_YIELD: usize = READ_BYTES / 4;

/// How long the server waits for `close-ok`, or after its own for the client to close the socket, before it closes
/// the socket itself.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may hold incomplete or uncommitted messages while the broker is low on memory and does
/// not read from it: they may be what fills the memory.
const UNFINISHED_HELD_MAX: Duration = Duration::from_secs(30);

/// Without heartbeats, how often an idle connection gives its buffers back.
const IDLE_TICK: Duration = Duration::from_secs(30);

thread_local! {
    /// Shared by all connections of a thread: an idle connection holds no read buffer.
    static READ_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Serves an open connection until its end.
pub async fn run(established: Established, stream: Stream) {
    let Established { connection, heartbeat, unread } = established;
    let broker = connection.cx.broker.clone();
    let id = connection.cx.id;
    tracing::info!(
        connection = id,
        peer = %connection.cx.peer,
        user = connection.cx.user.name(),
        vhost = &*connection.cx.vhost.name,
        "opened"
    );
    let mut driver = Driver {
        broker,
        connection,
        stream,
        unread,
        writing: Writing::default(),
        wrote_since_tick: true,
        has_done_much: false,
        last_read: Instant::now(),
        waiting_for_round: 0,
        close_deadline: None,
        heard_of_shutdown: false,
        overdue_check_every: None,
    };
    let end = driver.run(heartbeat).await;
    if matches!(driver.connection.phase, Phase::Parting | Phase::Closed) {
        // Whether the client still listens is up to the client.
        let _ = driver.stream.say_goodbye();
    }
    match end {
        // However the socket went after that.
        Err(_) if driver.connection.phase == Phase::Parting => tracing::info!(connection = id, "closed"),
        Ok(()) => tracing::info!(connection = id, "closed"),
        Err(error) if driver.broker.client_log.admits(driver.connection.cx.peer) => {
            tracing::info!(connection = id, peer = %driver.connection.cx.peer, "lost: {error}");
        }
        Err(_) => {}
    }
}

struct Driver {
    broker: Arc<Broker>,
    connection: Box<Connection>,
    stream: Stream,
    /// The beginning of a frame whose rest has not come.
    unread: Vec<u8>,
    /// Taken from the outbox.
    writing: Writing,
    wrote_since_tick: bool,
    has_done_much: bool,
    last_read: Instant,
    /// The commit round that the store was asked to report.
    waiting_for_round: u64,
    close_deadline: Option<Instant>,
    /// Heard once, it is not listened for again: it never ends.
    heard_of_shutdown: bool,
    /// What the timer for deliveries that are not acknowledged in time was set with; `None`: it is not set.
    overdue_check_every: Option<Duration>,
}

/// However the task ends, also by a panic or an abort: consumers and exclusive queues never outlive it.
impl Drop for Driver {
    fn drop(&mut self) {
        self.connection.release();
        self.broker.forget_connection(self.connection.cx.id);
    }
}

/// Why the loop went around.
enum Event {
    Readable,
    Writable,
    Woken,
    /// The definitions that replies wait for are decided, or never will be.
    Gate(Result<(), DefinitionsError>),
    Tick,
    OverdueCheck,
    AlarmOver,
    Shutdown,
    CloseTimeout,
}

impl Driver {
    async fn run(&mut self, heartbeat: Option<Duration>) -> io::Result<()> {
        let outbox = self.connection.cx.outbox.clone();
        let mut shutdown = self.broker.shutdown_signal();
        let mut alarm = self.broker.alarms.watch();
        let mut ticks = interval(heartbeat.map_or(IDLE_TICK, |every| every / 2));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        if heartbeat.is_some_and(|every| every / 2 > IDLE_TICK) {
            // A client that wants few heartbeats is not to be late with its acknowledgements for so much longer.
            self.connection.cx.overdue_check_every = Some(IDLE_TICK);
        }
        // Kept from one turn of the loop to the next: setting a timer costs more than looking at it.
        let mut overdue = std::pin::pin!(sleep_until(Instant::now()));
        outbox.set_awake(true);
        self.handle_unread();
        loop {
            if let Some(error) = outbox.evicted() {
                self.close(error);
            }
            if outbox.take_rights_changed() {
                self.connection.recheck_rights();
            }
            self.retry_get();
            self.connection.flush_confirms();
            let stuck = self.flush()?;
            self.end_pause();
            if !stuck && self.is_over(&shutdown) && self.is_all_written() {
                return Ok(());
            }
            self.watch_store();
            if std::mem::take(&mut self.has_done_much) {
                tokio::task::yield_now().await;
            }
            outbox.set_awake(false);
            if self.may_end_pause() || !stuck && self.can_flush() && self.has_output() {
                outbox.set_awake(true);
                continue;
            }
            self.plan_overdue_check(overdue.as_mut());
            let event = self.next_event(stuck, &mut ticks, overdue.as_mut(), &mut alarm, &mut shutdown).await;
            outbox.set_awake(true);
            match event {
                Event::Readable => {
                    if !self.read()? {
                        return self.peer_closed();
                    }
                }
                Event::Writable | Event::Woken => {}
                Event::Gate(committed) => self.gate_opened(committed),
                Event::Tick => {
                    self.tick(heartbeat)?;
                    self.connection.close_overdue(clock::now_ms());
                }
                Event::OverdueCheck => {
                    self.overdue_check_every = None;
                    self.connection.close_overdue(clock::now_ms());
                }
                Event::AlarmOver => self.release_hold(),
                Event::Shutdown => {
                    self.heard_of_shutdown = true;
                    self.close(&AmqpError::connection(
                        ReplyCode::ConnectionForced,
                        "broker forced connection closure with reason 'shutdown'",
                    ));
                }
                Event::CloseTimeout if self.connection.phase == Phase::Parting => return Ok(()),
                Event::CloseTimeout => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no close-ok from the client"));
                }
            }
        }
    }

    async fn next_event(
        &self,
        stuck: bool,
        ticks: &mut tokio::time::Interval,
        overdue: Pin<&mut Sleep>,
        alarm: &mut watch::Receiver<Option<Alarm>>,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Event {
        let cx = &self.connection.cx;
        let gate = cx.gate.highest();
        let deadline = self.close_deadline;
        let running = matches!(self.connection.phase, Phase::Running | Phase::Parting);
        tokio::select! {
            biased;
            // Before reading: a client that never stops sending must not keep them from happening. What hardly
            // ever happens is boxed, so that an open connection is small.
            _ = shutdown.wait_for(|&down| down), if running && !self.heard_of_shutdown => Event::Shutdown,
            _ = ticks.tick() => Event::Tick,
            () = async {
                match deadline {
                    Some(at) => Box::pin(sleep_until(at)).await,
                    None => std::future::pending().await,
                }
            } => Event::CloseTimeout,
            () = overdue, if running && self.overdue_check_every.is_some() => Event::OverdueCheck,
            committed = async {
                match gate {
                    Some(ticket) => Box::pin(cx.broker.definitions.wait(ticket)).await,
                    None => std::future::pending().await,
                }
            } => Event::Gate(committed),
            _ = self.stream.readable(), if self.may_read() => Event::Readable,
            _ = self.stream.writable(), if stuck => Event::Writable,
            () = cx.outbox.woken() => Event::Woken,
            () = async {
                match cx.held {
                    // The sender lives in the broker.
                    true => drop(Box::pin(alarm.wait_for(|alarm| alarm.is_none())).await),
                    false => std::future::pending().await,
                }
            } => Event::AlarmOver,
        }
    }

    /// Nothing more is expected from the client.
    fn is_over(&self, shutdown: &watch::Receiver<bool>) -> bool {
        match self.connection.phase {
            Phase::Running | Phase::Closing => false,
            Phase::Parting => *shutdown.borrow(),
            Phase::Closed => true,
        }
    }

    /// Backpressure: not while publishers are held, confirms pile up, or the client does not read.
    fn may_read(&self) -> bool {
        if self.connection.cx.held
            || self.connection.cx.paused
            || self.connection.waits_for_body()
            || self.connection.unconfirmed() > self.broker.config.limits.unconfirmed_max
        {
            return false;
        }
        self.unread_output_bytes() < self.connection.cx.unread_output_bytes_max()
    }

    fn may_end_pause(&self) -> bool {
        self.connection.cx.paused && self.unread_output_bytes() < self.connection.cx.unread_output_bytes_max()
    }

    /// Goes on with what was read, once the client has read what it asked for and others had their turn.
    fn end_pause(&mut self) {
        if !self.has_done_much && self.may_end_pause() {
            self.connection.cx.paused = false;
            self.handle_unread();
            self.has_done_much = self.connection.cx.paused;
        }
    }

    /// When to look next for late acknowledgements: earlier, if a less patient queue has joined.
    fn plan_overdue_check(&mut self, overdue: Pin<&mut Sleep>) {
        let every = self.connection.cx.overdue_check_every;
        if self.overdue_check_every != every {
            self.overdue_check_every = every;
            if let Some(every) = every {
                overdue.reset(Instant::now() + every);
            }
        }
    }

    /// Goes on with what was read, once the body is there that a `basic.get` waits for.
    fn retry_get(&mut self) {
        if self.connection.waits_for_body() {
            self.connection.retry_get();
            if !self.connection.waits_for_body() {
                self.handle_unread();
            }
        }
    }

    /// Reads and handles every complete frame. False at the end of the stream.
    fn read(&mut self) -> io::Result<bool> {
        let (mut bytes, mut reads) = (0, 0);
        let is_open = {
            // One wake-up of the commit thread for the whole batch.
            let _cork = self.broker.store.cork();
            let is_open = READ_BUFFER.with_borrow_mut(|buffer| {
                let mut input = Input {
                    stream: &mut self.stream,
                    connection: &mut self.connection,
                    unread: &mut self.unread,
                };
                loop {
                    let read = input.read(buffer)?;
                    bytes += read.bytes();
                    reads += u64::from(read.bytes() > 0);
                    match read {
                        Read::End => return Ok(false),
                        Read::Go(_) if bytes < READ_BYTES => {}
                        Read::Go(_) | Read::Done(_) => return Ok(true),
                    }
                }
            });
            self.connection.end_batch();
            is_open
        };
        if bytes > 0 {
            self.last_read = Instant::now();
            self.connection.cx.traffic.received(bytes, reads);
            self.has_done_much = bytes >= READ_BYTES_BEFORE_YIELD || self.connection.cx.paused;
            self.note_closing();
        }
        is_open
    }

    /// What came with the last bytes of the handshake.
    fn handle_unread(&mut self) {
        let consumed = self.connection.on_input(&self.unread);
        self.connection.end_batch();
        self.unread.drain(..consumed);
        self.note_closing();
    }

    fn note_closing(&mut self) {
        let waits = matches!(self.connection.phase, Phase::Closing | Phase::Parting);
        if waits && self.close_deadline.is_none() {
            self.close_deadline = Some(Instant::now() + CLOSE_TIMEOUT);
        }
    }

    fn release_hold(&mut self) {
        let cx = &mut self.connection.cx;
        cx.held = false;
        cx.traffic.set_held(false);
        self.last_read = Instant::now();
        if cx.capabilities.connection_blocked {
            cx.send(0, amqp::connection::Unblocked);
        }
    }

    fn close(&mut self, error: &AmqpError) {
        self.connection.close_with(error);
        self.note_closing();
    }

    fn tick(&mut self, heartbeat: Option<Duration>) -> io::Result<()> {
        if let Some(heartbeat) = heartbeat {
            // What is not read because of us is not the client's silence.
            if self.may_read() && self.last_read.elapsed() > heartbeat * 2 {
                let text = format!("missed heartbeats from client, timeout: {} s", heartbeat.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            if !self.wrote_since_tick && self.connection.phase == Phase::Running {
                amqp::write_heartbeat(&mut self.connection.cx.outbox.lock().output.frames);
            }
        }
        self.give_up_unfinished();
        if !self.wrote_since_tick {
            self.give_buffers_back();
        }
        self.wrote_since_tick = false;
        Ok(())
    }

    /// What is not read because of the alarm cannot end it.
    fn give_up_unfinished(&mut self) {
        let cx = &self.connection.cx;
        let is_low = cx.held && self.broker.alarms.raised() == Some(Alarm::Memory);
        if is_low && !cx.pending.is_empty() && self.last_read.elapsed() > UNFINISHED_HELD_MAX {
            self.close(&AmqpError::connection(
                ReplyCode::ResourceError,
                "low on memory, and this connection's messages are incomplete or wait for tx.commit: they are \
                 given up; send them again later",
            ));
        }
    }

    fn peer_closed(&self) -> io::Result<()> {
        match self.connection.phase {
            Phase::Running => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the client closed the socket without closing the connection",
            )),
            Phase::Closing | Phase::Parting | Phase::Closed => Ok(()),
        }
    }
}
