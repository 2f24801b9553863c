//! What is known of stored messages beside the log, across restarts: how often they came back to their queues
//! (`x-delivery-count`), and which of them are dead letters that no queue has taken yet.
//!
//! It is in a small file of its own, written at the orderly end and every few seconds while there is news. After a crash
//! that of the last seconds may be missing: a message that its consumers choke on is given up a little later, but it is
//! given up; a dead letter is handed out once more. A line may outlive its message, but only until the next start, which
//! writes the file anew: positions are used again once nothing in the log names any of their queue.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use hashbrown::HashMap;

use crate::queue::{DeathReason, Fact};
use crate::store::QueueId;

const FILE_NAME: &str = "delivery-counts";
const NEW_NAME: &str = "delivery-counts.new";
const HEADER: &str = "warren delivery counts 2: queue, position, times it came back or why it is dead";
/// Knew nothing of the dead.
const HEADER_1: &str = "warren delivery counts 1: queue, position, times it came back";

/// What is known of the messages of one queue, by position.
#[derive(Debug, Default)]
pub struct Known {
    /// How often they came back.
    pub returns: HashMap<u64, u64>,
    /// The dead.
    pub dead: HashMap<u64, DeathReason>,
}

/// By queue.
pub type DeliveryCounts = HashMap<QueueId, Known>;

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
pub fn write(dir: &Path, facts: impl Iterator<Item = (QueueId, u64, Fact)>) -> io::Result<()> {
    let new = dir.join(NEW_NAME);
    let mut file = File::create(&new)?;
    file.write_all(encode(facts).as_bytes())?;
    file.sync_data()?;
    std::fs::rename(&new, dir.join(FILE_NAME))
}

fn encode(facts: impl Iterator<Item = (QueueId, u64, Fact)>) -> String {
    let mut text = format!("{HEADER}\n");
    for (queue, seq, fact) in facts {
        // Writing to a string cannot fail.
        let _ = match fact {
            Fact::Returns(count) => writeln!(text, "{} {seq} {count}", queue.0),
            Fact::Dead(reason) => writeln!(text, "{} {seq} {}", queue.0, reason.name()),
        };
    }
    text
}

fn decode(text: &str) -> Option<DeliveryCounts> {
    let mut lines = text.lines();
    if ![HEADER, HEADER_1].contains(&lines.next()?) {
        return None;
    }
    let mut counts = DeliveryCounts::new();
    for line in lines {
        let mut words = line.split(' ');
        let (queue, seq) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let known = counts.entry(QueueId(queue)).or_default();
        let fact = words.next()?;
        match DeathReason::parse(fact) {
            Some(reason) => drop(known.dead.insert(seq, reason)),
            None => drop(known.returns.insert(seq, fact.parse().ok()?)),
        }
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
        let dead = (QueueId(9), 2, Fact::Dead(DeathReason::DeliveryLimit));
        write(
            dir.path(),
            counts.map(|(id, seq, count)| (id, seq, Fact::Returns(count))).into_iter().chain([dead]),
        )
        .unwrap();
        let found = read(dir.path());
        assert_eq!(found.values().map(|known| known.returns.len()).sum::<usize>(), 3);
        for (queue, seq, count) in counts {
            assert_eq!(found[&queue].returns[&seq], count);
        }
        assert_eq!(found[&QueueId(9)].dead, [(2, DeathReason::DeliveryLimit)].into());
        write(dir.path(), std::iter::empty()).unwrap();
        assert!(read(dir.path()).is_empty());
    }

    #[test]
    fn the_format_before_is_read() {
        let known = decode(&format!("{HEADER_1}\n7 1 3\n")).unwrap();
        assert_eq!(known[&QueueId(7)].returns, [(1, 3)].into());
    }

    #[test]
    fn damage_counts_as_nothing() {
        for text in [
            "",
            "something else\n7 1 3\n",
            &format!("{HEADER}\n7 1\n"),
            &format!("{HEADER}\n7 x 3\n"),
            &format!("{HEADER}\n7 1 murdered\n"),
        ] {
            assert!(decode(text).is_none(), "{text:?}");
        }
    }
}
