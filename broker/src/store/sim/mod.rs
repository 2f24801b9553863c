//! The store against a model of its promise, on a disk that fails: deterministic, so a seed replays exactly.
//!
//! [`run_seed`] makes up a history of publishes, acks, purges, deletions, faults, crashes and shutdowns, runs
//! it step by step without threads, and after every restart compares what the log holds with what it must,
//! must not and may hold.

mod disk;
mod model;
mod rng;
#[cfg(test)]
mod tests;
mod world;

use std::fmt;
use std::ops::AddAssign;

pub use disk::{Disk, Faults};
pub use rng::Rng;
use world::World;

/// What a seed found.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    /// The step at which it showed.
    pub step: u64,
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} step {}: {}", self.seed, self.step, self.what)
    }
}

impl std::error::Error for Failure {}

/// What a run went through, to see that it went through anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub steps: u64,
    pub enqueues: u64,
    pub power_cuts: u64,
    pub kills: u64,
    pub failures: u64,
    pub clean_closes: u64,
    pub cuts: u64,
    pub blocked: u64,
    pub compaction_bytes: u64,
    pub elided: u64,
}

impl AddAssign for Coverage {
    fn add_assign(&mut self, other: Coverage) {
        self.steps += other.steps;
        self.enqueues += other.enqueues;
        self.power_cuts += other.power_cuts;
        self.kills += other.kills;
        self.failures += other.failures;
        self.clean_closes += other.clean_closes;
        self.cuts += other.cuts;
        self.blocked += other.blocked;
        self.compaction_bytes += other.compaction_bytes;
        self.elided += other.elided;
    }
}

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub steps: u64,
    /// Print every step.
    pub verbose: bool,
    /// On such a disk the promise cannot hold: a control that the simulation sees loss when there is some.
    pub lying_sync: bool,
    /// Nothing fails by chance; the power is cut once, in the middle of this operation of the disk.
    pub only_cut_at: Option<u64>,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { steps: 300, verbose: false, lying_sync: false, only_cut_at: None }
    }
}

/// Runs one seed; the same seed always does the same.
pub fn run_seed(seed: u64, plan: Plan) -> Result<Coverage, Failure> {
    let mut world = World::new(seed, plan);
    let result = world.run();
    let step = world.coverage.steps;
    result.map_err(|what| Failure { seed, step, what })?;
    Ok(world.coverage)
}

/// Runs one seed again and again, with the power cut at every operation of the disk in turn, from the first one that
/// creates the log to the last one of an orderly end. What all runs together went through.
pub fn cut_at_every_operation(seed: u64, plan: Plan) -> Result<Coverage, Failure> {
    let mut all = Coverage::default();
    for operation in 0.. {
        let mut world = World::new(seed, Plan { only_cut_at: Some(operation), ..plan });
        let result = world.run();
        let step = world.coverage.steps;
        result.map_err(|what| Failure {
            seed,
            step,
            what: format!("cut at operation {operation}: {what}"),
        })?;
        all += world.coverage;
        if world.disk.cuts() == 0 {
            // It came to its end before.
            break;
        }
    }
    Ok(all)
}
