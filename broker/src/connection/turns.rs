//! Whose turn it is among the queues that one connection consumes from: they share its outbox, and with a global
//! prefetch its channel's credit. A deep queue must not take all of it.

use std::collections::VecDeque;

use crate::outbox::{Outbox, Wakes};

use super::channel::Subscription;

/// Messages of one queue before the next one has its turn.
const SHARE_OF_OUTBOX: usize = 32;
/// With a prefetch that consumers share.
const SHARE_OF_PREFETCH: usize = 1;

/// Delivers from those queues in turn that were turned away, until none has any that somebody has room for.
pub fn deliver_to_waiting(outbox: &Outbox, wakes: &mut Wakes) {
    // A queue may join again at once that has only looked at a part of what it has (`no-local`): nobody is asked twice
    // unless somebody got something in between.
    let mut turns = outbox.lock().waiting();
    while turns > 0
        && let Some((queue, consumer)) = outbox.next_waiting()
    {
        turns -= 1;
        if queue.resume(wakes, SHARE_OF_OUTBOX) {
            let mut out = outbox.lock();
            out.turn_away(&queue, &consumer);
            turns = out.waiting();
        }
    }
}

/// Delivers from each queue in turn, one message at a time, until none has any that somebody has room for. `turn` is who
/// comes first, and the next time it is the one behind.
pub fn deliver_in_turn(
    outbox: &Outbox,
    subscriptions: &[&Subscription],
    turn: &mut usize,
    wakes: &mut Wakes,
) {
    if subscriptions.is_empty() {
        return;
    }
    let first = *turn % subscriptions.len();
    *turn = first + 1;
    let mut waiting: VecDeque<_> = subscriptions[first..].iter().chain(&subscriptions[..first]).collect();
    while let Some(subscription) = waiting.pop_front() {
        let mut out = outbox.lock();
        if outbox.is_full(&out) {
            // They go on when it has drained.
            out.turn_away(&subscription.queue, &subscription.consumer);
            waiting.iter().for_each(|next| out.turn_away(&next.queue, &next.consumer));
            return;
        }
        drop(out);
        if subscription.queue.resume(wakes, SHARE_OF_PREFETCH) {
            waiting.push_back(subscription);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::output::{Output, Writing};
    use crate::queue::tests::{consumer, publish, queue};

    use super::*;

    #[test]
    fn only_who_was_turned_away_is_asked_again_and_in_that_order() {
        let outbox = Arc::new(Outbox::new(1, 1000));
        outbox.lock().open_channel(1);
        let mut wakes = Wakes::default();
        let queues: Vec<_> = (0..4).map(|_| queue()).collect();
        for (queue, _) in &queues {
            assert!(queue.consume(&consumer(&outbox, |_| ()), || (), &mut wakes).is_ok());
        }
        let ready = || queues.iter().map(|(queue, _)| queue.counts().ready).collect::<Vec<_>>();
        // Nobody waits as long as there is room.
        publish(&queues[3].0, 1);
        assert_eq!(outbox.lock().waiting(), 0);
        publish(&queues[1].0, 100);
        let full = outbox.lock().output.len();
        assert!(outbox.is_full(&outbox.lock()) && full < 1100, "{full}");
        publish(&queues[0].0, 2);
        publish(&queues[2].0, 100);
        // Each once.
        assert_eq!(outbox.lock().waiting(), 3);
        assert!(!outbox.has_room_for_waiting(&outbox.lock()));
        let before = ready();

        outbox.lock().output = Output::default();
        assert!(outbox.has_room_for_waiting(&outbox.lock()));
        deliver_to_waiting(&outbox, &mut wakes);
        let after = ready();
        assert!(after[1] < before[1] && outbox.is_full(&outbox.lock()));
        assert_eq!((after[0], after[2]), (2, 100), "the first has filled it alone");

        outbox.lock().output = Output::default();
        deliver_to_waiting(&outbox, &mut wakes);
        let last = ready();
        assert_eq!((last[0], last[1]), (0, after[1]), "those that had waited longest came first");
        assert!(last[2] < 100);

        while ready() != [0; 4] {
            outbox.lock().output = Output::default();
            assert!(outbox.has_room_for_waiting(&outbox.lock()), "{:?}", ready());
            deliver_to_waiting(&outbox, &mut wakes);
        }
        assert!(!outbox.has_room_for_waiting(&outbox.lock()));
    }

    #[test]
    fn an_outbox_that_is_never_empty_has_room_for_those_who_wait_now_and_then() {
        let outbox = Arc::new(Outbox::new(1, 1000));
        outbox.lock().open_channel(1);
        let (queue, _dir) = queue();
        outbox.lock().turn_away(&queue, &consumer(&outbox, |_| ()));
        // Others fill up what is written, as soon as it is being written.
        let mut rooms = Vec::new();
        for bytes in [900, 100, 900, 100] {
            outbox.lock().output.frames.extend(std::iter::repeat_n(0, bytes));
            let mut writing = Writing::default();
            assert!(outbox.refill(&mut writing, true));
            assert_eq!(writing.left(), bytes);
            rooms.push(outbox.has_room_for_waiting(&outbox.lock()));
        }
        assert_eq!(rooms, [false, true, false, true]);
        assert!(!outbox.refill(&mut Writing::default(), true));
        outbox.lock().output.frames.push(0);
        assert!(!outbox.refill(&mut Writing::default(), false));
    }

    #[test]
    fn who_has_room_on_the_channel_and_none_in_the_outbox_waits() {
        let outbox = Arc::new(Outbox::new(1, 1));
        outbox.lock().open_channel(1);
        let queues: Vec<_> = (0..3).map(|_| queue()).collect();
        let subscriptions: Vec<_> = queues
            .iter()
            .map(|(queue, _)| Subscription { consumer: consumer(&outbox, |_| ()), queue: queue.clone() })
            .collect();
        let mut wakes = Wakes::default();
        let mut turn = 4;
        outbox.lock().output.frames.push(0);
        deliver_in_turn(&outbox, &subscriptions.iter().collect::<Vec<_>>(), &mut turn, &mut wakes);
        assert_eq!(outbox.lock().waiting(), 3);
        outbox.lock().output = Output::default();
        let (first, _) = outbox.next_waiting().unwrap();
        assert!(Arc::ptr_eq(&first, &queues[1].0), "whose turn it was");
    }

    #[test]
    fn whoever_has_ended_is_not_waited_for() {
        let outbox = Arc::new(Outbox::new(1, 1));
        outbox.lock().open_channel(1);
        let mut wakes = Wakes::default();
        let (first, _first_dir) = queue();
        let (second, _second_dir) = queue();
        for queue in [&first, &second] {
            assert!(queue.consume(&consumer(&outbox, |_| ()), || (), &mut wakes).is_ok());
            publish(queue, 2);
        }
        assert_eq!(outbox.lock().waiting(), 2);
        drop(first);
        outbox.lock().output = Output::default();
        let (next, _) = outbox.next_waiting().unwrap();
        assert!(Arc::ptr_eq(&next, &second), "the first queue is gone");

        let cancelled = consumer(&outbox, |_| ());
        for _ in 0..1000 {
            let passing = consumer(&outbox, |_| ());
            outbox.lock().turn_away(&second, &passing);
            passing.set_cancelled();
        }
        assert!(outbox.lock().waiting() < 10, "{}", outbox.lock().waiting());
        outbox.lock().turn_away(&second, &cancelled);
        cancelled.set_cancelled();
        assert!(outbox.next_waiting().is_none() && outbox.lock().waiting() == 0);
        outbox.lock().turn_away(&second, &cancelled);
        assert_eq!(outbox.lock().waiting(), 0);

        outbox.lock().turn_away(&second, &consumer(&outbox, |_| ()));
        let waiting = outbox.lock().close();
        assert_eq!((waiting.len(), outbox.lock().waiting()), (1, 0));
        outbox.lock().turn_away(&second, &consumer(&outbox, |_| ()));
        assert_eq!(outbox.lock().waiting(), 0, "nobody waits for a connection that ends");
    }
}
