//! `broker top`: how the broker fares, again and again.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;
use hashbrown::HashMap;
use serde_json::Value;

use crate::config::Config;
use crate::management::reply::Line;
use crate::management::request::{Columns, Envelope, List, Look, Request};

use super::client::{self, ClientError};
use super::print::harmless;

/// How long the broker may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct TopArgs {
    /// Show the queues of this vhost
    #[arg(short = 'p', long, default_value = "/", value_name = "VHOST")]
    vhost: String,

    /// Seconds between two looks
    #[arg(short, long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,

    /// Look so often and end; without it, until Ctrl-C
    #[arg(short = 'n', long, value_name = "TIMES")]
    count: Option<u64>,

    /// Queues to show: those with the most messages
    #[arg(short, long, default_value_t = 20, value_name = "ROWS")]
    rows: usize,
}

/// What was seen at one moment.
struct Sample {
    at: Instant,
    facts: Vec<(String, Value)>,
    queues: Vec<QueueSample>,
}

struct QueueSample {
    name: String,
    ready: u64,
    unacked: u64,
    consumers: u64,
}

impl QueueSample {
    fn messages(&self) -> u64 {
        self.ready + self.unacked
    }
}

pub fn run(args: &TopArgs, config: &Config) -> Result<(), ClientError> {
    let interval = Duration::from_secs(args.interval);
    let mut before: Option<Sample> = None;
    let mut looks = 0;
    loop {
        let now = sample(args, config)?;
        let text = render(&now, before.as_ref(), args.rows);
        match show(&text) {
            // Whoever reads our output has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            shown => shown?,
        }
        looks += 1;
        if args.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        before = Some(now);
        std::thread::sleep(interval);
    }
}

fn show(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        // From the top of an empty screen.
        out.write_all(b"\x1b[H\x1b[2J")?;
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn sample(args: &TopArgs, config: &Config) -> Result<Sample, ClientError> {
    let mut sample = Sample { at: Instant::now(), facts: Vec::new(), queues: Vec::new() };
    each(args, config, Request::Look(Look::Status), |line| {
        if let Line::Facts(facts) = line {
            sample.facts = facts;
        }
    })?;
    let names = ["name", "messages_ready", "messages_unacknowledged", "consumers"];
    let columns = Columns { columns: names.map(str::to_owned).into() };
    each(args, config, Request::List(List::ListQueues(columns)), |line| {
        if let Line::Row(values) = line
            && let [name, ready, unacked, consumers] = values.as_slice()
        {
            let number = |value: &Value| value.as_u64().unwrap_or(0);
            sample.queues.push(QueueSample {
                name: name.as_str().unwrap_or_default().to_owned(),
                ready: number(ready),
                unacked: number(unacked),
                consumers: number(consumers),
            });
        }
    })?;
    Ok(sample)
}

fn each(
    args: &TopArgs,
    config: &Config,
    request: Request,
    mut take: impl FnMut(Line),
) -> Result<(), ClientError> {
    let envelope =
        Envelope { version: env!("CARGO_PKG_VERSION").to_owned(), vhost: args.vhost.clone(), request };
    for line in client::ask(&config.data_dir, &envelope, TIMEOUT)? {
        match line? {
            Line::Done => return Ok(()),
            Line::Failed(failure) => return Err(ClientError::Refused(failure)),
            line => take(line),
        }
    }
    Err(ClientError::Answer("it ended in the middle".to_owned()))
}

/// The screen. Rates need a look before.
fn render(now: &Sample, before: Option<&Sample>, rows: usize) -> String {
    let mut text = String::new();
    let fact = |name: &str| number(now, name);
    let rate = |name: &str| match before {
        Some(before) => per_second(number(before, name), fact(name), now.at - before.at),
        None => "-".to_owned(),
    };
    let health = match now.facts.iter().find(|(name, _)| name == "healthy") {
        Some((_, Value::Bool(true))) => "healthy",
        _ => "NOT HEALTHY: see broker ctl health",
    };
    let lines = [
        format!("up {}, {health}", duration(fact("uptime_seconds"))),
        format!(
            "connections {}  channels {}  queues {}  consumers {}  ready {}  unacknowledged {}",
            fact("connections"),
            fact("channels"),
            fact("queues"),
            fact("consumers"),
            fact("messages_ready"),
            fact("messages_unacknowledged")
        ),
        format!(
            "published {}/s  delivered {}/s  acknowledged {}/s  in {} B/s  out {} B/s",
            rate("messages_published_total"),
            rate("messages_delivered_total"),
            rate("messages_acknowledged_total"),
            rate("received_bytes_total"),
            rate("sent_bytes_total")
        ),
        format!(
            "memory {} MiB  messages in memory {} MiB  message log {} MiB",
            fact("resident_memory_bytes") >> 20,
            fact("message_bytes_in_memory") >> 20,
            fact("message_log_bytes") >> 20
        ),
        String::new(),
        format!("{:>12} {:>12} {:>12} {:>10}  queue", "ready", "unacked", "change/s", "consumers"),
    ];
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    queue_rows(&mut text, now, before, rows);
    text
}

fn queue_rows(text: &mut String, now: &Sample, before: Option<&Sample>, rows: usize) {
    let earlier: HashMap<&str, u64> =
        before.iter().flat_map(|b| b.queues.iter().map(|q| (&*q.name, q.messages()))).collect();
    let mut queues: Vec<&QueueSample> = now.queues.iter().collect();
    queues.sort_by_key(|queue| std::cmp::Reverse(queue.messages()));
    for queue in queues.into_iter().take(rows) {
        let change = match (before, earlier.get(&*queue.name)) {
            (Some(before), Some(&earlier)) => {
                let seconds = (now.at - before.at).as_secs_f64().max(0.001);
                format!("{:+.1}", (queue.messages() as f64 - earlier as f64) / seconds)
            }
            _ => "-".to_owned(),
        };
        let name = harmless(&queue.name);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:>12} {:>12} {change:>12} {:>10}  {name}",
            queue.ready, queue.unacked, queue.consumers
        );
    }
}

fn number(sample: &Sample, name: &str) -> u64 {
    let fact = sample.facts.iter().find(|(known, _)| known == name);
    fact.and_then(|(_, value)| value.as_u64()).unwrap_or(0)
}

fn per_second(before: u64, now: u64, elapsed: Duration) -> String {
    format!("{:.1}", now.saturating_sub(before) as f64 / elapsed.as_secs_f64().max(0.001))
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(at: Instant, published: u64, queues: &[(&str, u64)]) -> Sample {
        let facts = [
            ("healthy", json!(true)),
            ("uptime_seconds", json!(7_260)),
            ("messages_published_total", json!(published)),
            ("queues", json!(queues.len())),
        ];
        let queues = queues.iter().map(|&(name, ready)| QueueSample {
            name: name.to_owned(),
            ready,
            unacked: 1,
            consumers: 2,
        });
        Sample {
            at,
            facts: facts.map(|(name, value)| (name.to_owned(), value)).into(),
            queues: queues.collect(),
        }
    }

    #[test]
    fn the_fullest_queues_come_first_and_rates_are_between_two_looks() {
        let start = Instant::now();
        let first = at(start, 100, &[("a", 10), ("b", 20)]);
        let second = at(start + Duration::from_secs(2), 150, &[("a", 30), ("b\x1b[2J", 25), ("c", 0)]);
        let alone = render(&first, None, 1);
        assert!(alone.starts_with("up 2 h 1 min, healthy\n"), "{alone}");
        assert!(alone.contains("published -/s"), "{alone}");
        let both = render(&second, Some(&first), 2);
        assert!(both.contains("published 25.0/s"), "{both}");
        let rows: Vec<&str> = both.lines().skip(6).collect();
        assert_eq!(
            rows,
            [
                "          30            1        +10.0          2  a",
                "          25            1            -          2  b\\u{1b}[2J"
            ]
        );
    }
}
