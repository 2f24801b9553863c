//! The loop: one thread serves all connections through the phases of a measurement.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::link::{Link, Pace};
use crate::stats::{Stats, Usage, machine_busy_s, usage};

/// Room for the rest of the largest frame and for a read.
const BUFFER_BYTES: usize = 512 << 10;
/// Undelivered messages, and bytes of them, at which floods pause.
const BACKLOG_MAX: u64 = 100_000;
const BACKLOG_BYTES_MAX: u64 = 256 << 20;
/// Without any progress for so long while draining, what is missing is lost.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
/// A number of messages is given up after so long.
const MESSAGES_PATIENCE: Duration = Duration::from_secs(600);
/// What the timer is called among the events.
const TIMER: u64 = u64::MAX;
const READS_PER_TURN: usize = 4;

pub struct Plan {
    pub links: Vec<Link>,
    pub seconds: f64,
    /// Messages a second from those that publish when told; 0 for as fast as it goes.
    pub rate: f64,
    /// Deliveries that one publish causes.
    pub copies: u64,
    pub message_bytes: u64,
    /// The end comes after so many publishes, instead of after `seconds`.
    pub messages: Option<u64>,
    /// The broker's process.
    pub pid: Option<u32>,
    /// Say on standard error when the set-up is done.
    pub announce: bool,
}

/// What was measured between warm-up and end, and what was missing in the end.
pub struct Outcome {
    pub seconds: f64,
    pub published: u64,
    pub delivered: u64,
    pub stats: Stats,
    pub lost: u64,
    pub broker_cpu_s: Option<f64>,
    pub own_cpu_s: f64,
    pub other_cores: f64,
    pub rss_kib: u64,
    /// What the broker's memory grew by meanwhile.
    pub rss_grown_kib: u64,
}

struct Mark {
    at: Instant,
    published: u64,
    delivered: u64,
    broker: Usage,
    own: Usage,
    busy_s: f64,
}

impl Mark {
    fn now(stats: &Stats, pid: Option<u32>) -> Mark {
        Mark {
            at: Instant::now(),
            published: stats.published,
            delivered: stats.delivered,
            broker: pid.map(usage).unwrap_or_default(),
            own: usage(std::process::id()),
            busy_s: machine_busy_s(),
        }
    }
}

pub fn run(plan: Plan) -> io::Result<Outcome> {
    let mut engine = Engine::new(plan)?;
    if engine.plan.announce {
        eprintln!("measuring");
    }
    let seconds = engine.plan.seconds;
    // A number of messages is counted from the first to the last.
    let warm_up = if engine.plan.messages.is_some() { 0.0 } else { (seconds / 4.0).min(0.5) };
    let zero = Mark::now(&engine.stats, engine.plan.pid);
    engine.begin()?;
    engine.turn_until(Instant::now() + Duration::from_secs_f64(warm_up))?;
    engine.stats.latency = Default::default();
    engine.stats.lag = Default::default();
    let (from, end) = match engine.plan.messages {
        None => (Mark::now(&engine.stats, engine.plan.pid), Duration::from_secs_f64(seconds)),
        Some(_) => (zero, MESSAGES_PATIENCE),
    };
    engine.turn_until(Instant::now() + end)?;
    let mut to = Mark::now(&engine.stats, engine.plan.pid);
    let measured = engine.stats.clone();
    let lost = engine.drain()?;
    if engine.plan.messages.is_some() {
        to = Mark::now(&engine.stats, engine.plan.pid);
    }
    let elapsed = (to.at - from.at).as_secs_f64();
    let broker_cpu_s = to.broker.cpu_s - from.broker.cpu_s;
    let own_cpu_s = to.own.cpu_s - from.own.cpu_s;
    Ok(Outcome {
        seconds: elapsed,
        published: to.published - from.published,
        delivered: to.delivered - from.delivered,
        stats: Stats { latency: measured.latency, lag: measured.lag, ..engine.stats },
        lost,
        broker_cpu_s: engine.plan.pid.map(|_| broker_cpu_s),
        own_cpu_s,
        other_cores: ((to.busy_s - from.busy_s - broker_cpu_s - own_cpu_s) / elapsed).max(0.0),
        rss_kib: to.broker.rss_kib,
        rss_grown_kib: to.broker.rss_kib.saturating_sub(from.broker.rss_kib),
    })
}

struct Engine {
    plan: Plan,
    poll: OwnedFd,
    timer: OwnedFd,
    stats: Stats,
    buffer: Vec<u8>,
    epoch: Instant,
    /// Connections that are waiting for room in their socket.
    watched: Vec<bool>,
    /// Publishes that were due so far, and whose turn it is.
    told: u64,
    next_told: usize,
}

impl Engine {
    fn new(plan: Plan) -> io::Result<Engine> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        epoll::add(&poll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        for (at, link) in plan.links.iter().enumerate() {
            epoll::add(&poll, &link.socket, EventData::new_u64(at as u64), EventFlags::IN)?;
        }
        let watched = vec![false; plan.links.len()];
        let buffer = vec![0; BUFFER_BYTES];
        Ok(Engine {
            plan,
            poll,
            timer,
            stats: Stats::default(),
            buffer,
            epoch: Instant::now(),
            watched,
            told: 0,
            next_told: 0,
        })
    }

    /// The first message of those that answer.
    fn begin(&mut self) -> io::Result<()> {
        self.epoch = Instant::now();
        for at in 0..self.plan.links.len() {
            self.plan.links[at].catch_up(&mut self.stats)?;
            if self.plan.links[at].role.pace == Pace::Answer {
                let now_ns = self.now_ns();
                self.plan.links[at].publish(0, now_ns, &mut self.stats);
            }
            self.serve(at)?;
        }
        Ok(())
    }

    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn turn_until(&mut self, end: Instant) -> io::Result<()> {
        while Instant::now() < end && self.stats.published < self.plan.messages.unwrap_or(u64::MAX) {
            let wait = self.publish_what_is_due(end)?;
            self.turn(wait)?;
        }
        Ok(())
    }

    /// Publishes at the planned rate; how long until the next one is due.
    fn publish_what_is_due(&mut self, end: Instant) -> io::Result<Duration> {
        let left = end.saturating_duration_since(Instant::now());
        if self.plan.rate == 0.0 {
            let can_flood =
                self.backlog_room() > 0 && self.plan.links.iter().any(|l| l.is_flooding() && !l.stuck);
            if !can_flood {
                return Ok(left.min(Duration::from_millis(20)));
            }
            let mut filled = false;
            for at in 0..self.plan.links.len() {
                if self.plan.links[at].is_flooding() && !self.plan.links[at].stuck {
                    let before = self.plan.links[at].sent;
                    self.serve(at)?;
                    filled |= self.plan.links[at].sent > before;
                }
            }
            return Ok(if filled { Duration::ZERO } else { left.min(Duration::from_millis(20)) });
        }
        loop {
            // The first one is due at once.
            let due = Duration::from_secs_f64(self.told as f64 / self.plan.rate);
            let now = self.epoch.elapsed();
            if now < due {
                return Ok((due - now).min(left));
            }
            while self.plan.links[self.next_told].role.pace != Pace::Told {
                self.next_told = (self.next_told + 1) % self.plan.links.len();
            }
            let at = self.next_told;
            self.next_told = (at + 1) % self.plan.links.len();
            // How late this thread was is not the broker's doing, and counted by itself. What the socket does not
            // take is: its stamp is as old as the message.
            self.stats.lag.record((now - due).as_nanos() as u64);
            self.plan.links[at].publish_next(now.as_nanos() as u64, &mut self.stats);
            self.told += 1;
            self.serve(at)?;
        }
    }

    fn backlog_room(&self) -> u64 {
        let most = BACKLOG_MAX.min(BACKLOG_BYTES_MAX / self.plan.message_bytes.max(1));
        let delivered = self.stats.delivered / self.plan.copies.max(1);
        let left = self.plan.messages.unwrap_or(u64::MAX).saturating_sub(self.stats.published);
        most.saturating_sub(self.stats.published.saturating_sub(delivered)).min(left)
    }

    /// Waits for the sockets and serves those that are ready.
    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        let mut events = Vec::with_capacity(1024);
        // The timeout of the poll itself is in milliseconds, which is much where messages are due every 0.2 ms.
        let mut timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        if !wait.is_zero() {
            let spec = Itimerspec { it_interval: Timespec::default(), it_value: timeout };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec)?;
            timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
        }
        match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for Event { flags, data } in events {
            if data.u64() == TIMER {
                rustix::io::read(&self.timer, &mut [0; 8])?;
                continue;
            }
            let at = data.u64() as usize;
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                for _ in 0..READS_PER_TURN {
                    if !self.plan.links[at].read(&mut self.buffer, self.epoch, &mut self.stats)? {
                        break;
                    }
                }
            }
            self.plan.links[at].stuck = false;
            self.serve(at)?;
        }
        Ok(())
    }

    /// Publishes what one connection may, and writes.
    fn serve(&mut self, at: usize) -> io::Result<()> {
        let (room, now_ns) = (self.backlog_room(), self.now_ns());
        let link = &mut self.plan.links[at];
        if link.is_flooding() && !self.stats.is_draining {
            link.flood(room, now_ns, &mut self.stats);
        }
        link.flush()?;
        if link.stuck != self.watched[at] {
            self.watched[at] = link.stuck;
            let flags = if link.stuck { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.poll, &link.socket, EventData::new_u64(at as u64), flags)?;
        }
        Ok(())
    }

    /// Waits for what is under way; how many messages never came.
    fn drain(&mut self) -> io::Result<u64> {
        self.stats.is_draining = true;
        let mut last = Instant::now();
        loop {
            let expected = (self.stats.published - self.stats.returned) * self.plan.copies;
            let unconfirmed: u64 = self.plan.links.iter().map(Link::unconfirmed).sum();
            let missing = expected.saturating_sub(self.stats.delivered);
            if (missing == 0 && unconfirmed == 0) || last.elapsed() > DRAIN_PATIENCE {
                return Ok(missing);
            }
            let before = (self.stats.delivered, self.stats.confirmed);
            for at in 0..self.plan.links.len() {
                self.plan.links[at].acknowledge();
                self.serve(at)?;
            }
            self.turn(Duration::from_millis(20))?;
            if (self.stats.delivered, self.stats.confirmed) != before {
                last = Instant::now();
            }
        }
    }
}
