//! Recovery of any log. It never panics; whatever it brings back can be read; and the next start, after an orderly
//! end, brings back the same.
#![no_main]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use broker::store::sim::Disk;
use broker::store::{Committer, QueueId, Recovered, Store, StoreError, StoreOptions, tool};
use fuzz::LogInput;
use libfuzzer_sys::fuzz_target;

const DIR: &str = "/log";

fn open(disk: &Disk) -> Result<(Store, Committer, Recovered), StoreError> {
    let options = StoreOptions { segment_bytes: 4096, disk_free_min_bytes: 0, ..StoreOptions::default() };
    Store::open_manual(Arc::new(disk.clone()), Path::new(DIR), options, &|queue| queue.0 != 13)
}

fn entries(recovered: &Recovered) -> BTreeMap<(QueueId, u64), u32> {
    let of = |&id: &QueueId| recovered.entries(id).into_iter().map(move |entry| ((id, entry.seq), entry.body_len));
    recovered.next_seqs.keys().flat_map(of).collect()
}

fuzz_target!(|input: &[u8]| {
    let Some(log) = LogInput::parse(input) else { return };
    let disk = Disk::new(1, 64 << 20);
    log.write_to(&disk);
    // The tools look at the same bytes.
    let fs = Arc::new(disk.clone());
    let _ = tool::check(fs.clone(), Path::new(DIR), &mut std::io::sink());
    let _ = tool::dump(fs, Path::new(DIR), &mut std::io::sink());
    let Ok((store, committer, recovered)) = open(&disk) else { return };
    let first = entries(&recovered);
    for (&(queue, seq), &body_len) in &first {
        let read = store.read(queue, &[seq]).expect("what was recovered can be read");
        assert_eq!(read.len(), 1, "{queue:?} {seq}");
        assert_eq!(read[0].1.body().len(), body_len as usize);
    }
    assert_eq!(store.stats().entries, first.len() as u64);
    match committer.close(std::iter::empty()) {
        // A log that claims to hold 2^64 batches.
        Err(StoreError::Failed(failure)) if failure.reason.contains("batch numbers") => return,
        closed => closed.expect("an orderly end"),
    }
    let (_store, _committer, recovered) = open(&disk).expect("it opened before");
    assert_eq!(entries(&recovered), first);
});
