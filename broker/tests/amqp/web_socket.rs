//! AMQP over WebSockets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use broker::config::{Config, Protocol};
use tungstenite::{Bytes, Error, Message};

use crate::harness::*;

fn with_web_sockets(config: &mut Config) {
    config.listen_ws = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
}

fn ask(broker: &TestBroker, headers: &[(&'static str, &str)]) -> Result<Option<String>, (u16, String)> {
    let socket = TcpStream::connect(broker.addr_of(Protocol::Ws)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    match try_web_socket(socket, headers) {
        Ok((_, response)) => {
            let chosen = response.headers().get("sec-websocket-protocol");
            Ok(chosen.map(|value| value.to_str().unwrap().to_owned()))
        }
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            Err((response.status().as_u16(), String::from_utf8(body).unwrap()))
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn amqp_is_spoken_in_binary_messages() {
    let broker = TestBroker::with(with_web_sockets);
    let mut client = Client::on(web_socket(broker.addr_of(Protocol::Ws)));
    client.finish_opening(&Login::default());
    client.open_channel(1);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let large = "x".repeat(500_000);
    for text in ["small", &large, "small again"] {
        client.publish(1, "", "q", text);
        assert_eq!(client.fetch(1, "q").text(), text);
    }
    client.close();
}

#[test]
fn and_over_tls() {
    let authority = Authority::default();
    let server = authority.sign("server", &["localhost"]);
    let broker = TestBroker::with(|config| {
        tls_listener(config, &server);
        config.listen_wss = std::mem::take(&mut config.listen_tls);
    });
    let socket = tls_socket(broker.addr_of(Protocol::Wss), "localhost", authority.client_config(None));
    socket.tcp().set_read_timeout(Some(PATIENCE)).unwrap();
    let mut client = Client::on(try_web_socket(socket, &[]).unwrap().0);
    client.finish_opening(&Login::default());
    client.open_channel(1);
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let large = "x".repeat(500_000);
    client.publish(1, "", "q", &large);
    assert_eq!(client.fetch(1, "q").text(), large);
    client.close();
}

#[test]
fn where_a_message_ends_means_nothing() {
    let broker = TestBroker::with(with_web_sockets);
    let mut socket = web_socket(broker.addr_of(Protocol::Ws));
    let mut bytes = PROTOCOL_HEADER.to_vec();
    bytes.extend(encode(0, Login::default().start_ok()));
    for octet in &bytes {
        socket.write_all(&[*octet]).unwrap();
    }
    let mut start = [0; 11];
    socket.read_exact(&mut start).unwrap();
    assert_eq!(start[7..], [0, 10, 0, 10], "connection.start");
}

#[test]
fn pings_are_answered_also_before_anything_else_is_said() {
    let broker = TestBroker::with(with_web_sockets);
    let mut client = web_socket(broker.addr_of(Protocol::Ws));
    client.socket.send(Message::Ping(Bytes::from_static(b"are you there"))).unwrap();
    assert_eq!(client.socket.read().unwrap(), Message::Pong(Bytes::from_static(b"are you there")));
}

#[test]
fn the_subprotocol_is_amqp_or_none() {
    let broker = TestBroker::with(with_web_sockets);
    assert_eq!(ask(&broker, &[]), Ok(None));
    assert_eq!(ask(&broker, &[("sec-websocket-protocol", "amqp")]), Ok(Some("amqp".into())));
    let (status, text) = ask(&broker, &[("sec-websocket-protocol", "mqtt")]).unwrap_err();
    assert_eq!(status, 400);
    assert!(text.contains("has to be 'amqp'"), "{text}");
}

#[test]
fn pages_of_other_sites_have_to_be_listed() {
    let origin = |origin| [("origin", origin)];
    let broker = TestBroker::with(with_web_sockets);
    assert_eq!(ask(&broker, &origin("http://localhost:3000")), Ok(None));
    let (status, text) = ask(&broker, &origin("https://evil.example")).unwrap_err();
    assert_eq!(status, 403);
    assert!(text.contains("websocket.origins"), "{text}");
    let broker = TestBroker::with(|config| {
        with_web_sockets(config);
        config.websocket.origins = vec!["https://chat.example".into()];
    });
    assert_eq!(ask(&broker, &origin("https://chat.example")), Ok(None));
    assert!(ask(&broker, &origin("https://evil.example")).is_err());
}

#[test]
fn what_is_not_amqp_over_web_socket_is_closed() {
    let broker = TestBroker::with(|config| {
        with_web_sockets(config);
        config.limits.handshake_timeout_s = 1;
        config.websocket.message_bytes_max = config.limits.frame_max as usize;
    });
    let addr = broker.addr_of(Protocol::Ws);
    for request in [PROTOCOL_HEADER, b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"GET / HT", b""]
    {
        let mut socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.write_all(request).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    }
    let mut text = web_socket(addr);
    text.socket.send(Message::text("AMQP")).unwrap();
    assert_eq!(text.read(&mut [0; 8]).unwrap_or(0), 0, "a text message");

    let mut client = Client::on(web_socket(addr));
    client.finish_opening(&Login::default());
    assert!(
        !client.try_send_bytes(&vec![0; 200_000]) || client.next_if_any().is_none(),
        "a message that is too large"
    );
}
