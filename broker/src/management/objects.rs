//! How many there are of everything.

use crate::broker::Broker;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Objects {
    pub connections: usize,
    pub channels: usize,
    pub exchanges: usize,
    pub queues: usize,
    pub consumers: usize,
    pub messages_ready: usize,
    pub messages_unacknowledged: usize,
    /// That no queue has taken yet.
    pub dead_letters: usize,
}

impl Objects {
    /// Looks at every connection and queue, one at a time.
    pub fn count(broker: &Broker) -> Objects {
        let connections = broker.connections();
        let mut objects = Objects { connections: connections.len(), ..Objects::default() };
        for info in &connections {
            objects.channels += info.outbox.lock().channels().count();
        }
        for vhost in broker.vhosts() {
            let topology = vhost.read();
            objects.exchanges += topology.exchanges.len();
            let queues: Vec<_> = topology.queues.values().cloned().collect();
            drop(topology);
            objects.queues += queues.len();
            for queue in queues {
                let counts = queue.counts();
                objects.consumers += counts.consumers;
                objects.messages_ready += counts.ready;
                objects.messages_unacknowledged += counts.unacked;
                objects.dead_letters += counts.unburied.count;
            }
        }
        objects
    }
}

/// Of this process; `None` where the operating system does not tell.
pub fn resident_memory_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
