use super::Event::*;
use super::*;

const Q: QueueNumber = QueueNumber(1);

fn m(number: u64) -> MessageId {
    MessageId::new(1, number)
}

fn delivered(number: u64) -> Event {
    Delivered { message: m(number), queue: Q, redelivered: false, intact: true }
}

fn redelivered(number: u64) -> Event {
    Delivered { message: m(number), queue: Q, redelivered: true, intact: true }
}

/// A confirmed message in a queue.
fn confirmed(number: u64) -> [Event; 2] {
    [Publishing(m(number), Q), Acked(m(number))]
}

fn history(parts: &[&[Event]]) -> Vec<Event> {
    [&[Declared(Q)], parts.concat().as_slice()].concat()
}

fn violations(parts: &[&[Event]]) -> Vec<Violation> {
    check(&history(parts)).expect_err("the promise is broken")
}

fn keeps(parts: &[&[Event]]) -> Summary {
    check(&history(parts)).unwrap_or_else(|violations| panic!("{violations:?}"))
}

#[test]
fn what_happens_every_day_keeps_the_promise() {
    let summary = keeps(&[
        &confirmed(1),
        &confirmed(2),
        &[delivered(1), Settling(m(1)), delivered(2), Requeueing(m(2)), redelivered(2)],
        &confirmed(3),
        &[Publishing(m(4), Q), Killed, Unknown(m(4))],
        &[redelivered(2), Settling(m(2)), Settled(m(2)), redelivered(3), Settling(m(3)), redelivered(4)],
        &[Publishing(m(5), Q), Nacked(m(5)), Drained(Q)],
        &[Deleting(Q), Publishing(m(6), Q), Deleted(Q), Returned(m(6)), Acked(m(6)), Absent(Q)],
    ]);
    let expected = Summary {
        published: 6,
        confirmed: 4,
        returned: 1,
        nacked: 1,
        unknown: 1,
        deliveries: 6,
        duplicates: 2,
        settled_in_transactions: 1,
        queues: 1,
        queues_deleted: 1,
        purges: 0,
        kills: 1,
    };
    assert_eq!(summary, expected);
}

#[test]
fn an_ack_that_a_kill_swallowed_may_be_asked_for_again() {
    keeps(&[&confirmed(1), &[delivered(1), Settling(m(1)), Killed, redelivered(1)]]);
    // Or not: it may have been written.
    keeps(&[&confirmed(1), &[delivered(1), Settling(m(1)), Killed, Drained(Q)]]);
}

#[test]
fn a_confirmed_message_is_delivered_or_goes_with_its_queue() {
    assert_eq!(violations(&[&confirmed(1), &[Killed, Drained(Q)]]), [Violation::Lost(m(1))]);
    keeps(&[&confirmed(1), &[Deleting(Q)]]);
    keeps(&[&confirmed(1), &[Purging(Q)]]);
    keeps(&[&[Publishing(m(1), Q), Unknown(m(1)), Killed, Drained(Q)]]);
    // Only a purge that came later excuses.
    assert_eq!(violations(&[&[Purging(Q), Purged(Q)], &confirmed(1)]), [Violation::Lost(m(1))]);
}

#[test]
fn what_was_in_hand_and_never_acked_is_still_there() {
    let in_hand = [&confirmed(1)[..], &[delivered(1), Killed]].concat();
    assert_eq!(violations(&[&in_hand, &[Drained(Q)]]), [Violation::LostAfterDelivery(m(1))]);
    keeps(&[&in_hand, &[redelivered(1), Drained(Q)]]);
}

#[test]
fn a_publish_has_one_outcome() {
    let once = [Publishing(m(1), Q), Acked(m(1)), delivered(1)];
    assert_eq!(violations(&[&once, &[Nacked(m(1))]]), [Violation::TwoOutcomes(m(1))]);
    assert_eq!(violations(&[&once, &[Unknown(m(1))]]), [Violation::TwoOutcomes(m(1))]);
    assert_eq!(violations(&[&[Publishing(m(1), Q), delivered(1)]]), [Violation::NoOutcome(m(1))]);
    // A return is not one: the ack is still owed, and comes behind it.
    assert_eq!(
        violations(&[&[Deleting(Q), Publishing(m(1), Q), Returned(m(1))]]),
        [Violation::NoOutcome(m(1))]
    );
    let late = [Deleting(Q), Publishing(m(1), Q), Acked(m(1)), Returned(m(1))];
    assert_eq!(violations(&[&late]), [Violation::TwoOutcomes(m(1))]);
}

#[test]
fn returned_or_enqueued_is_one_decision() {
    let returned = [Publishing(m(1), Q), Returned(m(1)), Acked(m(1))];
    assert_eq!(violations(&[&returned]), [Violation::ReturnedFromQueue(m(1))]);
    assert_eq!(
        violations(&[&[Deleting(Q)], &returned, &[delivered(1)]]),
        [Violation::DeliveredAfterReturn(m(1))]
    );
    assert_eq!(
        violations(&[&[Deleting(Q), Publishing(m(1), Q), delivered(1), Returned(m(1)), Acked(m(1))]]),
        [Violation::DeliveredAfterReturn(m(1))]
    );
    assert_eq!(
        violations(&[&[Deleting(Q), Deleted(Q)], &confirmed(1)]),
        [Violation::ConfirmedIntoNothing(m(1))]
    );
    keeps(&[&[Deleting(Q)], &confirmed(1), &[Deleted(Q)]]);
}

#[test]
fn nothing_is_invented_or_damaged() {
    assert_eq!(violations(&[&[delivered(1)]]), [Violation::Invented(m(1))]);
    assert_eq!(violations(&[&[Returned(m(1))]]), [Violation::Invented(m(1))]);
    let elsewhere = Delivered { message: m(1), queue: QueueNumber(2), redelivered: false, intact: true };
    assert_eq!(violations(&[&confirmed(1), &[delivered(1), elsewhere]]), [Violation::Invented(m(1))]);
    let damaged = Delivered { message: m(1), queue: Q, redelivered: false, intact: false };
    assert_eq!(violations(&[&confirmed(1), &[damaged]]), [Violation::Damaged(m(1))]);
}

#[test]
fn duplicates_are_marked_and_nothing_else_is() {
    assert_eq!(
        violations(&[&confirmed(1), &[delivered(1), Killed, delivered(1)]]),
        [Violation::UnmarkedDuplicate(m(1)), Violation::OutOfOrder(m(1))]
    );
    assert_eq!(violations(&[&confirmed(1), &[redelivered(1)]]), [Violation::MarkedForNothing(m(1))]);
    // After a kill somebody may have had it who could not say so.
    keeps(&[&confirmed(1), &[Killed, redelivered(1)]]);
}

#[test]
fn what_was_acked_is_gone() {
    let acked = [&confirmed(1)[..], &[delivered(1), Settling(m(1))]].concat();
    assert_eq!(violations(&[&acked, &[redelivered(1)]]), [Violation::AckForgotten(m(1))]);
    assert_eq!(
        violations(&[&acked, &[Settled(m(1)), Killed, redelivered(1)]]),
        [Violation::AckCameBack(m(1))]
    );
}

#[test]
fn what_was_deleted_or_purged_does_not_come_back() {
    assert_eq!(
        violations(&[&confirmed(1), &[Deleting(Q), Deleted(Q), Killed, redelivered(1)]]),
        [Violation::CameBack(m(1))]
    );
    assert_eq!(
        violations(&[&confirmed(1), &[Purging(Q), Purged(Q), Killed, redelivered(1)]]),
        [Violation::CameBack(m(1))]
    );
    // Not known to be purged, or not known to be there when it was.
    keeps(&[&confirmed(1), &[Purging(Q), Killed, redelivered(1)]]);
    keeps(&[&[Publishing(m(1), Q), Purging(Q), Purged(Q), Acked(m(1)), Killed, redelivered(1)]]);
}

#[test]
fn queues_stay_until_they_are_deleted_and_then_stay_away() {
    assert_eq!(violations(&[&[Killed, Absent(Q)]]), [Violation::QueueLost(Q)]);
    assert_eq!(violations(&[&[Deleting(Q), Deleted(Q), Killed, Present(Q)]]), [Violation::QueueCameBack(Q)]);
    keeps(&[&[Killed, Present(Q), Deleting(Q), Killed, Absent(Q)]]);
    keeps(&[&[Deleting(Q), Killed, Present(Q)]]);
}

#[test]
fn first_deliveries_come_in_the_publishers_order() {
    let three = [confirmed(1), confirmed(2), confirmed(3)].concat();
    assert_eq!(
        violations(&[&three, &[delivered(1), delivered(3), delivered(2)]]),
        [Violation::OutOfOrder(m(2))]
    );
    // Of different publishers, any order will do.
    let other = MessageId::new(0, 9);
    let of_other = Delivered { message: other, queue: Q, redelivered: false, intact: true };
    keeps(&[&confirmed(1), &[Publishing(other, Q), Acked(other), delivered(1), of_other]]);
}
