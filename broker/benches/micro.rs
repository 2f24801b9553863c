//! The pure parts by themselves: `cargo bench -p broker --bench micro`.
//!
//! Codec, routing and queue without sockets, locks or disk. What they cost together is seen by `tests/bench`.

use std::hint::black_box;

use broker::amqp::{self, FieldTable, FieldValue, TableView, basic};
use broker::internals::{Backlog, Identify, Kind, Router};
use broker::message::Message;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const FRAME_MAX: u32 = 131_072;

fn encoded_publish(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let publish = basic::Publish { routing_key: "queue".into(), ..Default::default() };
    amqp::write_method(&mut out, 1, &publish.into());
    amqp::write_content(&mut out, 1, &[0x10, 0, 2], body, FRAME_MAX);
    out
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    for size in [16, 1024, 65_536] {
        let body = vec![7; size];
        let wire = encoded_publish(&body);
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(BenchmarkId::new("publish in", size), |b| {
            b.iter(|| {
                let (frame, at) = amqp::next_frame(black_box(&wire), FRAME_MAX).unwrap().unwrap();
                let publish = amqp::decode_publish(frame.payload).unwrap();
                let content = amqp::whole_content(&wire[at..], frame.channel, FRAME_MAX).unwrap();
                black_box((publish.routing_key.len(), content.1.len()))
            });
        });
        group.bench_function(BenchmarkId::new("delivery out", size), |b| {
            let mut out = Vec::with_capacity(2 * wire.len());
            b.iter(|| {
                out.clear();
                amqp::write_deliver(&mut out, 1, "consumer", black_box(7), false, b"", b"queue");
                amqp::write_content(&mut out, 1, &[0x10, 0, 2], black_box(&body), FRAME_MAX);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

/// What a binding leads to.
#[derive(Clone, PartialEq, Eq)]
struct Place(usize);

impl Identify for Place {
    fn identity(&self) -> u64 {
        self.0 as u64
    }
}

/// A binding for each destination, and the key or headers that lead to the one in the middle.
fn bound(kind: Kind, bindings: usize) -> (Router<Place>, String, FieldTable) {
    let mut router = Router::new(kind);
    let key = |at: usize| format!("region{}.user{}.room{at}", at % 10, at % 1000);
    let headers = |at: usize| FieldTable::from([("room", FieldValue::I64(at as i64))]);
    for at in 0..bindings {
        router.bind(&key(at), &headers(at), Place(at)).expect("binds");
    }
    (router, key(bindings / 2), headers(bindings / 2))
}

fn routing(c: &mut Criterion) {
    let mut group = c.benchmark_group("routing");
    for (kind, sizes) in [
        (Kind::Direct, [100, 100_000]),
        (Kind::Topic, [100, 100_000]),
        // In proportion to the bindings.
        (Kind::Headers, [10, 1000]),
    ] {
        for bindings in sizes {
            let (router, key, headers) = bound(kind, bindings);
            let headers = TableView::from(&headers);
            group.bench_function(BenchmarkId::new(kind.name(), bindings), |b| {
                b.iter(|| {
                    let mut found = 0;
                    router.route(black_box(&key), black_box(&headers), |_| found += 1);
                    assert_eq!(found, 1);
                });
            });
        }
    }
    group.finish();
}

fn queue(c: &mut Criterion) {
    let mut group = c.benchmark_group("queue");
    let message = Message::new("", "queue", &[0, 0], &[7; 16], false);
    for ready in [0, 1_000_000] {
        let mut backlog = Backlog::default();
        for _ in 0..ready {
            backlog.push(message.clone(), 0, false);
        }
        group.bench_function(BenchmarkId::new("in and out", ready), |b| {
            b.iter(|| {
                backlog.push(message.clone(), 0, false);
                black_box(backlog.pop())
            });
        });
    }
    group.bench_function("requeue 1000", |b| {
        let taken = || {
            let mut backlog = Backlog::default();
            for _ in 0..1000 {
                backlog.push(message.clone(), 0, false);
            }
            let entries: Vec<_> = std::iter::from_fn(|| backlog.pop()).collect();
            (backlog, entries)
        };
        b.iter_batched(
            taken,
            |(mut backlog, entries)| {
                entries.into_iter().rev().for_each(|entry| backlog.requeue(entry));
                backlog.len()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(micro, codec, routing, queue);
criterion_main!(micro);
