//! Every reply code of AMQP 0-9-1 is raised: each by the plainest mistake that leads to it, on a broker of its own.
//!
//! Two are not:
//!
//! - 200 REPLY_SUCCESS is no complaint. Whoever closes in order says it; here that is the client, and the broker answers
//!   with close-ok, which has no code.
//! - 402 INVALID_PATH was for a client that "tried to work with an unknown virtual host". RabbitMQ says 530 instead,
//!   clients know it by that, and so does this broker.

use broker::amqp::{BasicProperties, FieldValue, ReplyCode, basic, confirm, connection, exchange, queue};
use broker::store::sim::{Disk, Faults};

use crate::harness::*;
use crate::version_0_8;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;

#[test]
fn every_code_is_raised_by_something() {
    for reply in ReplyCode::ALL {
        raise(reply);
    }
}

/// Makes the mistake and insists on the code. A new code does not compile until it is raised here.
fn raise(reply: ReplyCode) {
    let broker = TestBroker::start();
    let mut client = broker.connect_with_channel();
    client.call(1, declare("q"), declare_ok("q", 0, 0));
    let (code, name) = (reply.code(), reply.name());
    match reply {
        ReplyCode::Success => client.close(),
        ReplyCode::ContentTooLarge => {
            let broker = TestBroker::with(|config| {
                config.limits.message_bytes_max = 1000;
                config.limits.pending_bytes_max = 1000;
            });
            let mut client = broker.connect_with_channel();
            client.open_channel(2);
            for channel in [1, 2] {
                client.send(channel, publish("", "q"));
                client.send_frame(HEADER, channel, &content_header(1000));
                client.send_frame(BODY, channel, &[0; 600]);
            }
            client.expect_channel_error(2, code, name);
        }
        ReplyCode::NoRoute => {
            client.send_content(1, publish_mandatory("", "nowhere"), &BasicProperties::default(), b"lost");
            client.expect_returned(1, code, "lost");
        }
        ReplyCode::NoConsumers => {
            let immediate = basic::Publish { immediate: true, ..publish("", "q") };
            client.send_content(1, immediate, &BasicProperties::default(), b"later");
            client.expect_returned(1, code, "later");
        }
        ReplyCode::ConnectionForced => {
            let stopping = broker.stop_in_background();
            client.expect_connection_error(code, name);
            stopping.join().unwrap();
        }
        // Of an unknown virtual host 530 tells.
        ReplyCode::InvalidPath => {
            let mut client = Client::dial(broker.addr());
            client.log_in(&Login::default());
            client.tune(0, 0, 0);
            client.send(0, connection::Open { virtual_host: "nosuch".into() });
            client.expect_connection_error(ReplyCode::NotAllowed.code(), "NOT_ALLOWED");
        }
        ReplyCode::AccessRefused => client.refused(1, declare("amq.mine"), code, name),
        ReplyCode::NotFound => client.refused(1, declare_passive("nosuch"), code, name),
        ReplyCode::ResourceLocked => {
            let exclusive = queue::Declare { exclusive: true, ..declare("mine") };
            client.call(1, exclusive, declare_ok("mine", 0, 0));
            broker.connect_with_channel().refused(1, declare_passive("mine"), code, name);
        }
        ReplyCode::PreconditionFailed => {
            client.send(1, ack(7));
            client.expect_channel_error(1, code, name);
        }
        ReplyCode::FrameError => {
            client.send_bytes(&[METHOD, 0, 1, 0, 0, 0, 0, 0]);
            client.expect_connection_error(code, name);
        }
        ReplyCode::SyntaxError => {
            client.send(1, publish("", "q"));
            // A content-type is announced, and not there.
            let mut cut_short = content_header(0);
            cut_short[12..].copy_from_slice(&[0x80, 0]);
            client.send_frame(HEADER, 1, &cut_short);
            client.expect_connection_error(code, name);
        }
        ReplyCode::CommandInvalid => {
            client.send(1, exchange::Declare { kind: "nosuch".into(), ..declare_exchange("x", "") });
            client.expect_connection_error(code, name);
        }
        ReplyCode::ChannelError => {
            client.send(7, declare("q"));
            client.expect_connection_error(code, name);
        }
        ReplyCode::UnexpectedFrame => {
            client.send_frame(BODY, 1, b"of nothing");
            client.expect_connection_error(code, name);
        }
        ReplyCode::ResourceError => {
            // Properties cannot be cut into frames.
            let large = [("large", FieldValue::from("x".repeat(5000)))].into();
            let properties = BasicProperties { headers: Some(large), ..Default::default() };
            client.send_content(1, publish("", "q"), &properties, b"");
            client.sync(1);
            let mut small = Client::open(broker.addr(), &Login { frame_max: 4096, ..Login::default() });
            small.open_channel(1);
            small.send(1, get("q"));
            small.expect_connection_error(code, name);
        }
        ReplyCode::NotAllowed => {
            client.call(1, consume("q", "c"), consume_ok("c"));
            client.send(1, consume("q", "c"));
            client.expect_connection_error(code, name);
        }
        // What 0-9-1 has is all here; 0-8 had classes that nobody ever implemented.
        ReplyCode::NotImplemented => assert_eq!(version_0_8::code_for_class_file(&broker), code),
        ReplyCode::InternalError => {
            let disk = Disk::new(7, 64 << 20);
            let broker = TestBroker::on_disk(&disk, |_| ());
            let mut client = broker.connect_with_channel();
            client.call(1, declare_durable("q"), declare_ok("q", 0, 0));
            client.call(1, confirm::Select::default(), confirm::SelectOk);
            disk.set_faults(Faults { failed_sync: 1000, ..Faults::default() });
            client.publish_persistent(1, "", "q", "in vain");
            client.expect_channel_error(1, code, name);
        }
    }
}

/// Of class basic, with a body of this size and no properties.
fn content_header(size: u64) -> Vec<u8> {
    [&60_u16.to_be_bytes()[..], &[0, 0], &size.to_be_bytes(), &[0, 0]].concat()
}
