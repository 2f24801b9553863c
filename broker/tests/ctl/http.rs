//! Metrics, health and listings over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use broker::amqp::queue;
use serde_json::{Value, json};

use crate::harness::*;
use crate::process::Broker;

/// `guest:guest`
pub const GUEST: &str = "Authorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\n";

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub fn ask(address: SocketAddr, request_line: &str, headers: &str) -> Answer {
    ask_with(address, request_line, headers, "")
}

pub fn ask_with(address: SocketAddr, request_line: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // HTTP/1.0: the answer ends with the connection, and comes in one piece.
    write!(stream, "{request_line} HTTP/1.0\r\n{headers}\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), head: head.to_owned(), body: body.to_owned() }
}

#[test]
fn dead_letters_that_no_queue_takes_are_counted() {
    let (broker, http) = Broker::with_management();
    let mut client = broker.connect();
    let mut keeping = declare_durable("q");
    for (name, value) in [
        ("x-queue-type", "quorum"),
        ("x-dead-letter-exchange", "nosuch"),
        ("x-dead-letter-strategy", "at-least-once"),
        ("x-overflow", "reject-publish"),
    ] {
        keeping.arguments.insert(name, value);
    }
    client.call(1, keeping, declare_ok("q", 0, 0));
    client.publish_persistent(1, "", "q", "x");
    let fetched = client.fetch(1, "q");
    client.send(1, reject(fetched.tag(), false));
    client.sync(1);
    let metrics = ask(http, "GET /metrics", "").body;
    for line in
        ["warren_queue_dead_letters 1", "rabbitmq_queue_messages_ready 0", "rabbitmq_queue_messages 1"]
    {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    let of_queues = ask(http, "GET /metrics/per-object", "").body;
    let line = r#"warren_queue_dead_letters{vhost="/",queue="q"} 1"#;
    assert!(of_queues.lines().any(|found| found == line), "{line} in {of_queues}");
}

#[test]
fn metrics_and_health_are_for_everybody() {
    let (broker, http) = Broker::with_management();
    let mut client = broker.connect();
    client.call(1, declare("q\"1"), declare_ok("q\"1", 0, 0));
    client.publish(1, "", "q\"1", "x");
    client.sync(1);
    let metrics = ask(http, "GET /metrics", "");
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.head.to_lowercase().contains("content-type: text/plain; version=0.0.4"),
        "{}",
        metrics.head
    );
    for line in [
        "warren_healthy 1",
        "rabbitmq_connections 1",
        "rabbitmq_channels 1",
        "rabbitmq_queues 1",
        "rabbitmq_queue_messages_ready 1",
        "rabbitmq_global_messages_received_total 1",
        "# TYPE rabbitmq_global_messages_received_total counter",
    ] {
        assert!(metrics.body.lines().any(|known| known == line), "{line} is not in {}", metrics.body);
    }
    let metrics = ask(http, "GET /metrics/per-object", "").body;
    let line = r#"rabbitmq_queue_messages_ready{vhost="/",queue="q\"1"} 1"#;
    assert!(metrics.lines().any(|known| known == line), "{metrics}");
    let health = ask(http, "GET /health", "");
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    assert_eq!(ask(http, "GET /", "").status, 404);
    let refused = ask(http, "DELETE /api/queues/%2F/q", GUEST);
    assert!(
        refused.status == 405 && refused.head.to_lowercase().contains("allow: get, head"),
        "{}",
        refused.head
    );
    assert!(refused.body.contains("management.changes = true"), "{}", refused.body);
    assert_eq!(broker.rows(&["list_queues"]).len(), 1);
}

#[test]
fn a_head_that_does_not_end_is_not_kept() {
    let (_broker, http) = Broker::with_management();
    let mut stream = TcpStream::connect(http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The broker may be gone before all of it is sent, and its answer with it.
    let _ = write!(stream, "GET /metrics HTTP/1.1\r\nX-Long: {}", "x".repeat(64 << 10));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert_eq!(ask(http, "GET /health", "").status, 200);
}

#[test]
fn listings_are_for_users_with_a_tag() {
    let (broker, http) = Broker::with_management();
    let refused = ask(http, "GET /api/queues", "");
    assert_eq!(refused.status, 401);
    let realm = r#"www-authenticate: basic realm="rabbitmq management""#;
    assert!(refused.head.to_lowercase().contains(realm), "{}", refused.head);
    assert_eq!(ask(http, "GET /api/queues", "Authorization: Basic Z3Vlc3Q6eA==\r\n").status, 401, "guest:x");
    broker.ok(&["add_user", "alice", "secret"]);
    let alice = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    assert_eq!(ask(http, "GET /api/queues", alice).status, 401, "no tag");
    broker.ok(&["set_user_tags", "alice", "monitoring"]);
    assert_eq!(ask(http, "GET /api/queues", alice).json(), json!([]));
    assert_eq!(ask(http, "GET /api/whoami", alice).json(), json!({"name": "alice", "tags": ["monitoring"]}));
}

#[test]
fn listings_have_the_shape_of_the_management_plugin() {
    let (broker, http) = Broker::with_management();
    broker.ok(&["add_vhost", "other"]);
    broker.ok(&["set_policy", "p", "^q$", r#"{"max-length": 5}"#]);
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.call(1, declare("r"), declare_ok("r", 0, 0));
    client.call(1, bind("q", "amq.topic", "a.#"), queue::BindOk);
    client.call(1, consume("r", "tag"), consume_ok("tag"));
    client.publish(1, "", "q", "x");
    client.sync(1);
    let get = |path: &str| {
        let answer = ask(http, &format!("GET /api/{path}"), GUEST);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    };
    assert_eq!(
        get("queues?columns=name,vhost,messages,policy"),
        json!([
            {"name": "q", "vhost": "/", "messages": 1, "policy": "p"},
            {"name": "r", "vhost": "/", "messages": 0, "policy": null}
        ])
    );
    assert_eq!(get("queues/other"), json!([]));
    assert_eq!(get("queues/%2F/q")["effective_policy_definition"], json!({"max-length": 5}));
    assert_eq!(get("exchanges/%2F/amq.topic")["type"], "topic");
    assert_eq!(get("exchanges").as_array().map(Vec::len), Some(16), "eight in each vhost");
    let binding = json!({
        "source": "amq.topic", "vhost": "/", "destination": "q", "destination_type": "queue",
        "routing_key": "a.#", "arguments": {}, "properties_key": "a.%23"
    });
    assert_eq!(get("bindings/%2F")[2], binding);
    assert_eq!(get("consumers")[0]["queue"], json!({"name": "r", "vhost": "/"}));
    assert_eq!(get("connections")[0]["user"], "guest");
    assert_eq!(get("channels?columns=number,consumer_count"), json!([{"number": 1, "consumer_count": 1}]));
    assert_eq!(get("vhosts?columns=name"), json!([{"name": "/"}, {"name": "other"}]));
    assert_eq!(get("users"), json!([{"name": "guest", "tags": ["administrator"], "limits": {}}]));
    assert_eq!(get("permissions")[0]["configure"], ".*");
    assert_eq!(get("policies")[0]["name"], "p");
    // rabbitmqadmin cannot print a null where RabbitMQ has none.
    let everything = json!({"user": "guest", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"});
    assert_eq!(get("permissions")[0], everything);
    assert_eq!(get("exchanges/%2F/amq.topic").get("policy"), None);
    assert_eq!(get("vhosts")[1].get("default_queue_type"), None);
    broker.ok(&["-p", "other", "set_vhost_limits", r#"{"max-queues": 7}"#]);
    broker.ok(&["set_user_limits", "guest", r#"{"max-channels": 9}"#]);
    broker.ok(&["set_topic_permissions", "guest", "amq.topic", "^a", "^b"]);
    assert_eq!(get("vhost-limits"), json!([{"vhost": "other", "value": {"max-queues": 7}}]));
    assert_eq!(get("user-limits"), json!([{"user": "guest", "value": {"max-channels": 9}}]));
    let topic = json!({"user": "guest", "vhost": "/", "exchange": "amq.topic", "write": "^a", "read": "^b"});
    assert_eq!(get("topic-permissions"), json!([topic]));
    assert_eq!((get("parameters"), get("global-parameters")), (json!([]), json!([])));
    let nodes = get("nodes");
    assert_eq!((&nodes[0]["running"], &nodes[0]["mem_alarm"]), (&json!(true), &json!(false)));
    assert_eq!(nodes.as_array().map(Vec::len), Some(1));
    let overview = get("overview");
    assert_eq!(overview["queue_totals"]["messages"], 1);
    assert_eq!(overview["object_totals"]["queues"], 2);
    assert_eq!(ask(http, "GET /api/queues/none", GUEST).status, 404);
    assert_eq!(ask(http, "GET /api/queues/%2F/none", GUEST).status, 404);
    assert_eq!(ask(http, "GET /api/nothing", GUEST).status, 404);
}
