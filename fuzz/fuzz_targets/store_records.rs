//! The record reader: bytes whose checksum was set right, so that what is behind it is reached.
#![no_main]

use broker::store::Entry;
use broker::store::record::{self, Record};
use fuzz::{KEY, seal_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let seed = KEY.seed(1);
    let _ = record::decode(input, seed);
    let _ = record::decode_batch_header(input, seed);
    let mut bytes = input.to_vec();
    if seal_record(&mut bytes, seed).is_none() {
        return;
    }
    let verified = record::decode_verified(&bytes).ok();
    let decoded = record::decode(&bytes, seed).ok();
    assert_eq!(verified, decoded);
    let Some((decoded, size)) = decoded else { return };
    assert!(size <= bytes.len());
    let mut again = Vec::new();
    match decoded {
        Record::Message(message) => {
            let entries: Vec<Entry> = message.entries.iter().collect();
            assert!(message.body_len() as usize <= message.block.len());
            let lens = (message.exchange_len, message.routing_key_len, message.properties_len);
            record::encode_message(&mut again, &entries, (message.block, lens.0, lens.1, lens.2), seed);
            assert_eq!(again.len(), record::message_size(&entries, message.block.len()));
            let Ok((Record::Message(same), _)) = record::decode(&again, seed) else { panic!("no message") };
            assert!(same.entries.iter().eq(entries));
            assert_eq!((same.block, same.body_len()), (message.block, message.body_len()));
        }
        Record::Ref { target, entries } => {
            let entries: Vec<Entry> = entries.iter().collect();
            record::encode_ref(&mut again, target, &entries, seed);
            let Ok((Record::Ref { target: same, entries: same_entries }, _)) = record::decode(&again, seed)
            else {
                panic!("no ref")
            };
            assert!(same == target && same_entries.iter().eq(entries));
        }
        Record::Acks(runs) => {
            let runs: Vec<_> = runs.iter().collect();
            record::encode_acks(&mut again, &runs, seed);
            let Ok((Record::Acks(same), _)) = record::decode(&again, seed) else { panic!("no acks") };
            assert!(same.iter().eq(runs));
        }
        Record::Purge { .. } | Record::Batch(_) | Record::Segment(_) => {}
    }
});
