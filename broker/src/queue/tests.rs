//! What no client can bring about at will.

use tempfile::TempDir;

use super::*;
use crate::alarm::Alarms;
use crate::message::{Facts, Message};
use crate::outbox::{Outbox, Wakes};
use crate::store::StoreOptions;
use crate::store::fs::RealFs;
use crate::unacked::UnackedDelivery;

/// A durable queue, and the folder of its store.
pub(crate) fn queue() -> (Arc<Queue>, TempDir) {
    queue_with(FieldTable::default())
}

fn queue_with(arguments: FieldTable) -> (Arc<Queue>, TempDir) {
    let (environment, dir) = environment();
    (new(&environment, 1, "q", arguments), dir)
}

/// Some that share a store, with other names.
pub(crate) fn queues(count: u64) -> (Vec<Arc<Queue>>, TempDir) {
    let (environment, dir) = environment();
    let of = |number: u64| new(&environment, number, &format!("q{number}"), FieldTable::default());
    ((1..=count).map(of).collect(), dir)
}

fn environment() -> (Arc<QueueEnvironment>, TempDir) {
    let dir = TempDir::new().unwrap();
    let (store, _) = Store::open(Arc::new(RealFs), dir.path(), StoreOptions::default(), &|_| true).unwrap();
    let pager = Pager::start(Arc::new(Alarms::new(0))).unwrap();
    let environment = QueueEnvironment::new(Arc::new(store), pager, Timer::start().unwrap());
    (Arc::new(environment), dir)
}

fn new(environment: &Arc<QueueEnvironment>, id: u64, name: &str, arguments: FieldTable) -> Arc<Queue> {
    let spec = QueueSpec {
        id: QueueId(id),
        name: name.into(),
        vhost: "/".into(),
        durable: true,
        auto_delete: false,
        owner: Owner::Anyone,
        parsed: arguments::parse(name, "/", &arguments).unwrap(),
        arguments,
        ticket: None,
    };
    Queue::new(spec, environment.clone())
}

/// Without acknowledgements, on the first channel.
pub(crate) fn consumer(outbox: &Arc<Outbox>, set: impl FnOnce(&mut ConsumerOptions)) -> Arc<Consumer> {
    let mut options = ConsumerOptions {
        tag: "c".into(),
        channel: 1,
        no_ack: true,
        exclusive: false,
        no_local: false,
        wants_cancel: false,
        prefetch: 0,
        prefetch_size: 0,
        priority: 0,
        arguments: FieldTable::default(),
    };
    set(&mut options);
    Arc::new(Consumer::new(outbox.clone(), options))
}

fn only_on_disk(queue: &Queue, count: u64) {
    queue.recover(|backlog| (0..count).for_each(|seq| backlog.push_recovered(seq, 10, 0, false, 0)));
}

#[test]
fn a_message_that_was_purged_while_it_was_read_is_not_missed() {
    let (queue, _dir) = queue();
    only_on_disk(&queue, 2);
    let seqs = queue.state.lock().backlog.next_on_disk(None, 9, 99);
    queue.purge();
    queue.bodies_read(&seqs, Ok(Vec::new()));
    assert!(!queue.state.lock().read_failed);
}

/// A queue with two messages, of which the first is rejected and is to be buried with `wakes`.
fn with_one_to_bury(wakes: &mut Wakes) -> (Arc<Queue>, TempDir) {
    let (queue, dir) = queue_with([("x-dead-letter-exchange", "dlx")].into());
    publish(&queue, 2);
    let outbox = Arc::new(Outbox::new(1, 1));
    let Fetched::Message(entry, 1) = queue.get(&outbox, wakes) else { panic!("nothing to get") };
    wakes.hold_burials();
    let rejected = UnackedDelivery { tag: 1, queue: queue.clone(), entry, consumer: None };
    queue.reject(vec![rejected], false, wakes);
    (queue, dir)
}

/// Positions of its messages that the store has, behind all that it was told.
fn stored(queue: &Queue) -> Vec<u64> {
    let round = queue.store().barrier();
    while queue.store().durable_round() < round {
        std::thread::yield_now();
    }
    let messages = queue.store().read(queue.spec.id, &[0, 1]).unwrap();
    messages.into_iter().map(|(seq, _)| seq).collect()
}

#[test]
fn a_purge_leaves_what_is_being_buried() {
    let (queue, _dir) = with_one_to_bury(&mut Wakes::default());
    assert_eq!(queue.purge().0, 1);
    assert_eq!(stored(&queue), [0]);
}

#[test]
fn what_is_being_buried_when_its_queue_is_deleted_can_be_read_until_it_is() {
    let mut wakes = Wakes::default();
    let (queue, _dir) = with_one_to_bury(&mut wakes);
    assert!(queue.delete(|_| Ok::<(), ()>(())).is_ok());
    assert!(stored(&queue).contains(&0));
    wakes.bury_held();
    assert!(stored(&queue).is_empty());
}

#[test]
fn a_message_that_the_store_does_not_have_stops_the_queue() {
    let (queue, _dir) = queue();
    only_on_disk(&queue, 2);
    let message = Message::new("", "q", &[0, 0], b"x", true);
    queue.bodies_read(&[0, 1], Ok(vec![(1, message)]));
    assert!(queue.state.lock().read_failed);
    // What comes behind a purge can be read again.
    queue.purge();
    assert!(!queue.state.lock().read_failed);
}

#[test]
fn what_is_too_much_after_a_crash_goes_at_the_start() {
    let (queue, _dir) = queue();
    queue.set_policy(&Limits { length_max: Some(2), ..Limits::default() });
    only_on_disk(&queue, 5);
    queue.start();
    assert_eq!(queue.counts().ready, 2);
}

#[test]
fn a_deleted_queue_takes_nothing() {
    let (queue, _dir) = queue();
    let message = Message::new("", "q", &[0, 0], b"x", true);
    let mut wakes = Wakes::default();
    assert!(matches!(queue.publish(&message, None, &mut wakes), Publish::Enqueued { round: Some(_) }));
    let reader = Arc::new(Outbox::new(1, 1));
    let Fetched::Message(entry, 0) = queue.get(&reader, &mut wakes) else { panic!("nothing to get") };
    let deleted = queue.delete(|counts| if counts.ready == 0 { Ok(()) } else { Err(()) });
    assert_eq!(deleted.map(|deleted| deleted.messages).unwrap_or(9), 0);
    assert_eq!(queue.publish(&message, None, &mut wakes), Publish::Deleted);
    assert_eq!(queue.publish_immediate(&message, None, &mut wakes), Publish::Deleted);
    queue.requeue(std::iter::once(entry), &mut wakes);
    assert_eq!((queue.counts().ready, queue.counts().unacked), (0, 0));
}

pub(crate) fn publish(queue: &Arc<Queue>, count: usize) {
    let mut wakes = Wakes::default();
    for number in 0..count {
        let message = Message::new("", "q", &[0, 0], number.to_string().as_bytes(), true);
        queue.publish(&message, None, &mut wakes);
    }
}

#[test]
fn a_policy_takes_effect_at_once_and_no_more_when_it_is_gone() {
    let (queue, _dir) = queue();
    publish(&queue, 3000);
    queue.set_policy(&Limits { length_max: Some(2), ..Limits::default() });
    assert_eq!(queue.counts().ready, 2);
    publish(&queue, 1);
    assert_eq!((queue.counts().ready, queue.limits().length_max), (2, Some(2)));
    queue.set_policy(&Limits::default());
    publish(&queue, 1);
    assert_eq!((queue.counts().ready, queue.limits().length_max), (3, None));
}

#[test]
fn a_queue_drops_all_that_is_too_much_however_much_it_is() {
    let (queue, _dir) = queue();
    let mut wakes = Wakes::default();
    let reader = Arc::new(Outbox::new(1, 1));
    let publish_and_get = |_| {
        publish(&queue, 1);
        match queue.get(&reader, &mut Wakes::default()) {
            Fetched::Message(entry, 0) => entry,
            _ => panic!("nothing to get"),
        }
    };
    let fetched: Vec<Entry> = (0..3000).map(publish_and_get).collect();
    queue.set_policy(&Limits { length_max: Some(2), ..Limits::default() });
    queue.requeue(fetched.into_iter(), &mut wakes);
    assert_eq!(queue.counts().ready, 2, "what came back");

    queue.set_policy(&Limits { body_bytes_max: Some(10_000), ..Limits::default() });
    publish(&queue, 2000);
    assert!(queue.counts().ready > 1500);
    let large = Message::new("", "q", &[0, 0], &[b'x'; 10_000], true);
    queue.publish(&large, None, &mut wakes);
    assert_eq!((queue.counts().ready, queue.counts().ready_body_bytes), (1, 10_000), "a large one came");
}

#[test]
fn a_queue_expires_only_while_nobody_consumes() {
    let (queue, _dir) = queue_with([("x-expires", 600_000)].into());
    let mut wakes = Wakes::default();
    assert_eq!(queue.counts().expires_at_ms, None, "nobody has declared it yet");
    queue.touch();
    assert!(queue.counts().expires_at_ms.is_some());
    let consumer = consumer(&Arc::new(Outbox::new(1, 1)), |_| ());
    assert!(queue.consume(&consumer, || (), &mut wakes).is_ok());
    assert_eq!(queue.counts().expires_at_ms, None);
    queue.cancel(&consumer, &mut wakes);
    assert!(queue.counts().expires_at_ms.is_some());
}

#[test]
fn who_wants_no_messages_of_his_own_waits_for_no_body_that_nobody_reads() {
    let (queue, _dir) = queue();
    let mut wakes = Wakes::default();
    let outbox = Arc::new(Outbox::new(7, 1 << 20));
    let consumer = consumer(&outbox, |options| (options.no_ack, options.no_local) = (false, true));
    assert!(queue.consume(&consumer, || (), &mut wakes).is_ok());
    let mut rounds = Vec::new();
    for publisher in [7, 7, 8, 7] {
        let facts = Facts { persistent: true, publisher, ..Facts::default() };
        let message = Message::with_facts("", "q", &[0, 0], b"x", facts);
        rounds.push(queue.publish(&message, None, &mut wakes));
    }
    // No channel, so nothing was delivered; the connection's own are passed.
    let Some(Publish::Enqueued { round: Some(last) }) = rounds.last() else { panic!("{rounds:?}") };
    while queue.store().durable_round() < *last {
        std::thread::yield_now();
    }
    queue.state.lock().backlog.page_out_all(0, 0, 9);
    let state = queue.state.lock();
    assert_eq!(state.backlog.next_on_disk(None, 1, 99), [0]);
    assert_eq!(state.next_on_disk(1, 99), [0, 2], "the head, and what the consumer waits for");
}

#[test]
fn what_few_queues_have_costs_the_others_one_pointer() {
    let (queue, _dir) = queue();
    assert!(queue.state.lock().extras.is_none());
    assert_eq!(size_of::<Option<Box<Extras>>>(), size_of::<usize>());
}
