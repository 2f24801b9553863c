//! The PROXY protocol: connections count as those of the proxy's clients.

use std::io::Write;
use std::net::TcpStream;

use broker::config::Config;

use crate::harness::*;

fn behind_a_proxy(config: &mut Config) {
    config.proxy_protocol = config.listen.clone();
    config.limits.handshake_timeout_s = 1;
}

fn dial(broker: &TestBroker, header: &[u8]) -> Client {
    let mut socket = TcpStream::connect(broker.addr()).unwrap();
    socket.write_all(header).unwrap();
    Client::on(socket)
}

/// Version 2: `command` 1 for a client at 192.0.2.7:50000, 0 for the proxy itself.
fn version_2(command: u8, extensions: &[u8]) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 192, 0, 2, 1, 0xC3, 0x50, 0x16, 0x28];
    let len = ((addresses.len() + extensions.len()) as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, 0x11], &len, &addresses, extensions].concat()
}

#[test]
fn the_address_is_the_one_that_the_proxy_says() {
    let broker = TestBroker::with(behind_a_proxy);
    // guest may come from this machine only.
    let tls_before_the_proxy = [0x20, 0, 5, 1, 0, 0, 0, 0];
    let mut client = dial(&broker, &version_2(1, &tls_before_the_proxy));
    client.log_in(&Login::default());
    client.expect_connection_error(403, "ACCESS_REFUSED - Login was refused");
    broker.add_user("alice", FULL);
    let mut client = dial(&broker, &version_2(1, &tls_before_the_proxy));
    client.finish_opening(&Login { user: "alice", password: "alice", ..Login::default() });

    for of_this_machine in [
        &b"PROXY TCP4 127.0.0.1 127.0.0.1 50000 5672\r\n"[..],
        b"PROXY TCP6 ::1 ::1 50000 5672\r\n",
        b"PROXY UNKNOWN\r\n",
        &version_2(0, &[]),
    ] {
        let mut client = dial(&broker, of_this_machine);
        client.finish_opening(&Login::default());
        client.close();
    }
}

#[test]
fn the_header_may_come_in_pieces() {
    let broker = TestBroker::with(behind_a_proxy);
    for header in [&b"PROXY TCP4 127.0.0.1 127.0.0.1 50000 5672\r\n"[..], &version_2(0, &[])] {
        let mut socket = TcpStream::connect(broker.addr()).unwrap();
        socket.set_nodelay(true).unwrap();
        for octet in header {
            socket.write_all(&[*octet]).unwrap();
        }
        let mut client = Client::on(socket);
        client.finish_opening(&Login::default());
        client.close();
    }
}

#[test]
fn without_the_header_nothing_is_spoken() {
    let broker = TestBroker::with(behind_a_proxy);
    for start in [PROTOCOL_HEADER, b"PROXY TCP4 here there 1 2\r\n", b"PROXY TCP4 127.0.0.1", b""] {
        dial(&broker, start).expect_end();
    }
}
