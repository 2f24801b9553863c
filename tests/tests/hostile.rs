//! Hostile peers, a bounded number of them; `hostile-peer` is for as many as one likes.

use e2e::hostile::{self, Options};

/// Of the broker's memory while the same thing goes on: allocators keep some of what they got.
const RSS_GROWTH_KIB_MAX: u64 = 64 * 1024;

#[test]
fn hostile_peers_disturb_nobody() {
    let options = Options { connections: 2000, seed: 20_260_913 };
    let mut broker = hostile::broker();
    let report = hostile::run(&broker, options);
    assert!(report.panics.is_empty(), "{report:#?}");
    assert!(report.honest.messages > 0, "{report:#?}");
    let [after_a_tenth, most, _] = report.rss_kib;
    assert!(after_a_tenth > 0 && most < after_a_tenth + RSS_GROWTH_KIB_MAX, "{report:#?}");
    assert!(broker.terminate().success());
}
