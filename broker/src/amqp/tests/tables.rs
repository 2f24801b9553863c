use proptest::prelude::*;

use super::{table, table_like_octets};
use crate::amqp::{
    DecodeError, FieldTable, FieldValue, MAX_TABLE_DEPTH, Reader, TableView, check_table, decode_table,
    encode_table, view_table,
};

fn encoded(table: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    encode_table(table, &mut out);
    out
}

/// Decodes a table whose content is `content`, which must fill it.
fn decoded(content: &[u8]) -> Result<FieldTable, DecodeError> {
    let mut octets = (content.len() as u32).to_be_bytes().to_vec();
    octets.extend_from_slice(content);
    decode_table(&mut Reader::new(&octets))
}

proptest! {
    #[test]
    fn a_table_survives_the_wire(table in table()) {
        let octets = encoded(&table);
        let mut reader = Reader::new(&octets);
        prop_assert_eq!(decode_table(&mut reader), Ok(table));
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn every_prefix_of_a_table_is_truncated(table in table(), cut in any::<prop::sample::Index>()) {
        let octets = encoded(&table);
        let cut = cut.index(octets.len());
        prop_assert_eq!(decode_table(&mut Reader::new(&octets[..cut])), Err(DecodeError::Truncated));
    }

    #[test]
    fn checking_and_decoding_agree(octets in table_like_octets()) {
        let mut framed = (octets.len() as u32).to_be_bytes().to_vec();
        framed.extend_from_slice(&octets);
        let checked = check_table(&mut Reader::new(&framed));
        prop_assert_eq!(checked, decode_table(&mut Reader::new(&framed)).map(drop));
    }

    #[test]
    fn looking_and_decoding_agree(octets in table_like_octets()) {
        let mut framed = (octets.len() as u32).to_be_bytes().to_vec();
        framed.extend_from_slice(&octets);
        let decoded = decode_table(&mut Reader::new(&framed));
        let looked = view_table(&mut Reader::new(&framed));
        // Compared as text: NaN is not equal to itself.
        let expected = decoded.as_ref().map(TableView::from);
        prop_assert_eq!(format!("{looked:?}"), format!("{expected:?}"));
    }

    #[test]
    fn octets_that_decode_mean_the_same_when_encoded_again(octets in table_like_octets()) {
        // Compared as octets: NaN is not equal to itself.
        if let Ok(table) = decoded(&octets) {
            let once = encoded(&table);
            let twice = decode_table(&mut Reader::new(&once)).map(|table| encoded(&table));
            prop_assert_eq!(twice, Ok(once));
        }
    }
}

#[test]
fn the_tags_are_those_of_the_errata() {
    let values = [
        (FieldValue::Boolean(true), &b"t\x01"[..], "bool"),
        (FieldValue::I8(-2), b"b\xFE", "byte"),
        (FieldValue::U8(254), b"B\xFE", "unsignedbyte"),
        (FieldValue::I16(-2), b"s\xFF\xFE", "short"),
        (FieldValue::U16(0xFFFE), b"u\xFF\xFE", "unsignedshort"),
        (FieldValue::I32(-2), b"I\xFF\xFF\xFF\xFE", "signedint"),
        (FieldValue::U32(7), b"i\0\0\0\x07", "unsignedint"),
        (FieldValue::I64(-2), b"l\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE", "long"),
        (FieldValue::F32(1.0), b"f\x3F\x80\0\0", "float"),
        (FieldValue::F64(1.0), b"d\x3F\xF0\0\0\0\0\0\0", "double"),
        (FieldValue::Decimal { scale: 2, value: 314 }, b"D\x02\0\0\x01\x3A", "decimal"),
        (FieldValue::from("hi"), b"S\0\0\0\x02hi", "longstr"),
        (FieldValue::ByteArray([0, 255].into()), b"x\0\0\0\x02\0\xFF", "binary"),
        (FieldValue::Array(vec![FieldValue::Void]), b"A\0\0\0\x01V", "array"),
        (FieldValue::Timestamp(9), b"T\0\0\0\0\0\0\0\x09", "timestamp"),
        (FieldValue::Table(FieldTable::default()), b"F\0\0\0\0", "table"),
        (FieldValue::Void, b"V", "void"),
    ];
    for (value, octets, type_name) in values {
        let content = [b"\x01k", octets].concat();
        let table = FieldTable::from([("k", value.clone())]);
        assert_eq!(encoded(&table)[4..], content, "{value:?}");
        assert_eq!(decoded(&content), Ok(table), "{value:?}");
        assert_eq!(value.type_name(), type_name);
    }
}

#[test]
fn capital_l_is_read_as_a_signed_long() {
    let table = decoded(b"\x01kL\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFE").unwrap();
    assert_eq!(table.get("k"), Some(&FieldValue::I64(-2)));
}

#[test]
fn any_boolean_octet_but_zero_is_true() {
    assert_eq!(decoded(b"\x01kt\x05").unwrap().get("k"), Some(&FieldValue::Boolean(true)));
}

#[test]
fn an_unknown_type_is_named() {
    assert_eq!(decoded(b"\x01kZ\0"), Err(DecodeError::BadFieldType(b'Z')));
}

#[test]
fn a_name_must_be_utf8() {
    assert_eq!(decoded(b"\x01\xFFV"), Err(DecodeError::BadString));
}

#[test]
fn a_length_beyond_the_end_is_truncation_and_allocates_nothing() {
    assert_eq!(decode_table(&mut Reader::new(b"\xFF\xFF\xFF\xFF\x01kV")), Err(DecodeError::Truncated));
    assert_eq!(decoded(b"\x01kS\xFF\xFF\xFF\xFFhi"), Err(DecodeError::Truncated));
}

/// `depth` tables and arrays in one another.
fn nested(depth: usize) -> FieldTable {
    let mut inner = FieldTable::default();
    for level in 1..depth {
        let value = if level % 2 == 0 {
            FieldValue::Table(inner)
        } else {
            FieldValue::Array(vec![FieldValue::Table(inner)])
        };
        inner = FieldTable::from([("k", value)]);
    }
    inner
}

fn depth_of(table: &FieldTable) -> usize {
    fn of_value(value: &FieldValue) -> usize {
        match value {
            FieldValue::Table(table) => depth_of(table),
            FieldValue::Array(values) => 1 + values.iter().map(of_value).max().unwrap_or(0),
            _ => 0,
        }
    }
    1 + table.iter().map(|(_, value)| of_value(value)).max().unwrap_or(0)
}

#[test]
fn nesting_has_a_bound() {
    for depth in 1..MAX_TABLE_DEPTH {
        let table = nested(depth);
        let octets = encoded(&table);
        let expected = if depth_of(&table) > MAX_TABLE_DEPTH { Err(DecodeError::TooDeep) } else { Ok(()) };
        assert_eq!(check_table(&mut Reader::new(&octets)), expected, "depth {}", depth_of(&table));
        assert_eq!(decode_table(&mut Reader::new(&octets)).map(drop), expected);
    }
    assert!(depth_of(&nested(MAX_TABLE_DEPTH - 1)) > MAX_TABLE_DEPTH, "the bound was not reached");
}

#[test]
fn a_hostile_nesting_does_not_exhaust_the_stack() {
    let levels = 20_000u32;
    let mut content = b"\x01k".to_vec();
    for level in 1..=levels {
        content.push(b'A');
        content.extend_from_slice(&(5 * (levels - level)).to_be_bytes());
    }
    assert_eq!(decoded(&content), Err(DecodeError::TooDeep));
}

#[test]
fn the_first_of_equal_names_counts() {
    let table = decoded(b"\x01kb\x01\x01kb\x02").unwrap();
    assert_eq!(table.len(), 2);
    assert_eq!(table.get("k").and_then(FieldValue::as_i64), Some(1));
}

#[test]
fn insert_replaces_in_place_and_remove_takes_all() {
    let mut table = FieldTable::from([("a", 1), ("b", 2), ("a", 3)]);
    table.insert("b", "two");
    table.insert("c", true);
    let names: Vec<_> = table.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "a", "c"]);
    assert_eq!(table.get("b").and_then(FieldValue::as_str), Some("two"));
    assert_eq!(table.remove("a"), Some(FieldValue::I32(1)));
    assert!(!table.contains("a"));
    assert_eq!(table.remove("a"), None);
}

#[test]
fn every_integer_type_is_an_integer_and_nothing_else_is() {
    for value in [
        FieldValue::I8(7),
        FieldValue::U8(7),
        FieldValue::I16(7),
        FieldValue::U16(7),
        FieldValue::I32(7),
        FieldValue::U32(7),
        FieldValue::I64(7),
    ] {
        assert_eq!(value.as_i64(), Some(7), "{value:?}");
    }
    for value in [FieldValue::Timestamp(7), FieldValue::F64(7.0), FieldValue::from("7"), FieldValue::Void] {
        assert_eq!(value.as_i64(), None, "{value:?}");
    }
}
