//! Changes over HTTP, as the management plugin makes them.

use std::net::SocketAddr;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::*;
use crate::http::{Answer, ask, ask_with};
use crate::process::Broker;

struct Http {
    address: SocketAddr,
    login: String,
}

impl Http {
    fn as_user(address: SocketAddr, user: &str, password: &str) -> Http {
        let login = BASE64.encode(format!("{user}:{password}").as_bytes());
        Http { address, login: format!("Authorization: Basic {login}\r\n") }
    }

    fn send(&self, line: &str, body: &str) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let headers = format!("{}Content-Length: {}\r\n", self.login, body.len());
        ask_with(self.address, &format!("{method} /api/{path}"), &headers, body)
    }

    #[track_caller]
    fn does(&self, line: &str, body: &str, status: u16) -> Answer {
        let answer = self.send(line, body);
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        answer
    }

    /// What it is refused with: RabbitMQ's word, and the reason.
    #[track_caller]
    fn refuses(&self, line: &str, body: &str, status: u16, error: &str, reason: &str) {
        let answer = self.does(line, body, status).json();
        assert_eq!(
            (answer["error"].as_str(), answer["reason"].as_str()),
            (Some(error), Some(reason)),
            "{line}"
        );
    }
}

fn start() -> (Broker, Http) {
    let (broker, address) = Broker::with_changes();
    (broker, Http::as_user(address, "guest", "guest"))
}

#[test]
fn queues_are_declared_purged_and_deleted() {
    let (mut broker, http) = start();
    let durable = r#"{"durable": true, "arguments": {"x-max-length": 5}}"#;
    http.does("PUT queues/%2F/q", durable, 201);
    http.does("PUT queues/%2F/q", durable, 204);
    http.does("PUT queues/%2F/t", "", 201);
    let inequivalent =
        "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'";
    http.refuses("PUT queues/%2F/q", "{}", 400, "bad_request", inequivalent);
    let reserved = "queue name 'amq.x' contains reserved prefix 'amq.*'";
    http.refuses("PUT queues/%2F/amq.x", "{}", 401, "not_authorised", reserved);
    let wrong = r#"the body: "durable" has to be true or false, not "x""#;
    http.refuses("PUT queues/%2F/r", r#"{"durable": "x"}"#, 400, "bad_request", wrong);
    http.refuses("PUT queues/%2F/r", "[]", 400, "bad_request", "not_json: the body has to be a JSON object");
    http.refuses("PUT queues/none/r", "{}", 404, "not_found", "there is no vhost 'none'");
    http.refuses(
        &format!("PUT queues/%2F/{}", "x".repeat(256)),
        "{}",
        400,
        "bad_request",
        "a name has more than 255 bytes",
    );
    let mut client = broker.connect();
    client.publish_persistent(1, "", "q", "x");
    client.sync(1);
    http.refuses(
        "DELETE queues/%2F/q?if-empty=true",
        "",
        400,
        "bad_request",
        "queue 'q' in vhost '/' not empty",
    );
    http.does("DELETE queues/%2F/q/contents", "", 204);
    assert_eq!(broker.rows(&["list_queues"]), ["q\t0", "t\t0"]);
    client.call(1, consume("q", "tag"), consume_ok("tag"));
    http.refuses(
        "DELETE queues/%2F/q?if-unused=true",
        "",
        400,
        "bad_request",
        "queue 'q' in vhost '/' in use",
    );
    http.does("DELETE queues/%2F/t", "", 204);
    http.refuses("DELETE queues/%2F/t", "", 404, "Object Not Found", "no queue 't' in vhost '/'");
    http.does("DELETE queues/%2F/t/contents", "", 404);
    broker.kill9_and_start_again();
    assert_eq!(broker.rows(&["list_queues", "name", "arguments"]), [r#"q	[{"x-max-length",5}]"#]);
}

#[test]
fn exchanges_and_bindings_are_made_and_deleted() {
    let (broker, http) = start();
    http.does("PUT exchanges/%2F/e", r#"{"type": "topic", "durable": "true"}"#, 201);
    http.does("PUT exchanges/%2F/e", r#"{"type": "topic", "durable": true}"#, 204);
    http.refuses(
        "PUT exchanges/%2F/f",
        r#"{"type": "odd"}"#,
        400,
        "bad_request",
        "unknown exchange type 'odd'",
    );
    http.does("PUT queues/%2F/q", "", 201);
    let made =
        http.does("POST bindings/%2F/e/e/q/q", r#"{"routing_key": "a.#", "arguments": {"x": 1}}"#, 201);
    let location = made.head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    assert!(location.starts_with("q/a.%2523~"), "{location}");
    http.does("POST bindings/%2F/e/e/e/amq.fanout", "", 201);
    assert_eq!(
        http.does("GET exchanges/%2F/e/bindings/source", "", 200).json().as_array().map(Vec::len),
        Some(2)
    );
    http.refuses("POST bindings/%2F/e/none/q/q", "", 404, "not_found", "no exchange 'none' in vhost '/'");
    http.refuses("POST bindings/%2F/e/e/q/none", "", 404, "not_found", "no queue 'none' in vhost '/'");
    http.does("DELETE exchanges/%2F/e?if-unused=true", "", 400);
    http.does(&format!("DELETE bindings/%2F/e/e/q/{location}"), "", 204);
    http.does("DELETE bindings/%2F/e/e/e/amq.fanout/~", "", 204);
    // As rabbitmqadmin asks for it.
    http.does("POST bindings/%2F/e/e/q/q", r#"{"routing_key": "b.#"}"#, 201);
    http.does("DELETE bindings/%2F/e/e/q/q/b.%23", "", 204);
    http.refuses("DELETE bindings/%2F/e/e/q/q/a", "", 404, "Object Not Found", "there is no such binding");
    http.does("DELETE exchanges/%2F/e?if-unused=true", "", 204);
    http.does("DELETE exchanges/%2F/e", "", 404);
    http.does("DELETE exchanges/%2F/amq.topic", "", 401);
    assert_eq!(broker.rows(&["list_bindings", "source_name"]), [""]);
}

#[test]
fn messages_are_published_and_got() {
    let (broker, http) = start();
    http.does("PUT queues/%2F/q", r#"{"durable": true}"#, 201);
    let publish = |exchange: &str, body: Value| {
        http.send(&format!("POST exchanges/%2F/{exchange}/publish"), &body.to_string())
    };
    let mut first = json!({
        "routing_key": "q", "payload": "häh", "payload_encoding": "string",
        "properties": {"delivery_mode": 2, "headers": {"a": 1}, "type": "t", "odd": 1}
    });
    assert_eq!(publish("amq.default", first.clone()).json(), json!({"routed": true}));
    let second =
        json!({"routing_key": "q", "payload": "/w==", "payload_encoding": "base64", "properties": []});
    assert_eq!(publish("amq.default", second).json(), json!({"routed": true}));
    assert_eq!(publish("amq.topic", first.clone()).json(), json!({"routed": false}));
    let refused = publish("none", first.clone());
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["reason"], "404 NOT_FOUND - no exchange 'none' in vhost '/'");
    first["properties"]["expiration"] = json!(5);
    let reason = publish("amq.topic", first.clone()).json()["reason"].take();
    assert_eq!(reason, r#"the body: "properties": the body: "expiration" has to be a text, not 5"#);
    first["payload_encoding"] = json!("odd");
    assert_eq!(publish("amq.topic", first).status, 400);

    let get = |body: &str| http.does("POST queues/%2F/q/get", body, 200).json();
    let both = get(r#"{"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}"#);
    let message = json!({
        "payload_bytes": 4, "redelivered": false, "exchange": "", "routing_key": "q", "message_count": 1,
        "properties": {"delivery_mode": 2, "headers": {"a": 1}, "type": "t"},
        "payload": "häh", "payload_encoding": "string"
    });
    assert_eq!(both[0], message);
    assert_eq!((&both[1]["payload"], &both[1]["payload_encoding"]), (&json!("/w=="), &json!("base64")));
    let one = get(r#"{"count": "1", "ackmode": "ack_requeue_false", "encoding": "base64", "truncate": 1}"#);
    assert_eq!((&one[0]["payload"], &one[0]["redelivered"]), (&json!("aA=="), &json!(true)));
    assert_eq!(one.as_array().map(Vec::len), Some(1));
    assert_eq!(
        get(r#"{"ackmode": "reject_requeue_false", "encoding": "auto"}"#).as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(get(r#"{"ackmode": "ack_requeue_false", "encoding": "auto"}"#), json!([]));
    assert_eq!(broker.rows(&["list_queues"]), ["q\t0"]);
    let get = "POST queues/%2F/q/get";
    http.refuses(get, r#"{"encoding": "auto"}"#, 400, "bad_request", r#"the body: "ackmode" is missing"#);
    let none = r#"{"ackmode": "ack_requeue_true", "encoding": "auto"}"#;
    http.refuses("POST queues/%2F/none/get", none, 404, "not_found", "no queue 'none' in vhost '/'");
}

#[test]
fn an_answer_has_no_more_messages_than_there_is_room_for() {
    let (broker, http) = start();
    http.does("PUT queues/%2F/q", "", 201);
    let headers = json!({"h": "x".repeat(100_000)});
    let message = json!({"routing_key": "q", "payload": "", "payload_encoding": "string", "properties": {"headers": headers}});
    for _ in 0..200 {
        http.does("POST exchanges/%2F/amq.default/publish", &message.to_string(), 200);
    }
    let all = r#"{"count": 200, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 0}"#;
    let got = http.does("POST queues/%2F/q/get", all, 200).json();
    // 16 MiB of them.
    assert_eq!(got.as_array().unwrap().len(), 168);
    assert_eq!(broker.rows(&["list_queues", "messages_ready"]), ["200"]);
}

#[test]
fn a_message_that_a_full_queue_rejects_is_refused() {
    let (_broker, http) = start();
    http.does(
        "PUT queues/%2F/q",
        r#"{"arguments": {"x-max-length": 0, "x-overflow": "reject-publish"}}"#,
        201,
    );
    let message = r#"{"routing_key": "q", "payload": "x", "payload_encoding": "string", "properties": {}}"#;
    http.refuses(
        "POST exchanges/%2F/amq.default/publish",
        message,
        400,
        "bad_request",
        "rejected: a queue that is to get the message is full",
    );
}

#[test]
fn what_a_client_may_not_do_is_refused_over_http_too() {
    let (broker, http) = start();
    broker.ok(&["add_user", "alice", "secret"]);
    let alice = Http::as_user(http.address, "alice", "secret");
    alice.does("PUT queues/%2F/c", "", 401);
    alice.does("GET whoami", "", 401);
    broker.ok(&["set_user_tags", "alice", "management"]);
    assert_eq!(alice.does("GET whoami", "", 200).json()["tags"], json!(["management"]));
    alice.does("GET queues", "", 401);
    alice.refuses(
        "PUT queues/%2F/c",
        "",
        401,
        "not_authorised",
        "access to vhost '/' refused for user 'alice'",
    );
    broker.ok(&["set_permissions", "alice", "^c", "^w", "^r"]);
    http.does("PUT queues/%2F/q", "", 201);
    alice.does("PUT queues/%2F/c", "", 201);
    for (line, body, access) in [
        ("PUT queues/%2F/x", "", "configure access to queue 'x'"),
        ("DELETE queues/%2F/q", "", "configure access to queue 'q'"),
        ("DELETE queues/%2F/q/contents", "", "read access to queue 'q'"),
        (
            "POST queues/%2F/c/get",
            r#"{"ackmode": "ack_requeue_false", "encoding": "auto"}"#,
            "read access to queue 'c'",
        ),
        ("PUT exchanges/%2F/x", "", "configure access to exchange 'x'"),
        ("POST bindings/%2F/e/amq.topic/q/c", "", "write access to queue 'c'"),
    ] {
        let reason = format!("{access} in vhost '/' refused for user 'alice'");
        alice.refuses(line, body, 401, "not_authorised", &reason);
    }
    let message = r#"{"routing_key": "q", "payload": "x", "payload_encoding": "string", "properties": {}}"#;
    let refused = alice.does("POST exchanges/%2F/amq.topic/publish", message, 400).json();
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.starts_with("403 ACCESS_REFUSED - write access to exchange 'amq.topic'"), "{reason}");
    for line in [
        "PUT vhosts/v",
        "DELETE vhosts/%2F",
        "PUT users/u",
        "DELETE users/guest",
        "POST users/bulk-delete",
        "PUT permissions/%2F/alice",
        "DELETE permissions/%2F/guest",
        "PUT policies/%2F/p",
        "DELETE policies/%2F/p",
        "DELETE connections/x",
    ] {
        alice.refuses(line, "", 401, "not_authorised", "this needs a user with the tag administrator");
    }
}

#[test]
fn users_vhosts_permissions_and_policies_are_changed() {
    let (mut broker, http) = start();
    http.does("PUT vhosts/v", r#"{"description": "d", "tracing": true}"#, 201);
    http.does("PUT vhosts/v", r#"{"tracing": false, "tags": "a,b"}"#, 204);
    let vhost = http.does("GET vhosts/v", "", 200).json();
    assert_eq!(
        (&vhost["description"], &vhost["tags"], &vhost["tracing"]),
        (&json!("d"), &json!(["a", "b"]), &json!(false))
    );
    http.does("PUT users/u", r#"{"password": "p", "tags": "management"}"#, 201);
    http.does("PUT users/u", r#"{"password": "new", "tags": ["monitoring"]}"#, 204);
    broker.ok(&["authenticate_user", "u", "new"]);
    http.refuses(
        "PUT users/u",
        r#"{"password": "p"}"#,
        400,
        "bad_request",
        r#"the body: "tags" is missing; "" is none"#,
    );
    http.does("PUT users/without", r#"{"tags": ""}"#, 201);
    broker.refused(&["authenticate_user", "without", ""]);
    let all = r#"{"configure": ".*", "write": "", "read": "^r"}"#;
    http.does("PUT permissions/v/u", all, 201);
    http.does("PUT permissions/v/u", all, 204);
    http.does("PUT permissions/v/nobody", all, 400);
    http.refuses(
        "PUT permissions/v/u",
        r#"{"configure": "", "write": ""}"#,
        400,
        "bad_request",
        r#"the body: "read" is missing"#,
    );
    let policy =
        r#"{"pattern": "^a", "definition": {"max-length": 1}, "priority": "2", "apply-to": "queues"}"#;
    http.does("PUT policies/v/p", policy, 201);
    http.does("PUT policies/v/p", policy, 204);
    http.does("PUT operator-policies/v/o", r#"{"pattern": "^a", "definition": {"max-length": 1}}"#, 201);
    http.does("PUT policies/v/p", r#"{"pattern": "^a", "definition": {"odd": 1}}"#, 400);
    broker.kill9_and_start_again();
    broker.ok(&["authenticate_user", "u", "new"]);
    assert_eq!(broker.rows(&["-p", "v", "list_permissions"]), ["guest\t.*\t.*\t.*\t", "u\t.*\t\t^r\t"]);
    assert_eq!(broker.rows(&["-p", "v", "list_policies"]), [r#"v	p	^a	queues	{"max-length":1}	2"#]);
}

#[test]
fn what_was_made_is_taken_away() {
    let (broker, http) = start();
    http.does("PUT vhosts/v", "", 201);
    for user in ["u", "w"] {
        http.does(&format!("PUT users/{user}"), r#"{"password": "p", "tags": ""}"#, 201);
    }
    http.does("PUT permissions/v/u", r#"{"configure": "", "write": "", "read": ""}"#, 201);
    http.does("PUT policies/v/p", r#"{"pattern": "^a", "definition": {"max-length": 1}}"#, 201);
    for path in ["policies/v/p", "permissions/v/u", "vhosts/v", "users/u"] {
        http.does(&format!("DELETE {path}"), "", 204);
        http.does(&format!("DELETE {path}"), "", 404);
    }
    http.does("POST users/bulk-delete", r#"{"users": ["w", "nobody"]}"#, 204);
    assert_eq!(broker.rows(&["list_users", "user"]), ["guest"]);
    assert_eq!(broker.rows(&["list_vhosts"]), ["/"]);
    http.does("PUT overview", "", 405);
    http.does("POST queues/%2F/q", "", 405);
}

#[test]
fn connections_are_closed_with_the_reason_given() {
    let (broker, http) = start();
    for (header, text) in [
        ("", "CONNECTION_FORCED - Closed via management plugin"),
        ("X-Reason: too long here\r\n", "CONNECTION_FORCED - too long here"),
    ] {
        let mut client = broker.connect();
        let name = http.does("GET connections", "", 200).json()[0]["name"].as_str().unwrap().to_owned();
        let path = name.replace(' ', "%20").replace('>', "%3E");
        let headers = format!("{}{header}", http.login);
        let answer = ask(http.address, &format!("DELETE /api/connections/{path}"), &headers);
        assert_eq!(answer.status, 204, "{}", answer.body);
        // The client has not answered, but who asked for it need not wait.
        for line in ["GET", "DELETE"] {
            http.does(&format!("{line} connections/{path}"), "", 404);
        }
        assert_eq!(http.does("GET connections", "", 200).json(), json!([]));
        assert_eq!(broker.rows(&["list_connections", "state"]), ["closing"]);
        client.expect_connection_error(320, text);
    }
    http.does("DELETE connections/none", "", 404);
}

#[test]
fn pages_of_other_sites_change_nothing() {
    let (broker, http) = start();
    let put = |name: &str, origin: &str| {
        let headers = format!("{}Host: localhost:1\r\nOrigin: {origin}\r\n", http.login);
        ask(http.address, &format!("PUT /api/queues/%2F/{name}"), &headers).status
    };
    for origin in ["http://evil.example", "null", "localhost:1", "http://localhost:12"] {
        assert_eq!(put("q", origin), 403, "{origin}");
    }
    assert_eq!((put("own", "http://localhost:1"), put("proxied", "https://localhost:1")), (201, 201));
    assert_eq!(broker.rows(&["list_queues", "name"]), ["own", "proxied"]);
}

#[test]
fn a_body_that_is_too_large_is_not_read() {
    let (broker, http) = start();
    let headers = format!("{}Content-Length: {}\r\n", http.login, (16 << 20) + 1);
    let answer = ask(http.address, "PUT /api/queues/%2F/q", &headers);
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert_eq!(answer.json()["reason"], "the body is larger than 16777216 bytes");
    assert!(broker.rows(&["list_queues"]).is_empty());
}

#[test]
fn a_message_that_is_only_on_disk_is_got() {
    let (mut broker, http) = start();
    http.does("PUT queues/%2F/q", r#"{"durable": true}"#, 201);
    let payload = "x".repeat(300_000);
    let message = json!({"routing_key": "q", "payload": payload, "payload_encoding": "string", "properties": {"delivery_mode": 2}});
    http.does("POST exchanges/%2F/amq.default/publish", &message.to_string(), 200);
    let address = broker.kill9_and_start_again_with_changes();
    let http = Http { address, ..http };
    let got = http
        .does("POST queues/%2F/q/get", r#"{"ackmode": "ack_requeue_true", "encoding": "auto"}"#, 200)
        .json();
    assert_eq!((got[0]["payload"].as_str(), &got[0]["redelivered"]), (Some(&*payload), &json!(true)));
}
