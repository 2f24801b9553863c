use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{short_text, table, table_like_octets};
use crate::amqp::{
    BasicProperties, DecodeError, FieldTable, Properties, Property, Reader, TableView, decode_table,
};

fn properties() -> impl Strategy<Value = BasicProperties> {
    let text = || option::of(short_text());
    (
        (text(), text(), option::of(table()), any::<Option<u8>>(), any::<Option<u8>>()),
        (text(), text(), text(), text(), any::<Option<u64>>()),
        (text(), text(), text(), text()),
    )
        .prop_map(|(a, b, c)| BasicProperties {
            content_type: a.0,
            content_encoding: a.1,
            headers: a.2,
            delivery_mode: a.3,
            priority: a.4,
            correlation_id: b.0,
            reply_to: b.1,
            expiration: b.2,
            message_id: b.3,
            timestamp: b.4,
            kind: c.0,
            user_id: c.1,
            app_id: c.2,
            cluster_id: c.3,
        })
}

fn encoded(properties: &BasicProperties) -> Vec<u8> {
    let mut raw = Vec::new();
    properties.encode(&mut raw);
    raw
}

proptest! {
    #[test]
    fn properties_survive_the_wire(owned in properties()) {
        let raw = encoded(&owned);
        let read = Properties::parse(&raw).expect("a valid list");
        prop_assert_eq!(read.to_owned(), owned.clone());
        prop_assert_eq!(read.raw(), &raw[..]);
        prop_assert_eq!(read.user_id(), owned.user_id.as_deref());
        prop_assert_eq!(read.expiration(), owned.expiration.as_deref());
        prop_assert_eq!(read.reply_to(), owned.reply_to.as_deref());
        prop_assert_eq!(read.has(Property::Headers), owned.headers.is_some());
        let headers = read.headers_raw().map(|fields| {
            let table = [&(fields.len() as u32).to_be_bytes(), fields].concat();
            decode_table(&mut Reader::new(&table))
        });
        prop_assert_eq!(headers, owned.headers.clone().map(Ok));
        prop_assert_eq!(Properties::view_headers(&raw), owned.headers.as_ref().map(TableView::from));
    }

    #[test]
    fn a_list_of_another_length_is_refused(
        owned in properties(),
        cut in any::<prop::sample::Index>(),
        extra in any::<u8>(),
    ) {
        let raw = encoded(&owned);
        let cut = cut.index(raw.len());
        prop_assert_eq!(Properties::parse(&raw[..cut]).err(), Some(DecodeError::Truncated));
        let longer = [&raw[..], &[extra]].concat();
        prop_assert_eq!(Properties::parse(&longer).err(), Some(DecodeError::TrailingBytes));
    }

    #[test]
    fn other_headers_leave_the_rest_alone(
        owned in properties(),
        headers in table(),
        keep_expiration: bool,
    ) {
        let raw = encoded(&owned);
        let mut changed = Vec::new();
        let read = Properties::parse(&raw).expect("a valid list");
        read.encode_with_headers(&headers, keep_expiration, &mut changed);
        let expected = BasicProperties {
            headers: Some(headers).filter(|headers| !headers.is_empty() || owned.headers.is_some()),
            expiration: owned.expiration.clone().filter(|_| keep_expiration),
            ..owned
        };
        prop_assert_eq!(Properties::parse(&changed).map(|changed| changed.to_owned()), Ok(expected));
    }

    #[test]
    fn arbitrary_octets_never_panic_and_what_parses_can_be_read(
        flags: u16,
        list in prop_oneof![table_like_octets(), vec(any::<u8>(), 0..100)],
    ) {
        let raw = [&flags.to_be_bytes()[..], &list].concat();
        if let Ok(read) = Properties::parse(&raw) {
            for property in Property::ALL {
                prop_assert_eq!(read.has(property), flags & (0x8000 >> property as u8) != 0);
                prop_assert_eq!(read.octets(property).is_some(), read.has(property));
            }
            prop_assert_eq!(read.headers().is_some(), read.has(Property::Headers));
            prop_assert_eq!(read.user_id().is_some(), read.has(Property::UserId));
            prop_assert_eq!(read.expiration().is_some(), read.has(Property::Expiration));
            prop_assert_eq!(read.reply_to().is_some(), read.has(Property::ReplyTo));
            prop_assert_eq!(read.delivery_mode().is_some(), read.has(Property::DeliveryMode));
        }
    }
}

#[test]
fn no_properties_are_two_octets() {
    assert_eq!(encoded(&BasicProperties::default()), [0, 0]);
    assert_eq!(Properties::parse(&[0, 0]).map(|read| read.to_owned()), Ok(BasicProperties::default()));
    assert_eq!(Properties::parse(&[]).err(), Some(DecodeError::Truncated));
}

#[test]
fn further_flag_words_are_read() {
    let read = Properties::parse(b"\x10\x01\0\x01\0\0\x02").expect("delivery-mode behind three flag words");
    assert_eq!(read.delivery_mode(), Some(2));
    assert!(!read.has(Property::Priority));
    assert_eq!(Properties::parse(b"\x10\x01\0\x01").err(), Some(DecodeError::Truncated));
}

#[test]
fn properties_nobody_defined_are_refused() {
    for raw in [&b"\0\x02"[..], b"\0\x03\0\0", b"\0\x01\x80\0\0"] {
        assert_eq!(Properties::parse(raw).err(), Some(DecodeError::UnknownProperty), "{raw:?}");
    }
}

#[test]
fn malformed_headers_are_refused() {
    assert_eq!(Properties::parse(b"\x20\0\0\0\0\x03\x01kZ").err(), Some(DecodeError::BadFieldType(b'Z')));
}

#[test]
fn strings_the_broker_acts_on_must_be_utf8() {
    for property in [Property::UserId, Property::Expiration, Property::ReplyTo] {
        let flags: u16 = 0x8000 >> property as u8;
        let raw = [&flags.to_be_bytes()[..], b"\x01\xFF"].concat();
        assert_eq!(Properties::parse(&raw).err(), Some(DecodeError::BadString), "{property:?}");
    }
}

#[test]
fn raw_octets_in_other_strings_pass_through() {
    let raw = b"\x04\0\x02\xFF\x41";
    let read = Properties::parse(raw).expect("correlation ids are opaque");
    assert_eq!(read.correlation_id().as_deref(), Some("\u{FFFD}A"));
    assert_eq!(read.octets(Property::CorrelationId), Some(&raw[2..]));
    let mut copy = Vec::new();
    read.encode_with_headers(&FieldTable::default(), true, &mut copy);
    assert_eq!(copy, raw);
}
