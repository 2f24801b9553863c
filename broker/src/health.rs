//! Whether the broker can do right now what it promises.

use std::fmt;

use crate::alarm::Alarm;
use crate::broker::Broker;
use crate::definitions::DefinitionsError;
use crate::store::StoreFailure;

/// One thing that is wrong; shown, it says what and what to do.
#[derive(Debug, Clone)]
pub enum Ailment {
    /// Nothing published is confirmed any more, until a restart.
    StoreFailed(StoreFailure),
    /// Nothing declared is durable any more, until a restart.
    DefinitionsFailed(DefinitionsError),
    /// Publishers are held; ends by itself.
    PublishersHeld(Alarm),
    /// So often a stored message could not be read; the queues concerned deliver no more.
    Unreadable(u64),
}

impl Ailment {
    /// Whether it ends without anybody doing anything to the broker itself.
    pub fn ends_by_itself(&self) -> bool {
        matches!(self, Ailment::PublishersHeld(_))
    }
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ailment::StoreFailed(failure) => failure.fmt(f),
            Ailment::DefinitionsFailed(error) => error.fmt(f),
            Ailment::PublishersHeld(Alarm::Memory) => f.write_str(
                "publishers are held: low on memory. Let consumers drain the queues, or raise \
                 limits.memory_bytes_high_watermark",
            ),
            Ailment::PublishersHeld(Alarm::Disk) => f.write_str(
                "publishers are held: low on disk. Free space on the disk of the data folder, or lower \
                 limits.disk_free_min_bytes",
            ),
            Ailment::Unreadable(count) => write!(
                f,
                "stored messages could not be read {count} times since the start, and their queues deliver no \
                 more. The log names them; stop the broker and run `broker store check`"
            ),
        }
    }
}

impl Broker {
    /// What is wrong, the worst first; nothing while all is well. Cheap, so it may be asked often.
    pub fn health(&self) -> Vec<Ailment> {
        let mut ailments = Vec::new();
        ailments.extend(self.store.failure().map(Ailment::StoreFailed));
        ailments.extend(self.definitions.failure().map(Ailment::DefinitionsFailed));
        match self.store.unreadable() {
            0 => {}
            count => ailments.push(Ailment::Unreadable(count)),
        }
        ailments.extend(self.alarms.raised().map(Ailment::PublishersHeld));
        ailments
    }
}
