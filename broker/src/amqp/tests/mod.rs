//! What the codec promises, and the generators the promises are tried with.

mod arguments;
mod content;
mod frames;
mod golden;
mod methods;
mod properties;
mod published;
mod tables;
mod texts;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{FieldTable, FieldValue, Method};

/// Text that fits a short string, also with characters of several octets.
fn short_text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![
        8 => "[a-z.é漢-]{0,40}",
        1 => "[a-z]{255}",
    ]
    .prop_map(Box::from)
}

fn octets() -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..40).prop_map(Box::from)
}

fn scalar() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<bool>().prop_map(FieldValue::Boolean),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        any::<f32>().prop_map(FieldValue::F32),
        any::<f64>().prop_map(FieldValue::F64),
        (any::<u8>(), any::<u32>()).prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        octets().prop_map(FieldValue::LongString),
        octets().prop_map(FieldValue::ByteArray),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
    ]
}

fn value() -> impl Strategy<Value = FieldValue> {
    scalar().prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(FieldValue::Array),
            vec((short_text(), inner), 0..6).prop_map(|fields| FieldValue::Table(FieldTable(fields))),
        ]
    })
}

fn table() -> impl Strategy<Value = FieldTable> {
    vec((short_text(), value()), 0..6).prop_map(FieldTable)
}

/// Octets that resemble a valid table or property list: mostly the letters of type tags and small lengths, so
/// that decoding gets far before it fails, if it does.
fn table_like_octets() -> impl Strategy<Value = Vec<u8>> {
    let octet = prop_oneof![
        3 => Just(0),
        2 => 0..8u8,
        2 => proptest::sample::select(&b"StTbBsuIilLfdDxAFV"[..]),
        1 => any::<u8>(),
    ];
    vec(octet, 0..80)
}

fn payload_of(method: impl Into<Method>) -> Vec<u8> {
    let mut payload = Vec::new();
    method.into().encode(&mut payload);
    payload
}
