//! Lets hostile peers at a broker of their own, and says how it took it.
//!
//! `hostile-peer --connections 100000` takes a new seed and prints it; `--seed SEED` is for having a run again.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use e2e::hostile::{self, Options};

const USAGE: &str = "usage: hostile-peer [--connections COUNT] [--seed SEED]";

fn options() -> Result<Options, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let mut options = Options { connections: 10_000, seed: now };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse().ok());
        let value = value.ok_or_else(|| format!("{word} needs a number\n{USAGE}"))?;
        match word.as_str() {
            "--connections" => options.connections = value,
            "--seed" => options.seed = value,
            _ => return Err(format!("unknown argument {word}\n{USAGE}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{} hostile connections, seed {}", options.connections, options.seed);
    let mut broker = hostile::broker();
    let report = hostile::run(&broker, options);
    let ended_well = broker.terminate().success();
    let [after_a_tenth, most, at_the_end] = report.rss_kib;
    println!("took                 {:.1} s", report.took.as_secs_f64());
    println!(
        "broker's memory      {after_a_tenth} KiB after a tenth, {most} at most, {at_the_end} at the end"
    );
    println!("broker's open files  {} before, {} after", report.open_files[0], report.open_files[1]);
    println!("lines in its log     {}", report.log_lines);
    println!(
        "the honest pair      {} messages, publish to delivery {:?} median, {:?} 99th percentile, {:?} longest",
        report.honest.messages, report.honest.median, report.honest.percentile_99, report.honest.longest
    );
    println!("ended in order       {ended_well}");
    println!("panics               {}", report.panics.len());
    for line in &report.panics {
        println!("  {line}");
    }
    if report.panics.is_empty() && ended_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
