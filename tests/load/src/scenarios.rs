//! The scenarios: each sets its queues and connections up and says what is to be measured.

use std::io;
use std::time::Instant;

use broker::amqp::{BasicProperties, FieldTable, Method, basic};
use serde_json::{Value, json};

use crate::Common;
use crate::client::Client;
use crate::engine::{Outcome, Plan, run};
use crate::link::{Link, Pace, Role, Template};
use crate::stats::usage;

#[derive(Clone, clap::Args)]
pub struct Flow {
    #[arg(short, long, default_value_t = 1)]
    publishers: usize,
    #[arg(short, long, default_value_t = 1)]
    consumers: usize,
    /// Publishers and consumers are spread over them; with a fanout exchange every queue gets every message.
    #[arg(short, long, default_value_t = 1)]
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
    #[arg(long, default_value_t = 1000)]
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
    #[arg(short, long, default_value_t = 100)]
    users: usize,
    /// Unconfirmed messages of one user.
    #[arg(short, long, default_value_t = 10)]
    window: u64,
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
}

#[derive(Clone, clap::Args)]
pub struct Fanin {
    /// Clients that send a request, wait for the answer, and so on.
    #[arg(short = 'n', long, default_value_t = 100)]
    clients: usize,
    #[arg(short = 'k', long, default_value_t = 4)]
    workers: usize,
    #[arg(long, default_value_t = 10)]
    prefetch: u16,
    #[arg(long)]
    persistent: bool,
}

#[derive(Clone, clap::Args)]
pub struct Connections {
    /// Each with a channel, an exclusive queue and a consumer.
    #[arg(short = 'n', long, default_value_t = 1000)]
    count: usize,
}

#[derive(Clone, clap::Args)]
pub struct Queues {
    /// Durable, declared by one connection.
    #[arg(short = 'n', long, default_value_t = 10_000)]
    count: usize,
    /// Persistent messages in each.
    #[arg(short, long, default_value_t = 0)]
    messages: usize,
    /// Declares ahead of their answers.
    #[arg(long, default_value_t = 100)]
    pipeline: usize,
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
        if let Some((kind, name)) = &exchange {
            setup.declare_exchange(name, kind)?;
        }
        for queue in &queues {
            setup.declare_shared(queue, self.persistent)?;
            if let Some((kind, name)) = &exchange {
                let arguments: FieldTable = match *kind {
                    "headers" => [("x-match", "all"), ("load", "yes")].into(),
                    _ => FieldTable::default(),
                };
                setup.bind(queue, name, queue, arguments)?;
            }
        }
        let mut links = Vec::new();
        for at in 0..self.consumers {
            let mut client = common.open()?;
            client.consume(&queues[at % queues.len()], self.ack_every == 0, self.prefetch)?;
            links.push(Link::new(client, Role::consumer(self.ack_every))?);
        }
        let pace = match (self.rate > 0.0, self.persistent) {
            (true, _) => Pace::Told,
            (false, true) => Pace::Flood(self.in_flight),
            (false, false) => Pace::Flood(0),
        };
        let mut properties = properties(self.persistent);
        if self.exchange.as_deref() == Some("headers") {
            properties.headers = Some([("load", "yes")].into());
        }
        for at in 0..self.publishers {
            let mut client = common.open()?;
            if self.persistent {
                client.confirm()?;
            }
            let exchange = exchange.as_ref().map_or("", |(_, name)| name);
            let publish = publish(exchange, &queues[at % queues.len()], self.mandatory);
            let template = Template::new(publish, &properties, self.size, client.frame_max);
            links.push(Link::new(client, Role::publisher(template, pace, self.persistent))?);
        }
        let fanout = matches!(self.exchange.as_deref(), Some("fanout" | "headers"));
        let outcome = run(Plan {
            links,
            seconds: common.seconds,
            rate: self.rate,
            copies: if self.consumers == 0 {
                0
            } else if fanout {
                self.queues as u64
            } else {
                1
            },
            message_bytes: self.size as u64,
            messages: self.messages,
            pid: common.pid,
        })?;
        for queue in &queues {
            setup.delete(queue)?;
        }
        Ok(report(&outcome, outcome.delivered.max(if self.consumers == 0 { outcome.published } else { 0 })))
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
        let mut role = Role::publisher(template, Pace::Answer, self.persistent);
        role.ack_every = u32::from(self.persistent);
        let outcome = run(Plan {
            links: vec![Link::new(client, role)?],
            seconds: common.seconds,
            rate: 0.0,
            copies: 1,
            message_bytes: self.size as u64,
            messages: None,
            pid: common.pid,
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
            let mut role = Role::publisher(template, pace, true);
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
            let mut role = Role::publisher(template, Pace::Answer, self.persistent);
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
        let mut open = Vec::with_capacity(self.count);
        for at in 0..self.count {
            let mut client = common.open()?;
            let queue = common.name(&format!("c{at}"));
            client.declare_exclusive(&queue)?;
            client.consume(&queue, false, 100)?;
            open.push(client);
        }
        let seconds = begin.elapsed().as_secs_f64();
        let after = common.pid.map(usage).unwrap_or_default();
        Ok(json!({
            "ok": true,
            "per_s": self.count as f64 / seconds,
            "cpu_us": common.pid.map(|_| (after.cpu_s - before.cpu_s) * 1e6 / self.count as f64),
            "kib_each": common.pid.map(|_| after.rss_kib.saturating_sub(before.rss_kib) as f64 / self.count as f64),
            "rss_mib": after.rss_kib / 1024,
        }))
    }
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
        for name in &names {
            client.delete(name)?;
        }
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
        let mut unconfirmed = 0_u64;
        let mut last = 0;
        let confirms = |client: &mut Client, down_to: u64, unconfirmed: &mut u64, last: &mut u64| {
            while *unconfirmed > down_to {
                let Method::BasicAck(ack) = client.method()? else {
                    return Err(io::Error::other("a message was not confirmed"));
                };
                let settled = if ack.multiple { ack.delivery_tag.saturating_sub(*last) } else { 1 };
                *last = (*last).max(ack.delivery_tag);
                *unconfirmed = unconfirmed.saturating_sub(settled);
            }
            Ok(())
        };
        for name in names {
            for _ in 0..self.messages {
                client.send_message(publish("", name, false), &properties(true), 16)?;
                unconfirmed += 1;
                confirms(client, 999, &mut unconfirmed, &mut last)?;
            }
        }
        confirms(client, 0, &mut unconfirmed, &mut last)
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
        "rss_mib": outcome.rss_kib / 1024,
        "lost": outcome.lost,
        "returned": stats.returned,
        "nacked": stats.nacked,
    })
}
