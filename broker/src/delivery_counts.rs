//! How often stored messages came back to their queues (`x-delivery-count`), across restarts.
//!
//! The counts are in a small file of their own, written at the orderly end and every few seconds while there are new
//! ones. After a crash those of the last seconds may be missing: a message that its consumers choke on is given up a
//! little later, but it is given up. A line that outlived its message does no harm, as positions are never used twice.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use hashbrown::HashMap;

use crate::store::QueueId;

const FILE_NAME: &str = "delivery-counts";
const NEW_NAME: &str = "delivery-counts.new";
const HEADER: &str = "warren delivery counts 1: queue, position, times it came back";

/// By queue and position, how often the message came back.
pub type DeliveryCounts = HashMap<QueueId, HashMap<u64, u64>>;

/// What was written last. A file that cannot be read is reported and counts as none.
pub fn read(dir: &Path) -> DeliveryCounts {
    let path = dir.join(FILE_NAME);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return DeliveryCounts::new(),
        Err(error) => {
            tracing::warn!("cannot read {}: {error}; messages are counted from 0 again", path.display());
            return DeliveryCounts::new();
        }
    };
    decode(&text).unwrap_or_else(|| {
        tracing::warn!("{} is damaged; messages are counted from 0 again", path.display());
        DeliveryCounts::new()
    })
}

/// Takes the place of what was written before. Blocks on the disk.
pub fn write(dir: &Path, counts: impl Iterator<Item = (QueueId, u64, u64)>) -> io::Result<()> {
    let new = dir.join(NEW_NAME);
    let mut file = File::create(&new)?;
    file.write_all(encode(counts).as_bytes())?;
    file.sync_data()?;
    std::fs::rename(&new, dir.join(FILE_NAME))
}

fn encode(counts: impl Iterator<Item = (QueueId, u64, u64)>) -> String {
    let mut text = format!("{HEADER}\n");
    for (queue, seq, count) in counts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {seq} {count}", queue.0);
    }
    text
}

fn decode(text: &str) -> Option<DeliveryCounts> {
    let mut lines = text.lines();
    if lines.next()? != HEADER {
        return None;
    }
    let mut counts = DeliveryCounts::new();
    for line in lines {
        let mut numbers = line.split(' ').map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let (queue, seq, count) = (next()?, next()?, next()?);
        counts.entry(QueueId(queue)).or_default().insert(seq, count);
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::TempDir::new().unwrap();
        assert!(read(dir.path()).is_empty());
        let counts = [(QueueId(7), 1, 3), (QueueId(7), u64::MAX, 1), (QueueId(9), 1, 2)];
        write(dir.path(), counts.into_iter()).unwrap();
        let found = read(dir.path());
        assert_eq!(found.values().map(HashMap::len).sum::<usize>(), 3);
        for (queue, seq, count) in counts {
            assert_eq!(found[&queue][&seq], count);
        }
        write(dir.path(), std::iter::empty()).unwrap();
        assert!(read(dir.path()).is_empty());
    }

    #[test]
    fn damage_counts_as_nothing() {
        for text in
            ["", "something else\n7 1 3\n", &format!("{HEADER}\n7 1\n"), &format!("{HEADER}\n7 x 3\n")]
        {
            assert!(decode(text).is_none(), "{text:?}");
        }
    }
}
