//! One thing by its path, the bindings of something, and pages of a listing, as the management plugin has them.

use std::net::SocketAddr;

use broker::amqp::queue;
use serde_json::{Value, json};

use crate::harness::*;
use crate::http::{Answer, GUEST, ask};
use crate::process::Broker;

fn get(http: SocketAddr, path: &str) -> Answer {
    ask(http, &format!("GET /api/{path}"), GUEST)
}

#[track_caller]
fn found(http: SocketAddr, path: &str) -> Value {
    let answer = get(http, path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

#[track_caller]
fn absent(http: SocketAddr, paths: &[&str]) {
    for path in paths {
        let answer = get(http, path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
}

#[test]
fn users_vhosts_and_permissions_have_paths() {
    let (broker, http) = Broker::with_management();
    broker.ok(&["add_vhost", "a/b"]);
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_user_limits", "alice", r#"{"max-channels": 9}"#]);
    broker.ok(&["-p", "a/b", "set_permissions", "alice", "^c", "^w", "^r"]);
    broker.ok(&["-p", "a/b", "set_topic_permissions", "alice", "amq.topic", "^a", "^b"]);
    assert_eq!(found(http, "vhosts/a%2Fb")["name"], "a/b");
    assert_eq!(found(http, "vhosts/a%2Fb")["metadata"], json!({"description": "", "tags": []}));
    let alice = json!({"name": "alice", "tags": [], "limits": {"max-channels": 9}});
    assert_eq!(found(http, "users/alice"), alice);
    let permission = json!({"user": "alice", "vhost": "a/b", "configure": "^c", "write": "^w", "read": "^r"});
    assert_eq!(found(http, "permissions/a%2Fb/alice"), permission);
    assert_eq!(found(http, "users/alice/permissions"), json!([permission]));
    assert_eq!(found(http, "vhosts/a%2Fb/permissions"), json!([permission]));
    let topic =
        json!({"user": "alice", "vhost": "a/b", "exchange": "amq.topic", "write": "^a", "read": "^b"});
    for path in
        ["topic-permissions/a%2Fb/alice", "users/alice/topic-permissions", "vhosts/a%2Fb/topic-permissions"]
    {
        assert_eq!(found(http, path), json!([topic]), "{path}");
    }
    assert_eq!(found(http, "users/guest/topic-permissions"), json!([]));
    assert_eq!(found(http, "user-limits/alice")[0]["value"], json!({"max-channels": 9}));
    absent(
        http,
        &[
            "vhosts/none",
            "vhosts/none/permissions",
            "users/none",
            "users/none/permissions",
            "permissions/%2F/alice",
        ],
    );
}

#[test]
fn bindings_have_paths() {
    let (broker, http) = Broker::with_management();
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, declare("r"), declare_ok("r", 0, 0));
    client.call(1, bind("q", "amq.topic", "a b.#"), queue::BindOk);
    client.call(1, bind("r", "amq.topic", "c"), queue::BindOk);
    let mut with_arguments = bind("q", "amq.topic", "c");
    with_arguments.arguments.insert("x", 1);
    client.call(1, with_arguments, queue::BindOk);
    client.call(1, bind_exchange("amq.fanout", "amq.topic", ""), broker::amqp::exchange::BindOk);
    let keys = |path: &str| {
        let found = found(http, path);
        let key = |row: &Value| row["properties_key"].as_str().unwrap().to_owned();
        found.as_array().unwrap().iter().map(key).collect::<Vec<_>>()
    };
    let of_q = keys("queues/%2F/q/bindings");
    assert_eq!(&of_q[..2], ["q", "a+b.%23"]);
    assert!(of_q.len() == 3 && of_q[2].starts_with("c~"), "{of_q:?}");
    assert_eq!(keys("bindings/%2F/e/amq.topic/q/q"), of_q[1..]);
    assert_eq!(keys("bindings/%2F/e/amq.default/q/q"), ["q"]);
    assert_eq!(keys("bindings/%2F/e//q/q"), ["q"]);
    assert_eq!(keys("exchanges/%2F/amq.topic/bindings/source"), [&of_q[1], &of_q[2], "c", "~"]);
    assert_eq!(keys("exchanges/%2F/amq.fanout/bindings/destination"), ["~"]);
    assert_eq!(found(http, "bindings/%2F/e/amq.topic/e/amq.fanout/~")["destination_type"], "exchange");
    for key in ["a+b.%2523", "a+b.%23", "a%20b.%23"] {
        let path = format!("bindings/%2F/e/amq.topic/q/q/{key}");
        assert_eq!(found(http, &path)["routing_key"], "a b.#", "{path}");
    }
    assert_eq!(
        found(http, &format!("bindings/%2F/e/amq.topic/q/q/{}", of_q[2]))["arguments"],
        json!({"x": 1})
    );
    for path in [
        "bindings/%2F/e/amq.direct/q/q",
        "exchanges/%2F/none/bindings/source",
        "exchanges/%2F/none/bindings/destination",
    ] {
        assert_eq!(found(http, path), json!([]), "{path}");
    }
    absent(
        http,
        &[
            "queues/%2F/none/bindings",
            "exchanges/%2F/amq.topic/bindings/other",
            "bindings/%2F/e/amq.topic/q/q/none",
            "bindings/%2F/e/amq.topic/x/q",
            "bindings/none/e/amq.topic/q/q",
        ],
    );
}

#[test]
fn connections_and_their_channels_have_paths() {
    let (broker, http) = Broker::with_management();
    let mut client = broker.connect();
    client.open_channel(2);
    let _other = broker.connect();
    let name = found(http, "connections")[0]["name"].as_str().unwrap().to_owned();
    let path = name.replace(' ', "%20").replace('>', "%3E");
    assert_eq!(found(http, &format!("connections/{path}"))["user"], "guest");
    let channels = found(http, &format!("connections/{path}/channels?columns=number"));
    assert_eq!(channels, json!([{"number": 1}, {"number": 2}]));
    assert_eq!(found(http, &format!("channels/{path}%20(2)"))["number"], 2);
    absent(http, &["connections/none", "connections/none/channels", &format!("channels/{path}%20(3)")]);
}

#[test]
fn a_vhost_has_paths_to_its_connections_and_channels() {
    let (broker, http) = Broker::with_management();
    broker.ok(&["add_vhost", "a/b"]);
    broker.ok(&["add_vhost", "idle"]);
    broker.ok(&["-p", "a/b", "set_permissions", "guest", ".*", ".*", ".*"]);
    let _other = broker.connect();
    let mut client = broker.connect_as(&Login { vhost: "a/b", ..Login::default() });
    client.open_channel(7);
    assert_eq!(found(http, "vhosts/a%2Fb/connections?columns=vhost"), json!([{"vhost": "a/b"}]));
    let channels = found(http, "vhosts/a%2Fb/channels?columns=vhost,number");
    assert_eq!(channels, json!([{"vhost": "a/b", "number": 1}, {"vhost": "a/b", "number": 7}]));
    assert_eq!(found(http, "vhosts/a%2Fb/channels?page=1&page_size=1")["filtered_count"], 2);
    assert_eq!(found(http, "vhosts/idle/connections"), json!([]));
    assert_eq!(found(http, "vhosts/idle/channels"), json!([]));
    absent(http, &["vhosts/none/connections", "vhosts/none/channels"]);
}

#[test]
fn the_node_says_that_it_lives() {
    let (broker, http) = Broker::with_management();
    let overview = found(http, "overview");
    let node = overview["node"].as_str().unwrap();
    assert_eq!(overview["contexts"][0]["port"], http.port().to_string());
    assert_eq!(overview["contexts"][0]["node"], node);
    assert_eq!(found(http, "cluster-name")["name"], overview["cluster_name"]);
    assert_eq!(found(http, &format!("nodes/{node}"))["running"], true);
    for path in [
        "healthchecks/node",
        &format!("healthchecks/node/{node}"),
        "health/checks/alarms",
        "aliveness-test/%2F",
    ] {
        assert_eq!(found(http, path), json!({"status": "ok"}), "{path}");
    }
    absent(http, &["nodes/none", "healthchecks/node/none", "aliveness-test/none"]);
    broker.ok(&["set_policy", "p", "^q$", r#"{"max-length": 5}"#]);
    assert_eq!(found(http, "policies/%2F/p")["pattern"], "^q$");
    absent(http, &["policies/%2F/none", "operator-policies/%2F/p"]);
}

#[test]
fn a_listing_comes_in_pages() {
    let (broker, http) = Broker::with_management();
    let mut client = broker.connect();
    for name in ["jobs.1", "jobs.2", "jobs.3", "other"] {
        client.call(1, declare(name), declare_ok(name, 0, 0));
    }
    let page = found(http, "queues/%2F?page=2&page_size=2&name=JOBS&columns=name");
    let wanted = json!({
        "page": 2, "page_size": 2, "page_count": 2, "total_count": 4, "filtered_count": 3, "item_count": 1,
        "items": [{"name": "jobs.3"}]
    });
    assert_eq!(page, wanted);
    assert_eq!(found(http, "queues?page=1&name=%5Ejobs.%5B13%5D$&use_regex=true")["filtered_count"], 2);
    for (query, error) in
        [("page=3&page_size=2&name=jobs", "page_out_of_range"), ("page=0", "invalid_pagination_parameters")]
    {
        let refused = get(http, &format!("queues?{query}"));
        assert_eq!((refused.status, &refused.json()["error"]), (400, &json!(error)), "{}", refused.body);
    }
}
