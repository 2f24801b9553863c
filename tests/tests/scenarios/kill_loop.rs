//! The broker keeps its promise while it is killed again and again. `cargo run --release -p e2e --bin kill-loop` goes on
//! for as long as you like.

use e2e::kill_loop::{Broken, Plan, run};

#[test]
fn fifty_kills_lose_nothing_and_bring_nothing_back() {
    let plan =
        Plan { kills: 50, cuts_power: false, preload: None, seed: 1, life_events: (1, 1500), verbose: false };
    let summary = run(plan).unwrap_or_else(|Broken { violations }| {
        let shown: Vec<_> = violations.iter().take(10).collect();
        panic!("{} violations, of which: {shown:#?}", violations.len())
    });
    // It went through all that it is about.
    let counts = [
        summary.confirmed,
        summary.returned,
        summary.unknown,
        summary.duplicates,
        summary.settled_in_transactions,
        summary.queues_deleted,
        summary.purges,
    ];
    assert!(counts.iter().all(|&count| count > 5) && summary.kills == 50, "{summary:?}");
}
