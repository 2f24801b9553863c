//! Every scenario runs against the broker, loses nothing, and counts what it should.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use broker::Broker;
use broker::auth::Cost;
use broker::config::Config;
use serde_json::Value;

const SCENARIOS: [&str; 20] = [
    "flow --size 16",
    "flow -p 2 -c 2 -q 2 --ack-every 10 --prefetch 20",
    "flow --persistent --ack-every 1 --mandatory --in-flight 100",
    "flow --size 65536",
    "flow --size 200000 --messages 50",
    "flow -c 4 -q 4 --exchange fanout",
    "flow -c 0 -q 4 --exchange fanout --persistent --messages 50",
    "flow --exchange topic",
    "flow --exchange headers",
    "flow --rate 500",
    "flow --spread -p 2 -c 2 -q 50 --ack-every 1",
    "flow --backlog 2000 --size 16 --ack-every 10",
    "flow --backlog 2000 --persistent --ack-every 10",
    "flow --exchange topic --bindings 300 --ack-every 100",
    "flow --exchange headers --bindings 30 --ack-every 100",
    "ping-pong --persistent",
    "chat -u 10",
    "fanin -n 10 -k 2 --persistent",
    "connections -n 20",
    "churn --parallel 4",
];

fn load(address: SocketAddr, arguments: &str) -> Value {
    let done = Command::new(env!("CARGO_BIN_EXE_load"))
        .args(arguments.split_whitespace())
        .args(["--seconds", "0.3", "--addr", &address.to_string(), "--pid", &std::process::id().to_string()])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done.status.success(), report["ok"] == true, "{arguments}: {report}");
    report
}

#[test]
fn every_scenario_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config {
        listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        data_dir: folder.path().to_owned(),
        ..Config::default()
    };
    config.auth.password_cost = Cost { memory_kib: 8, iterations: 1, lanes: 1 };
    config.limits.disk_free_min_bytes = 0;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let broker = runtime.block_on(Broker::start(config)).unwrap();
    let address = broker.local_addr();
    for arguments in SCENARIOS {
        let report = load(address, arguments);
        assert!(report["ok"] == true, "{arguments}: {report}");
        assert!(report["per_s"].as_f64().unwrap() > 0.0, "{arguments}: {report}");
        assert!(report["rss_mib"].as_u64().unwrap() > 0, "{arguments}: {report}");
    }
    let report = load(address, "queues -n 50 -m 2");
    assert!(report["ok"] == true && report["per_s"].as_f64().unwrap() > 0.0, "{report}");
    let refused = load(address, "flow --user nobody");
    assert_eq!(refused["ok"], false, "{refused}");
    runtime.block_on(broker.shutdown()).unwrap();
}
