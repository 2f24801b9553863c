//! The broker itself: whether it is there, its end, and what is changed until then.

use broker::amqp::{Method, connection, queue};

use crate::harness::*;
use crate::process::{Broker, ctl};

#[test]
fn it_is_waited_for_until_it_answers() {
    let mut broker = Broker::start();
    let ran = broker.ctl(&["ping"]);
    assert!(ran.code == 0 && ran.err.contains("Ping succeeded"), "{ran:?}");
    broker.kill9();
    assert_eq!(broker.ctl(&["ping"]).code, 69);
    let ran = broker.ctl(&["--timeout", "0", "await_startup"]);
    assert!(ran.code == 69 && ran.err.contains("no broker runs on this data folder"), "{ran:?}");
    let data_dir = broker.data_dir();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ctl(&data_dir, &["await_startup"], ""));
        broker.start_again();
        let ran = waiting.join().unwrap();
        assert_eq!(ran.code, 0, "{ran:?}");
    });
    broker.ok(&["await_startup"]);
}

#[test]
fn the_version_is_told_without_a_broker() {
    let folder = tempfile::TempDir::new().unwrap();
    let ran = ctl(&folder.path().join("nowhere"), &["version"], "");
    assert_eq!((ran.code, ran.out.trim()), (0, env!("CARGO_PKG_VERSION")));
}

#[test]
fn it_is_stopped_in_good_order_and_waited_for() {
    for command in ["stop", "shutdown"] {
        let mut broker = Broker::start();
        let mut client = broker.connect();
        client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
        client.publish_persistent(1, "", "q", "kept");
        client.sync(1);
        std::thread::scope(|scope| {
            let stopping = scope.spawn(|| broker.ctl(&[command]));
            client.expect_connection_error(320, "CONNECTION_FORCED");
            let ran = stopping.join().unwrap();
            assert_eq!(ran.code, 0, "{ran:?}");
        });
        assert!(broker.ended_well());
        let ran = broker.ctl(&["ping"]);
        assert!(ran.code == 69 && ran.err.contains("no broker runs on this data folder. "), "{ran:?}");
        broker.start_again();
        assert_eq!(broker.rows(&["list_queues"]), ["q\t1"]);
    }
}

#[test]
fn publishers_are_held_at_the_word_of_an_operator() {
    let broker = Broker::start();
    let mut client = broker.connect();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    for (hold, reason, release) in [
        (
            &["set_vm_memory_high_watermark", "0"][..],
            "low on memory",
            &["set_vm_memory_high_watermark", "0.4"][..],
        ),
        (&["set_disk_free_limit", "1000TB"], "low on disk", &["set_disk_free_limit", "0"]),
    ] {
        let ran = broker.ctl(hold);
        assert!(ran.code == 0 && ran.err.contains("publishers are held "), "{ran:?}");
        eventually("health says so", || broker.ctl(&["health"]).err.contains(reason));
        client.publish(1, "", "q", "waits");
        assert_eq!(
            client.method(0),
            Method::ConnectionBlocked(connection::Blocked { reason: reason.into() })
        );
        broker.ok(release);
        assert_eq!(client.method(0), Method::ConnectionUnblocked(connection::Unblocked));
        client.sync(1);
    }
    broker.ok(&["set_vm_memory_high_watermark", "absolute", "1GB"]);
    broker.ok(&["set_disk_free_limit", "3MB"]);
    let status = broker.json(&["status"]);
    assert_eq!(status["memory_bytes_high_watermark"], 1_000_000_000);
    assert_eq!(status["disk_free_min_bytes"], 3_000_000);
    assert!(broker.refused(&["set_vm_memory_high_watermark", "-1"]).contains("'-1' is no share"));
    assert!(broker.refused(&["set_disk_free_limit", "much"]).contains("'much' is no size"));
}

#[test]
fn more_is_logged_at_the_word_of_an_operator() {
    let broker = Broker::start();
    let mut reader = broker.connect();
    reader.call(1, declare("log"), declare_ok("log", 0, 0));
    reader.call(1, bind("log", "amq.rabbitmq.log", "info"), queue::BindOk);
    reader.call(1, consume_no_ack("log", "reader"), consume_ok("reader"));
    // Logged as information, which is not: the tests' broker logs warnings.
    broker.ok(&["add_vhost", "/unheard"]);
    broker.ok(&["set_log_level", "info"]);
    assert!(reader.delivery(1).text().contains("log level set to info by an operator"));
    broker.ok(&["add_vhost", "/heard"]);
    assert!(reader.delivery(1).text().contains("vhost '/heard' added by an operator"));
    broker.ok(&["set_log_level", "warning"]);
    broker.ok(&["add_vhost", "/unheard-too"]);
    broker.ok(&["set_log_level", "info"]);
    assert!(reader.delivery(1).text().contains("log level set to info by an operator"));
    assert!(broker.refused(&["set_log_level", "loud"]).contains("there is no level 'loud'"));
}

#[test]
fn what_rabbitmqctl_has_and_this_has_not_is_explained() {
    let folder = tempfile::TempDir::new().unwrap();
    for (command, why) in [
        ("cluster_status", "there is no cluster_status: a broker is one process"),
        ("stop_app", "`stop` ends it"),
        ("list_feature_flags", "every feature is always on"),
    ] {
        let ran = ctl(folder.path(), &[command], "");
        assert!(ran.code == 2 && ran.err.contains(why), "{ran:?}");
    }
    let ran = ctl(folder.path(), &["list_quues"], "");
    assert!(ran.code == 2 && ran.err.contains("list_queues"), "{ran:?}");
}
