//! Acting on what is there, and what happens where there is no broker to ask.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use broker::amqp::{Method, basic, exchange, queue};

use crate::harness::*;
use crate::http::ask;
use crate::process::{Broker, ctl, run};

#[test]
fn queues_are_purged_and_deleted() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.publish(1, "", "q", "one");
    client.publish(1, "", "q", "two");
    client.sync(1);
    assert!(
        broker.refused(&["delete_queue", "q", "--if-empty"]).contains("queue 'q' in vhost '/' not empty")
    );
    let ran = broker.ctl(&["purge_queue", "q"]);
    assert!(ran.code == 0 && ran.err.contains("2 messages deleted"), "{ran:?}");
    client.call(1, consume("q", "c"), consume_ok("c"));
    assert!(broker.refused(&["delete_queue", "q", "-e", "-u"]).contains("queue 'q' in vhost '/' in use"));
    broker.ok(&["delete_queue", "q"]);
    assert!(broker.rows(&["list_queues"]).is_empty());
    assert!(broker.refused(&["delete_queue", "q"]).contains("no queue 'q' in vhost '/'"));
    assert!(broker.refused(&["purge_queue", "q"]).contains("no queue 'q' in vhost '/'"));
}

#[test]
fn a_connection_is_closed_and_told_why() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let mut other = broker.connect();
    let pid = broker.rows(&["list_connections", "pid"]).remove(0);
    broker.ok(&["close_connection", &pid, "maintenance"]);
    client.expect_connection_error(320, "CONNECTION_FORCED - connection closed by an operator: maintenance");
    other.sync(1);
    assert!(broker.refused(&["close_connection", "999", "x"]).contains("there is no connection 999"));
}

#[test]
fn all_connections_of_a_vhost_or_a_user_are_closed() {
    let broker = Broker::start();
    broker.ok(&["add_vhost", "/shop"]);
    broker.ok(&["-p", "/shop", "set_permissions", "guest", ".*", ".*", ".*"]);
    broker.ok(&["add_user", "alice", "secret"]);
    broker.ok(&["set_permissions", "alice", ".*", ".*", ".*"]);
    let in_shop = Login { vhost: "/shop", ..Login::default() };
    let as_alice = Login { user: "alice", password: "secret", ..Login::default() };
    let [mut first, mut second] = [(); 2].map(|()| broker.connect_as(&in_shop));
    let (mut alice, mut guest) = (broker.connect_as(&as_alice), broker.connect());
    let closed = |why: &str| format!("CONNECTION_FORCED - connection closed by an operator: {why}");

    broker.ok(&["-p", "/shop", "close_all_connections", "--limit", "1", "one"]);
    broker.ok(&["-p", "/shop", "close_all_connections", "moving"]);
    let mut told = [&mut first, &mut second].map(|client| {
        let Method::ConnectionClose(close) = client.method(0) else { panic!("no close") };
        close.reply_text.to_string()
    });
    told.sort();
    assert_eq!(told, [closed("moving"), closed("one")]);
    guest.sync(1);

    broker.ok(&["close_all_user_connections", "alice", "bye"]);
    alice.expect_connection_error(320, &closed("bye"));
    guest.sync(1);
    broker.ok(&["-p", "/shop", "close_all_connections", "--global", "all"]);
    guest.expect_connection_error(320, &closed("all"));
    assert!(broker.refused(&["-p", "/x", "close_all_connections", "x"]).contains("there is no vhost '/x'"));
    assert!(broker.refused(&["close_all_user_connections", "x", "x"]).contains("there is no user 'x'"));
}

#[test]
fn status_and_health_tell_how_it_is() {
    let broker = Broker::start();
    let _client = broker.connect();
    let status = broker.json(&["status"]);
    assert_eq!(status["healthy"], true);
    assert_eq!(status["connections"], 1);
    assert_eq!(status["listeners"][0], format!("amqp://{}", broker.address()));
    let ran = broker.ctl(&["health"]);
    assert!(ran.code == 0 && ran.err.contains("healthy"), "{ran:?}");
}

#[test]
fn top_shows_the_fullest_queues_and_ends_when_it_has_shown_enough() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("empty"), declare_ok("empty", 0, 0));
    client.call(1, declare("full"), declare_ok("full", 0, 0));
    client.publish(1, "", "full", "x");
    client.sync(1);
    let ran = run("top", &broker.data_dir(), &["--count", "1", "--rows", "1"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].ends_with(", healthy"), "{ran:?}");
    assert!(lines[1].starts_with("connections 1  channels 1  queues 2  consumers 0  ready 1  "), "{ran:?}");
    assert_eq!(
        lines.last().map(|line| line.split_whitespace().collect()),
        Some(vec!["1", "0", "-", "0", "full"])
    );
    let ran = run("top", &broker.data_dir(), &["-p", "/nowhere"], "");
    assert!(ran.code == 1 && ran.err.contains("there is no vhost '/nowhere'"), "{ran:?}");
}

#[test]
fn health_warns_of_a_full_disk_and_is_red_when_nothing_can_be_written_any_more() {
    // Files may grow to 512 KiB; the signal would kill the broker.
    let http = "export WARREN_MANAGEMENT_LISTEN=127.0.0.1:0";
    let mut broker = Broker::start_in_shell(&format!("trap '' XFSZ; ulimit -f 1024; {http}"));
    let http = broker.management_address();
    let mut client = broker.connect();
    client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
    // No segment of the message log can be made: to the broker the disk is full.
    client.publish_persistent(1, "", "q", "one");
    eventually("health warns", || broker.ctl(&["health"]).err.contains("publishers are held: low on disk"));
    assert_eq!(broker.ctl(&["health"]).code, 0, "it ends by itself");
    let health = ask(http, "GET /health", "");
    assert_eq!(health.status, 200);
    assert!(health.body.contains("publishers are held: low on disk"), "{}", health.body);
    assert_eq!(broker.json(&["status"])["healthy"], true);
    // The definitions grow until they hit the limit too, which is for good.
    let mut declares = broker.connect();
    let name = |number: usize| format!("{number}-{}", "x".repeat(200));
    let answered = (0..10_000).take_while(|&number| {
        declares.send(1, declare_durable(&name(number)));
        matches!(declares.next(), (1, Received::Method(_)))
    });
    assert!(answered.count() < 10_000, "the broker promises what it cannot write");
    eventually("health is red", || broker.ctl(&["health"]).code == 1);
    let error = broker.refused(&["health"]);
    assert!(error.contains("the definitions cannot be written any more"), "{error}");
    assert_eq!(broker.json(&["status"])["healthy"], false);
    let health = ask(http, "GET /health", "");
    assert_eq!(health.status, 503);
    assert!(health.body.contains("the definitions cannot be written any more"), "{}", health.body);
    assert!(ask(http, "GET /metrics", "").body.lines().any(|line| line == "warren_healthy 0"));
}

#[test]
fn the_socket_is_for_the_owner_and_goes_with_the_broker() {
    let mut broker = Broker::start();
    let socket = broker.data_dir().join("control.sock");
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    broker.kill9();
    let ran = broker.ctl(&["status"]);
    assert!(ran.code == 69 && ran.err.contains("ended without saying goodbye"), "{ran:?}");
    // The next one takes the place of the dead one's.
    broker.kill9_and_start_again();
    broker.ok(&["status"]);
}

#[test]
fn a_request_that_makes_no_sense_is_answered_and_costs_little() {
    let broker = Broker::start();
    let ask = |request: &[u8]| {
        let mut socket = UnixStream::connect(broker.data_dir().join("control.sock")).unwrap();
        // What is too long is not read to its end.
        let _ = socket.write_all(request);
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    };
    let unknown = ask(b"{\"version\":\"9\",\"vhost\":\"/\",\"request\":{\"fly\":1}}\n");
    assert!(unknown.contains("does not understand the request: unknown variant `fly`"), "{unknown}");
    assert!(unknown.contains("`broker ctl` of the same version"), "{unknown}");
    assert!(ask(b"garbage\n").contains("does not understand the request"));
    assert!(ask(b"{").contains("the request was cut off"));
    let long = ask(&vec![b'x'; (1 << 20) + 1]);
    assert!(long.contains("larger than 1048576 bytes"), "{long}");
    broker.ok(&["status"]);
}

#[test]
fn without_a_broker_the_error_says_where_it_looked() {
    let folder = tempfile::TempDir::new().unwrap();
    let ran = ctl(folder.path(), &["list_queues"], "");
    assert!(ran.code == 69 && ran.err.contains("no broker runs on this data folder"), "{ran:?}");
    assert!(ran.err.contains(&folder.path().join("control.sock").display().to_string()), "{ran:?}");
    let ran = ctl(&folder.path().join("nowhere"), &["list_queues"], "");
    assert!(ran.code == 69 && ran.err.contains("there is no such data folder"), "{ran:?}");
    let ran = ctl(&folder.path().join("long".repeat(30)), &["list_queues"], "");
    assert!(ran.code == 69 && ran.err.contains("--data-dir"), "{ran:?}");
    assert_eq!(ctl(folder.path(), &["list_quues"], "").code, 2);
}

#[test]
fn warnings_are_also_messages() {
    let broker = Broker::start();
    let mut reader = broker.connect();
    reader.call(1, declare("log"), declare_ok("log", 0, 0));
    reader.call(1, bind("log", "amq.rabbitmq.log", "warning"), queue::BindOk);
    reader.call(1, consume_no_ack("log", "reader"), consume_ok("reader"));
    let mut client = broker.connect();
    client.call(1, declare_with("q", [("x-max-lenght", 5.into())]), declare_ok("q", 0, 0));
    let line = reader.delivery(1);
    assert!(
        line.text().contains("declared with arguments that have no effect here: x-max-lenght"),
        "{line:?}"
    );
    let arguments = [("x-prioritty", 5), ("x-priority", 1)].into();
    client.call(1, basic::Consume { arguments, ..consume("q", "c") }, consume_ok("c"));
    let line = reader.delivery(1);
    assert!(
        line.text().contains("consumed with arguments that have no effect here: x-prioritty"),
        "{line:?}"
    );
    assert!(line.text().contains("user=\"guest\""), "{line:?}");
}

#[test]
fn whoever_declares_with_such_arguments_again_and_again_writes_so_many_lines() {
    let broker = Broker::with("WARREN_LIMITS_CLIENT_LOG_LINES_PER_MINUTE_MAX", "3");
    let mut reader = broker.connect();
    reader.call(1, declare("log"), declare_ok("log", 0, 0));
    reader.call(1, bind("log", "amq.rabbitmq.log", "warning"), queue::BindOk);
    reader.call(1, consume_no_ack("log", "reader"), consume_ok("reader"));
    let mut client = broker.connect();
    for number in 0..10 {
        let name = number.to_string();
        client.call(1, declare_with(&name, [("x-max-lenght", 5.into())]), declare_ok(&name, 0, 0));
        let mut exchange = declare_exchange(&name, "fanout");
        exchange.arguments.insert("alternative-exchange", "x");
        client.call(1, exchange, exchange::DeclareOk);
    }
    // The next one that no client is the cause of.
    broker.ok(&["set_vm_memory_high_watermark", "absolute", "0"]);
    let lines = std::iter::from_fn(|| Some(reader.delivery(1).text().to_owned()));
    let before: Vec<_> = lines.take_while(|line| !line.contains("publishers are held")).collect();
    assert_eq!(before.iter().filter(|line| line.contains("have no effect here")).count(), 3, "{before:?}");
}
