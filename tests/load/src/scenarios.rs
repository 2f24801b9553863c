//! The scenarios: each sets its queues and connections up and says what is to be measured.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use broker::amqp::{BasicProperties, FieldTable, Method, basic, queue};
use serde_json::{Value, json};

use crate::Common;
use crate::client::Client;
use crate::confirmed::Confirmed;
use crate::engine::{Outcome, Plan, run};
use crate::link::{Link, Pace, Role, Template};
use crate::stats::usage;

#[derive(Clone, clap::Args)]
pub struct Flow {
    #[arg(short, long, default_value_t = 1, value_parser = at_least_one)]
    publishers: usize,
    /// With none, messages stay in their queues.
    #[arg(short, long, default_value_t = 1)]
    consumers: usize,
    /// Publishers and consumers are spread over them; with a fanout exchange every queue gets every message.
    #[arg(short, long, default_value_t = 1, value_parser = at_least_one)]
    queues: usize,
    /// Bytes of a body.
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Acknowledge so many at a time; 0 for no acknowledgements.
    #[arg(long, default_value_t = 0)]
    ack_every: u32,
    #[arg(long, default_value_t = 1000)]
    prefetch: u16,
    /// Persistent messages, durable queues, confirms.
    #[arg(long)]
    persistent: bool,
    /// Unconfirmed publishes of one publisher.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    in_flight: u64,
    #[arg(long)]
    mandatory: bool,
    /// fanout, direct, topic or headers; by queue name without.
    #[arg(long)]
    exchange: Option<String>,
    /// Messages a second; 0 for as fast as it goes.
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// So many messages instead of `--seconds`, for counting what they cost.
    #[arg(long)]
    messages: Option<u64>,
    /// Every publisher publishes to every queue in turn, and the consumers share the queues.
    #[arg(long)]
    spread: bool,
    /// Messages that are in the first queue already.
    #[arg(long, default_value_t = 0)]
    backlog: u64,
    /// So many more bindings of the first queue. Messages go by each of them in turn, and with a headers exchange by
    /// none of them.
    #[arg(long, default_value_t = 0)]
    bindings: usize,
}

#[derive(Clone, clap::Args)]
pub struct PingPong {
    #[arg(long, default_value_t = 256)]
    size: usize,
    #[arg(long)]
    persistent: bool,
}

#[derive(Clone, clap::Args)]
pub struct Chat {
    /// In pairs, each with a durable queue; every message is persistent, mandatory, confirmed and acknowledged.
    #[arg(short, long, default_value_t = 100, value_parser = at_least_one)]
    users: usize,
    /// Unconfirmed messages of one user.
    #[arg(short, long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    window: u64,
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
}

#[derive(Clone, clap::Args)]
pub struct Fanin {
    /// Clients that send a request, wait for the answer, and so on.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = at_least_one)]
    clients: usize,
    #[arg(short = 'k', long, default_value_t = 4, value_parser = at_least_one)]
    workers: usize,
    #[arg(long, default_value_t = 10)]
    prefetch: u16,
    #[arg(long)]
    persistent: bool,
}

#[derive(Clone, clap::Args)]
pub struct Connections {
    /// Each with a channel, an exclusive queue and a consumer.
    #[arg(short = 'n', long, default_value_t = 1000, value_parser = at_least_one)]
    count: usize,
    /// Opened at the same time.
    #[arg(long, default_value_t = 16, value_parser = at_least_one)]
    parallel: usize,
}

#[derive(Clone, clap::Args)]
pub struct Churn {
    /// Clients at the same time; each connects, declares, publishes, closes, and so on.
    #[arg(long, default_value_t = 16, value_parser = at_least_one)]
    parallel: usize,
}

#[derive(Clone, clap::Args)]
pub struct Queues {
    /// Durable, declared by one connection.
    #[arg(short = 'n', long, default_value_t = 10_000, value_parser = at_least_one)]
    count: usize,
    /// Persistent messages in each.
    #[arg(short, long, default_value_t = 0)]
    messages: usize,
    /// Declares ahead of their answers.
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pipeline: usize,
}

/// With none of them there would be nothing to wait for, for ever.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("there has to be at least one".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(error.to_string()),
    }
}

impl Common {
    fn name(&self, what: &str) -> String {
        format!("load.{}.{what}", std::process::id())
    }

    fn open(&self) -> io::Result<Client> {
        Client::open(&self.target)
    }
}

fn properties(persistent: bool) -> BasicProperties {
    BasicProperties { delivery_mode: persistent.then_some(2), ..BasicProperties::default() }
}

fn publish(exchange: &str, routing_key: &str, mandatory: bool) -> basic::Publish {
    basic::Publish {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        mandatory,
        ..Default::default()
    }
}

impl Flow {
    pub fn run(&self, common: &Common) -> io::Result<Value> {
        let mut setup = common.open()?;
        let queues: Vec<String> = (0..self.queues).map(|at| common.name(&format!("q{at}"))).collect();
        let exchange = self.exchange.as_deref().map(|kind| (kind, common.name(kind)));
        setup.declare_all(&queues, self.persistent)?;
        if let Some((kind, name)) = &exchange {
            setup.declare_exchange(name, kind)?;
            self.bind(&mut setup, kind, name, &queues)?;
        }
        if self.backlog > 0 {
            let mut client = common.open()?;
            if self.persistent {
                client.confirm()?;
            }
            client.fill(&queues[0], &properties(self.persistent), self.size, self.backlog)?;
        }
        let mut links = Vec::new();
        for at in 0..self.consumers {
            let mut client = common.open()?;
            let (first, step) =
                if self.spread { (at, self.consumers) } else { (at % queues.len(), queues.len()) };
            let share = queues.iter().skip(first).step_by(step);
            client.consume_all(share, self.ack_every == 0, self.prefetch)?;
            links.push(Link::new(client, Role::consumer(self.ack_every))?);
        }
        for at in 0..self.publishers {
            links.push(self.publisher(common, exchange.as_ref(), &queues, at)?);
        }
        let copies = match self.exchange.as_deref() {
            _ if self.consumers == 0 => 0,
            Some("fanout" | "headers") => self.queues as u64,
            _ => 1,
        };
        let outcome = run(Plan {
            links,
            seconds: common.seconds,
            rate: self.rate,
            copies,
            message_bytes: self.size as u64,
            messages: self.messages,
            pid: common.pid,
            announce: common.announce,
        })?;
        setup.delete_all(&queues)?;
        if self.consumers > 0 {
            return Ok(report(&outcome, outcome.delivered));
        }
        let mut report = report(&outcome, outcome.published);
        report["kib_each"] =
            json!(common.pid.map(|_| outcome.rss_grown_kib as f64 / outcome.published.max(1) as f64));
        Ok(report)
    }

    fn bind(&self, setup: &mut Client, kind: &str, exchange: &str, queues: &[String]) -> io::Result<()> {
        let own = queues.iter().map(|queue| bind(queue, exchange, queue, headers(kind, "yes")));
        setup.call_all(1, own)?;
        let more = (0..self.bindings).map(|at| {
            let key = format!("{at}.*");
            let key = if kind == "topic" { key } else { self.key(at) };
            bind(&queues[0], exchange, &key, headers(kind, &at.to_string()))
        });
        setup.call_all(1, more)
    }

    /// The routing key that one of `bindings` matches.
    fn key(&self, at: usize) -> String {
        format!("{at}.load")
    }

    fn publisher(
        &self,
        common: &Common,
        exchange: Option<&(&str, String)>,
        queues: &[String],
        at: usize,
    ) -> io::Result<Link> {
        let mut client = common.open()?;
        if self.persistent {
            client.confirm()?;
        }
        let pace = match (self.rate > 0.0, self.persistent) {
            (true, _) => Pace::Told,
            (false, true) => Pace::Flood(self.in_flight),
            (false, false) => Pace::Flood(0),
        };
        let mut properties = properties(self.persistent);
        let kind = exchange.map(|(kind, _)| *kind);
        if kind == Some("headers") {
            properties.headers = Some([("load", "yes")].into());
        }
        let keys: Vec<String> = match kind {
            Some("topic" | "direct") if self.bindings > 0 => {
                (0..self.bindings).map(|at| self.key(at)).collect()
            }
            _ if self.spread => queues.to_vec(),
            _ => vec![queues[at % queues.len()].clone()],
        };
        let exchange = exchange.map_or("", |(_, name)| name);
        let template = |key: &String| {
            Template::new(publish(exchange, key, self.mandatory), &properties, self.size, client.frame_max)
        };
        let templates = keys.iter().map(template).collect();
        Link::new(client, Role { templates, ..Role::publisher(pace, self.persistent) })
    }
}

fn bind(queue: &str, exchange: &str, key: &str, arguments: FieldTable) -> queue::Bind {
    queue::Bind {
        queue: queue.into(),
        exchange: exchange.into(),
        routing_key: key.into(),
        arguments,
        ..Default::default()
    }
}

fn headers(kind: &str, value: &str) -> FieldTable {
    match kind {
        "headers" => [("x-match", "all"), ("load", value)].into(),
        _ => FieldTable::default(),
    }
}

impl PingPong {
    pub fn run(&self, common: &Common) -> io::Result<Value> {
        let queue = common.name("ping");
        let mut setup = common.open()?;
        setup.declare_shared(&queue, self.persistent)?;
        let mut client = common.open()?;
        client.consume(&queue, !self.persistent, 10)?;
        if self.persistent {
            client.confirm()?;
        }
        let publish = publish("", &queue, false);
        let template = Template::new(publish, &properties(self.persistent), self.size, client.frame_max);
        let mut role = Role::publisher(Pace::Answer, self.persistent);
        role.templates = vec![template];
        role.ack_every = u32::from(self.persistent);
        let outcome = run(Plan {
            links: vec![Link::new(client, role)?],
            seconds: common.seconds,
            rate: 0.0,
            copies: 1,
            message_bytes: self.size as u64,
            messages: None,
            pid: common.pid,
            announce: common.announce,
        })?;
        setup.delete(&queue)?;
        Ok(report(&outcome, outcome.delivered))
    }
}

impl Chat {
    pub fn run(&self, common: &Common) -> io::Result<Value> {
        let mut setup = common.open()?;
        let queues: Vec<String> = (0..self.users).map(|at| common.name(&format!("u{at}"))).collect();
        let mut links = Vec::new();
        for queue in &queues {
            setup.declare_shared(queue, true)?;
        }
        for (at, queue) in queues.iter().enumerate() {
            let mut client = common.open()?;
            client.consume(queue, false, 100)?;
            client.confirm()?;
            let partner = &queues[(at ^ 1).min(queues.len() - 1)];
            let template =
                Template::new(publish("", partner, true), &properties(true), 256, client.frame_max);
            let pace = if self.rate > 0.0 { Pace::Told } else { Pace::Flood(self.window) };
            let mut role = Role::publisher(pace, true);
            role.templates = vec![template];
            role.ack_every = 1;
            links.push(Link::new(client, role)?);
        }
        let outcome = run(Plan {
            links,
            seconds: common.seconds,
            rate: self.rate,
            copies: 1,
            message_bytes: 256,
            messages: None,
            pid: common.pid,
            announce: common.announce,
        })?;
        for queue in &queues {
            setup.delete(queue)?;
        }
        Ok(report(&outcome, outcome.delivered))
    }
}

impl Fanin {
    pub fn run(&self, common: &Common) -> io::Result<Value> {
        let mut setup = common.open()?;
        let requests = common.name("requests");
        let exchange = common.name("fanin");
        setup.declare_exchange(&exchange, "fanout")?;
        setup.declare_shared(&requests, self.persistent)?;
        setup.bind(&requests, &exchange, "", FieldTable::default())?;
        let replies: Vec<String> = (0..self.clients).map(|at| common.name(&format!("r{at}"))).collect();
        for queue in &replies {
            setup.declare_shared(queue, self.persistent)?;
        }
        let mut links = Vec::new();
        let properties = properties(self.persistent);
        for _ in 0..self.workers {
            let mut client = common.open()?;
            client.consume(&requests, false, self.prefetch)?;
            if self.persistent {
                client.confirm()?;
            }
            let mut role = Role::consumer(1);
            role.pace = Pace::Reply;
            role.confirms = self.persistent;
            role.templates = replies
                .iter()
                .map(|reply| Template::new(publish("", reply, false), &properties, 256, client.frame_max))
                .collect();
            links.push(Link::new(client, role)?);
        }
        for (at, queue) in replies.iter().enumerate() {
            let mut client = common.open()?;
            client.consume(queue, false, 10)?;
            if self.persistent {
                client.confirm()?;
            }
            let template = Template::new(publish(&exchange, "", false), &properties, 256, client.frame_max);
            let mut role = Role::publisher(Pace::Answer, self.persistent);
            role.templates = vec![template];
            role.number = at as u32;
            role.ack_every = 1;
            links.push(Link::new(client, role)?);
        }
        let outcome = run(Plan {
            links,
            seconds: common.seconds,
            rate: 0.0,
            copies: 1,
            message_bytes: 256,
            messages: None,
            pid: common.pid,
            announce: common.announce,
        })?;
        setup.delete(&requests)?;
        for queue in &replies {
            setup.delete(queue)?;
        }
        Ok(report(&outcome, outcome.delivered))
    }
}

impl Connections {
    pub fn run(&self, common: &Common) -> io::Result<Value> {
        let before = common.pid.map(usage).unwrap_or_default();
        let begin = Instant::now();
        let next = AtomicUsize::new(0);
        let open = in_threads(self.parallel, || {
            let mut open = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= self.count {
                    return Ok(open);
                }
                let mut client = common.open()?;
                let queue = common.name(&format!("c{at}"));
                client.declare_exclusive(&queue)?;
                client.consume(&queue, false, 100)?;
                open.push(client);
            }
        })?;
        let seconds = begin.elapsed().as_secs_f64();
        let after = common.pid.map(usage).unwrap_or_default();
        drop(open);
        Ok(json!({
            "ok": true,
            "per_s": self.count as f64 / seconds,
            "cpu_us": common.pid.map(|_| (after.cpu_s - before.cpu_s) * 1e6 / self.count as f64),
            "kib_each": common.pid.map(|_| after.rss_kib.saturating_sub(before.rss_kib) as f64 / self.count as f64),
            "rss_mib": after.rss_kib / 1024,
        }))
    }
}

impl Churn {
    pub fn run(&self, common: &Common) -> io::Result<Value> {
        // The first quarter is there for buffers to grow to what they need.
        self.turn_for(common, common.seconds / 4.0)?;
        let before = common.pid.map(usage).unwrap_or_default();
        let begin = Instant::now();
        let count = self.turn_for(common, common.seconds)?;
        let seconds = begin.elapsed().as_secs_f64();
        let after = common.pid.map(usage).unwrap_or_default();
        Ok(json!({
            "ok": true,
            "per_s": count as f64 / seconds,
            "cpu_us": common.pid.map(|_| (after.cpu_s - before.cpu_s) * 1e6 / count as f64),
            "kib_each": common.pid.map(|_| after.rss_kib.saturating_sub(before.rss_kib) as f64 / count as f64),
            "rss_mib": after.rss_kib / 1024,
        }))
    }

    fn turn_for(&self, common: &Common, seconds: f64) -> io::Result<usize> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let done = in_threads(self.parallel, || {
            let mut done = Vec::new();
            while Instant::now() < end {
                let mut client = common.open()?;
                // The server makes the name up, and says it.
                let Method::QueueDeclareOk(queue) = client.declare_exclusive("")? else {
                    return Err(io::Error::other("the queue was not declared"));
                };
                client.send_message(publish("", &queue.queue, true), &properties(false), 256)?;
                client.close()?;
                done.push(());
            }
            Ok(done)
        })?;
        Ok(done.len())
    }
}

/// What so many threads have made, each by itself.
fn in_threads<T: Send>(count: usize, work: impl Fn() -> io::Result<Vec<T>> + Sync) -> io::Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| io::Error::other("a thread of the generator panicked"))??);
        }
        Ok(all)
    })
}

impl Queues {
    pub fn run(&self, common: &Common) -> io::Result<Value> {
        let mut client = common.open()?;
        let names: Vec<String> = (0..self.count).map(|at| common.name(&format!("d{at}"))).collect();
        let before = common.pid.map(usage).unwrap_or_default();
        let begin = Instant::now();
        let mut answered = 0;
        for (at, name) in names.iter().enumerate() {
            client.send_declare(name)?;
            while at + 1 - answered >= self.pipeline.max(1) {
                client.method()?;
                answered += 1;
            }
        }
        while answered < self.count {
            client.method()?;
            answered += 1;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let declared = common.pid.map(usage).unwrap_or_default();
        if self.messages > 0 {
            self.fill(&mut client, &names)?;
        }
        let after = common.pid.map(usage).unwrap_or_default();
        client.delete_all(&names)?;
        Ok(json!({
            "ok": true,
            "per_s": self.count as f64 / seconds,
            "cpu_us": common.pid.map(|_| (declared.cpu_s - before.cpu_s) * 1e6 / self.count as f64),
            "kib_each": common.pid.map(|_| after.rss_kib.saturating_sub(before.rss_kib) as f64 / self.count as f64),
            "rss_mib": after.rss_kib / 1024,
        }))
    }

    fn fill(&self, client: &mut Client, names: &[String]) -> io::Result<()> {
        client.confirm()?;
        let mut confirmed = Confirmed::default();
        let mut sent = 0;
        for name in names {
            for _ in 0..self.messages {
                client.send_message(publish("", name, false), &properties(true), 16)?;
                sent += 1;
                while confirmed.count() + 1000 <= sent {
                    client.confirmation(&mut confirmed)?;
                }
            }
        }
        while confirmed.count() < sent {
            client.confirmation(&mut confirmed)?;
        }
        Ok(())
    }
}

fn report(outcome: &Outcome, messages: u64) -> Value {
    let each = |cpu_s: f64| cpu_s * 1e6 / messages.max(1) as f64;
    let stats = &outcome.stats;
    json!({
        "ok": outcome.lost == 0 && stats.nacked == 0 && messages > 0,
        "per_s": messages as f64 / outcome.seconds,
        "cpu_us": outcome.broker_cpu_s.map(each),
        "own_cpu_us": each(outcome.own_cpu_s),
        "other_cores": outcome.other_cores,
        "p50_us": stats.latency.quantile_us(0.5),
        "p99_us": stats.latency.quantile_us(0.99),
        "lag_p50_us": stats.lag.quantile_us(0.5),
        "lag_p99_us": stats.lag.quantile_us(0.99),
        "rss_mib": outcome.rss_kib / 1024,
        "lost": outcome.lost,
        "returned": stats.returned,
        "nacked": stats.nacked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_not_enough() {
        assert_eq!(at_least_one("1"), Ok(1));
        assert_eq!(at_least_one("0"), Err("there has to be at least one".to_owned()));
        assert!(at_least_one("-1").is_err());
    }
}
