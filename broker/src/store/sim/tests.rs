use super::*;

fn run(seeds: impl Iterator<Item = u64>) -> Coverage {
    let mut all = Coverage::default();
    for seed in seeds {
        match run_seed(seed, Plan::default()) {
            Ok(c) => {
                all.steps += c.steps;
                all.enqueues += c.enqueues;
                all.power_cuts += c.power_cuts;
                all.kills += c.kills;
                all.failures += c.failures;
                all.clean_closes += c.clean_closes;
                all.cuts += c.cuts;
                all.blocked += c.blocked;
                all.compaction_bytes += c.compaction_bytes;
                all.elided += c.elided;
            }
            Err(failure) => panic!("{failure}"),
        }
    }
    all
}

#[test]
fn the_promise_holds() {
    let all = run(0..120);
    println!("{all:?}");
    let Coverage {
        power_cuts, kills, failures, clean_closes, cuts, blocked, compaction_bytes, elided, ..
    } = all;
    for count in [power_cuts, kills, failures, clean_closes, cuts, blocked, compaction_bytes, elided] {
        assert!(count > 8, "too little happened: {all:?}");
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..5 {
        let again = || run_seed(seed, Plan::default()).expect("it holds");
        assert_eq!(again(), again());
    }
}

/// The control: where syncs do nothing, loss must show.
#[test]
fn a_lying_disk_is_found_out() {
    let plan = Plan { lying_sync: true, ..Plan::default() };
    let found = (0..50).filter(|&seed| run_seed(seed, plan).is_err()).count();
    assert!(found > 25, "only {found} of 50 runs on a lying disk lost something");
}

/// `STORE_SIM_SEED=17 cargo test -p broker --lib one_seed -- --nocapture --ignored`
#[test]
#[ignore = "for looking at one seed"]
fn one_seed() {
    let seed = std::env::var("STORE_SIM_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    run_seed(seed, Plan { verbose: true, ..Plan::default() }).map_err(|f| f.to_string()).expect("it holds");
}

/// `STORE_SIM_SEEDS=100000 cargo test -p broker --lib many_seeds -- --nocapture --ignored`
#[test]
#[ignore = "as long as wanted"]
fn many_seeds() {
    let seeds: u64 = std::env::var("STORE_SIM_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1000);
    let mut failures = 0;
    for seed in 0..seeds {
        if let Err(failure) = run_seed(seed, Plan::default()) {
            println!("{failure}");
            failures += 1;
        }
    }
    assert_eq!(failures, 0);
}
