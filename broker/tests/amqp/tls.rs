//! AMQP over TLS, client certificates, and who may send a password.

use std::io::{Read, Write};
use std::net::TcpStream;

use broker::amqp::{BasicProperties, connection};
use broker::config::{ClientCertificates, Protocol};

use crate::harness::*;

fn external(identity: &str) -> connection::StartOk {
    connection::StartOk {
        mechanism: "EXTERNAL".into(),
        response: identity.as_bytes().into(),
        ..Login::default().start_ok()
    }
}

/// The mechanisms offered.
fn start(client: &mut Client) -> String {
    client.send_bytes(PROTOCOL_HEADER);
    String::from_utf8(client.expect_start().mechanisms.to_vec()).unwrap()
}

fn open(client: &mut Client) {
    client.tune(0, 0, 0);
    client.call(0, connection::Open { virtual_host: "/".into() }, connection::OpenOk);
    client.open_channel(1);
}

#[test]
fn everything_works_by_tls_too() {
    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| tls_listener(config, &server));
    let mut client = broker.connect_by_tls(&authority);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let large = "x".repeat(3_000_000);
    for text in ["small", &large, "small again"] {
        client.publish(1, "", "q", text);
        assert_eq!(client.fetch(1, "q").text(), text);
    }
    client.close();
}

#[test]
fn a_slow_reader_by_tls_gets_everything() {
    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| {
        tls_listener(config, &server);
        config.limits.outbox_bytes_max = 1 << 17;
    });
    let mut slow = broker.connect_by_tls(&authority);
    slow.call(1, declare("q"), declare_ok("q", 0, 0));
    slow.call(1, consume_no_ack("q", "slow"), consume_ok("slow"));
    let mut other = broker.connect_by_tls(&authority);
    let body = "x".repeat(20_000);
    // More than the sockets and the outbox hold.
    for _ in 0..1000 {
        other.publish(1, "", "q", &body);
    }
    other.call(1, declare("other"), declare_ok("other", 0, 0));
    for n in 0..1000 {
        assert_eq!(slow.delivery(1).text().len(), body.len(), "message {n}");
    }
    other.close();
    slow.close();
}

#[test]
fn the_name_asked_for_decides_on_the_certificate() {
    let authority = Authority::default();
    let [first, second] = [("first", "one.example"), ("second", "*.two.example")]
        .map(|(name, host)| authority.sign(name, &[host]));
    let broker = TestBroker::with(|config| {
        tls_listener(config, &first);
        config.tls.certificates.push(second.certificate.clone());
        config.tls.keys.push(second.key.clone());
    });
    let addr = broker.addr_of(Protocol::Amqps);
    for (name, expected) in [("one.example", &first), ("chat.two.example", &second)] {
        let mut socket = tls_socket(addr, name, authority.client_config(None));
        socket.write_all(PROTOCOL_HEADER).unwrap();
        socket.read_exact(&mut [0; 7]).unwrap();
        assert_eq!(&*socket.conn.peer_certificates().unwrap()[0], expected.der(), "{name}");
    }
    let mut stranger = tls_socket(addr, "three.example", authority.client_config(None));
    let error = stranger.write_all(PROTOCOL_HEADER).and_then(|()| stranger.read_exact(&mut [0; 7]));
    assert!(error.unwrap_err().to_string().contains("not valid for name"), "the first is shown");
}

#[test]
fn a_certificate_is_a_login() {
    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| {
        tls_listener(config, &server);
        config.tls.client_ca = authority.file();
    });
    broker.add_user("alice", FULL);
    let addr = broker.addr_of(Protocol::Amqps);
    let dial = |identity: Option<&Identity>| {
        Client::on(tls_socket(addr, "localhost", authority.client_config(identity)))
    };

    let alice = authority.sign("alice", &[]);
    let mut client = dial(Some(&alice));
    assert_eq!(start(&mut client), "PLAIN AMQPLAIN EXTERNAL");
    client.send(0, external(""));
    open(&mut client);
    // It is alice: the broker checks the user-id of what she publishes.
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    client.send_content(
        1,
        publish("", "q"),
        &BasicProperties { user_id: Some("alice".into()), ..Default::default() },
        b"hello",
    );
    assert_eq!(client.fetch(1, "q").text(), "hello");
    client.close();

    // AMQPStorm names nobody, in its own way.
    for identity in ["alice", "\0\0"] {
        let mut client = dial(Some(&alice));
        start(&mut client);
        client.send(0, external(identity));
        open(&mut client);
    }

    for (identity, wish, why) in [
        (&alice, "bob", "acting for others is not supported"),
        (&alice, "\0bob", "acting for others is not supported"),
        (&authority.sign("nobody", &[]), "", "Login was refused using authentication mechanism EXTERNAL"),
    ] {
        let mut client = dial(Some(identity));
        start(&mut client);
        client.send(0, external(wish));
        let close = client.expect_connection_error(403, "ACCESS_REFUSED - ");
        assert!(close.reply_text.contains(why), "{}", close.reply_text);
    }

    let mut client = dial(None);
    assert_eq!(start(&mut client), "PLAIN AMQPLAIN");
    client.send(0, external(""));
    client.expect_connection_error(403, "ACCESS_REFUSED - unknown authentication mechanism 'EXTERNAL'");
}

#[test]
fn a_certificate_may_be_required_and_has_to_be_of_the_authority() {
    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| {
        tls_listener(config, &server);
        config.tls.client_ca = authority.file();
        config.tls.client_certificates = ClientCertificates::Required;
    });
    let addr = broker.addr_of(Protocol::Amqps);
    let attempt = |identity: Option<&Identity>| {
        let mut socket = tls_socket(addr, "localhost", authority.client_config(identity));
        socket.write_all(PROTOCOL_HEADER).and_then(|()| socket.read_exact(&mut [0; 7]))
    };
    assert!(attempt(Some(&authority.sign("alice", &[]))).is_ok());
    let error = attempt(None).unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    let error = attempt(Some(&Authority::default().sign("alice", &[]))).unwrap_err().to_string();
    assert!(error.contains("UnknownCA") || error.contains("DecryptError"), "{error}");
}

#[test]
fn certificates_are_read_again_on_demand() {
    let authority = Authority::default();
    let old = authority.sign("old", &["localhost"]);
    let broker = TestBroker::with(|config| tls_listener(config, &old));
    let mut open_before = broker.connect_by_tls(&authority);
    let shown = || {
        let addr = broker.addr_of(Protocol::Amqps);
        let mut socket = tls_socket(addr, "localhost", authority.client_config(None));
        socket.write_all(PROTOCOL_HEADER).unwrap();
        socket.read_exact(&mut [0; 7]).unwrap();
        socket.conn.peer_certificates().unwrap()[0].to_vec()
    };
    assert_eq!(shown(), old.der());

    let new = authority.sign("new", &["localhost"]);
    std::fs::copy(&new.certificate, &old.certificate).unwrap();
    let error = broker.broker().reload_certificates().unwrap_err().to_string();
    assert!(error.contains("does not belong to the certificate"), "{error}");
    assert_eq!(shown(), old.der(), "half of a change changes nothing");

    std::fs::copy(&new.key, &old.key).unwrap();
    assert!(broker.broker().reload_certificates().unwrap());
    assert_eq!(shown(), new.der());
    open_before.call(1, declare("q"), declare_ok("q", 0, 0));
}

#[test]
fn what_is_not_tls_is_closed_and_nobody_else_notices() {
    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| {
        tls_listener(config, &server);
        config.limits.handshake_timeout_s = 1;
    });
    let addr = broker.addr_of(Protocol::Amqps);
    let mut honest = broker.connect_by_tls(&authority);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0xFF, 0xFF, 1, 2, 3], &[0xFF; 2000], b""] {
        let mut socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(garbage).unwrap();
        // An alert at most, then the end; silence ends with the time for handshakes.
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.len() <= 7, "{answer:?}");
    }
    honest.call(1, declare("q"), declare_ok("q", 0, 0));
}

#[test]
fn who_speaks_plain_amqp_to_a_port_for_tls_is_told_so() {
    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| tls_listener(config, &server));
    let mut client = Client::dial(broker.addr_of(Protocol::Amqps));
    client.send_bytes(PROTOCOL_HEADER);
    // Before the client has sent its password.
    client
        .expect_connection_error(501, "FRAME_ERROR - this port is for TLS, and the client speaks plain AMQP");
}

/// A proxy on this machine lets a connection come from anywhere.
fn dial_from_afar(broker: &TestBroker) -> TcpStream {
    let mut socket = TcpStream::connect(broker.addr()).unwrap();
    socket.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 5672\r\n").unwrap();
    socket
}

#[test]
fn passwords_from_afar_need_tls() {
    let expect_proxy = |config: &mut broker::config::Config| config.proxy_protocol = config.listen.clone();
    let broker = TestBroker::with(expect_proxy);
    let mut client = Client::on(dial_from_afar(&broker));
    client.send_bytes(PROTOCOL_HEADER);
    // Before the client has sent its password.
    client.expect_connection_error(
        403,
        "ACCESS_REFUSED - without TLS, logins are taken from this machine only",
    );

    let broker = TestBroker::with(|config| {
        expect_proxy(config);
        config.auth.plain_without_tls = broker::auth::PlainWithoutTls::All;
    });
    broker.add_user("alice", FULL);
    let mut client = Client::on(dial_from_afar(&broker));
    client.finish_opening(&Login { user: "alice", password: "alice", ..Login::default() });

    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| {
        expect_proxy(config);
        tls_listener(config, &server);
    });
    broker.add_user("alice", FULL);
    let socket = tls_over(dial_from_afar(&broker), "localhost", authority.client_config(None));
    let mut client = Client::on(socket);
    client.finish_opening(&Login { user: "alice", password: "alice", ..Login::default() });
}
