//! Runs the broker's store against a model of its promise on a disk that fails.
//!
//! `store-sim --seeds 10000` runs seeds 0 to 9999; `store-sim --seed 42` replays one and prints every step. With
//! `--every-operation 20` twenty seeds are run again and again, with the power cut at each operation of the disk in turn.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use broker::store::sim::{Coverage, Failure, Plan, cut_at_every_operation, run_seed};

const USAGE: &str =
    "usage: store-sim [--seeds COUNT] [--every-operation COUNT] [--first SEED] [--steps COUNT] [--seed SEED]";

/// Of runs with a cut at every operation: as many runs as there are operations.
const EVERY_OPERATION_STEPS: u64 = 40;

struct Arguments {
    first: u64,
    seeds: u64,
    one: Option<u64>,
    every_operation: bool,
    plan: Plan,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed =
        Arguments { first: 0, seeds: 1000, one: None, every_operation: false, plan: Plan::default() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse().ok());
        let value = value.ok_or_else(|| format!("{word} needs a number\n{USAGE}"))?;
        match word.as_str() {
            "--seeds" => parsed.seeds = value,
            "--every-operation" => {
                (parsed.seeds, parsed.every_operation) = (value, true);
                parsed.plan.steps = EVERY_OPERATION_STEPS;
            }
            "--first" => parsed.first = value,
            "--steps" => parsed.plan.steps = value,
            "--seed" => parsed.one = Some(value),
            _ => return Err(format!("unknown argument {word}\n{USAGE}")),
        }
    }
    Ok(parsed)
}

/// All seeds on all processors; what they went through, or what failed.
fn run_all(arguments: &Arguments) -> (Coverage, Vec<Failure>) {
    let next = AtomicU64::new(arguments.first);
    let end = arguments.first + arguments.seeds;
    let work = || {
        let (mut coverage, mut failures) = (Coverage::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return (coverage, failures);
            }
            let run = if arguments.every_operation { cut_at_every_operation } else { run_seed };
            match run(seed, arguments.plan) {
                Ok(one) => coverage += one,
                Err(failure) => {
                    println!("{failure}");
                    failures.push(failure);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().fold((Coverage::default(), Vec::new()), |mut all, worker| {
            match worker.join() {
                Ok((coverage, failures)) => {
                    all.0 += coverage;
                    all.1.extend(failures);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
            all
        })
    })
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = arguments.one {
        return match run_seed(seed, Plan { verbose: true, ..arguments.plan }) {
            Ok(_) => ExitCode::SUCCESS,
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let (coverage, failures) = run_all(&arguments);
    println!("{coverage:#?}");
    println!("{} of {} seeds failed", failures.len(), arguments.seeds);
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
