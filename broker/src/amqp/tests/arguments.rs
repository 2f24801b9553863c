//! Runs of bits, which the methods themselves do not exhaust.

use crate::amqp::arguments::{Argument, ArgumentReader, ArgumentWriter};
use crate::amqp::{DecodeError, Reader};

const NINE_BITS: [bool; 9] = [true, false, true, false, false, false, false, true, true];

#[test]
fn a_ninth_bit_begins_an_octet() {
    let mut out = Vec::new();
    let mut writer = ArgumentWriter::new(&mut out);
    NINE_BITS.iter().for_each(|bit| bit.write(&mut writer));
    assert_eq!(out, [0b1000_0101, 1]);

    let mut reader = ArgumentReader::new(Reader::new(&out));
    let read: Result<Vec<bool>, _> = NINE_BITS.iter().map(|_| bool::read(&mut reader)).collect();
    assert_eq!(read.as_deref(), Ok(&NINE_BITS[..]));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn another_value_ends_a_run_of_bits() {
    let mut out = Vec::new();
    let mut writer = ArgumentWriter::new(&mut out);
    true.write(&mut writer);
    7u8.write(&mut writer);
    true.write(&mut writer);
    assert_eq!(out, [1, 7, 1]);

    let mut reader = ArgumentReader::new(Reader::new(&out));
    assert_eq!(bool::read(&mut reader), Ok(true));
    assert_eq!(u8::read(&mut reader), Ok(7));
    assert_eq!(bool::read(&mut reader), Ok(true));
    assert_eq!(bool::read(&mut reader), Ok(false), "the rest of the octet");
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn a_missing_octet_of_bits_is_truncation() {
    let mut reader = ArgumentReader::new(Reader::new(&[]));
    assert_eq!(bool::read(&mut reader), Err(DecodeError::Truncated));
}
