//! A load generator for AMQP 0-9-1 brokers that takes little processor time itself: one thread, raw sockets,
//! publishes encoded once. It prints one line of JSON and exits with 1 when messages were lost or refused.

mod client;
mod confirmed;
mod engine;
mod link;
mod scenarios;
mod stats;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;

#[derive(Parser)]
#[command(about = "Puts load on an AMQP 0-9-1 broker and measures it")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(clap::Args)]
pub struct Common {
    #[command(flatten)]
    target: client::Target,
    /// The broker's process, to measure what it and its descendants use.
    #[arg(long, global = true)]
    pid: Option<u32>,
    /// Seconds of measuring, after a short warm-up.
    #[arg(long, global = true, default_value_t = 3.0)]
    seconds: f64,
    /// Say "measuring" on standard error when the set-up is done.
    #[arg(long, global = true)]
    announce: bool,
}

#[derive(Subcommand)]
enum Scenario {
    /// Publishers to queues to consumers, as fast as it goes or at a rate
    Flow(scenarios::Flow),
    /// One message in flight
    PingPong(scenarios::PingPong),
    /// Users in pairs
    Chat(scenarios::Chat),
    /// Requests through a fanout exchange to competing workers that reply
    Fanin(scenarios::Fanin),
    /// Open connections
    Connections(scenarios::Connections),
    /// Connections that come and go
    Churn(scenarios::Churn),
    /// Durable queues
    Queues(scenarios::Queues),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let common = &cli.common;
    let result = match &cli.scenario {
        Scenario::Flow(flow) => flow.run(common),
        Scenario::PingPong(ping_pong) => ping_pong.run(common),
        Scenario::Chat(chat) => chat.run(common),
        Scenario::Fanin(fanin) => fanin.run(common),
        Scenario::Connections(connections) => connections.run(common),
        Scenario::Churn(churn) => churn.run(common),
        Scenario::Queues(queues) => queues.run(common),
    };
    match result {
        Ok(report) => {
            println!("{report}");
            if report["ok"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("{}", json!({ "ok": false, "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}
