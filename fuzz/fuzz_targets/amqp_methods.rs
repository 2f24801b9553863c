//! The payload of a method frame: what is decoded is written as something that decodes to the same, and the
//! hand-written forms of the hot path agree with the table.
#![no_main]

use broker::amqp::{Method, decode_ack, decode_publish};
use libfuzzer_sys::fuzz_target;

fn encode(method: &Method) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(&mut out);
    out
}

fuzz_target!(|payload: &[u8]| {
    let decoded = Method::decode(payload);
    match &decoded {
        Ok(Method::BasicPublish(publish)) => {
            let fast = decode_publish(payload).expect("the table takes it");
            assert_eq!(
                (fast.exchange, fast.routing_key, fast.mandatory, fast.immediate),
                (publish.exchange.as_bytes(), publish.routing_key.as_bytes(), publish.mandatory, publish.immediate)
            );
        }
        Ok(Method::BasicAck(ack)) => {
            assert_eq!(decode_ack(payload).expect("the table takes it"), (ack.delivery_tag, ack.multiple));
        }
        Err(_) if payload.starts_with(&[0, 60, 0, 40]) => assert!(decode_publish(payload).is_err()),
        Err(_) if payload.starts_with(&[0, 60, 0, 80]) => assert!(decode_ack(payload).is_err()),
        _ => {}
    }
    let Ok(method) = decoded else { return };
    let written = encode(&method);
    let again = Method::decode(&written).expect("what we write can be read");
    // As bytes: a NaN in a table is not equal to itself.
    assert_eq!(encode(&again), written);
});
