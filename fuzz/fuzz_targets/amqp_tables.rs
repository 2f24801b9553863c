//! Field tables: the checker takes exactly what the decoder takes, and what is decoded can be written and read.
#![no_main]

use broker::amqp::{FieldTable, Reader, check_table, decode_table, encode_table};
use libfuzzer_sys::fuzz_target;

fn encode(table: &FieldTable) -> Vec<u8> {
    let mut out = Vec::new();
    encode_table(table, &mut out);
    out
}

fuzz_target!(|input: &[u8]| {
    let (mut checked, mut decoded) = (Reader::new(input), Reader::new(input));
    let check = check_table(&mut checked);
    let table = decode_table(&mut decoded);
    assert_eq!(check.is_ok(), table.is_ok());
    let Ok(table) = table else { return };
    assert_eq!(checked.rest(), decoded.rest());
    let written = encode(&table);
    let again = decode_table(&mut Reader::new(&written)).expect("what we write can be read");
    assert_eq!(encode(&again), written);
});
