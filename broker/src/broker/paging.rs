//! When memory gets short: bodies that the store has leave it, in every queue. A queue that is published to sees to
//! itself (`pager`); this is for all the others, and for large messages.

use std::sync::Arc;
use std::time::Duration;

use crate::message::resident_bytes;
use crate::vhost::Vhost;

use super::Broker;

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// How long it is let be when a round did not help.
const RETRY: Duration = Duration::from_secs(5);

impl Broker {
    /// Looks after memory until the task is dropped.
    pub async fn page_out_when_short(self: Arc<Self>) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let mark = self.alarms.page_out_bytes();
            if resident_bytes() <= mark {
                continue;
            }
            let vhosts = self.vhosts();
            // Long for a task where there are millions of messages.
            let done = tokio::task::spawn_blocking(move || page_out(&vhosts, mark)).await;
            if done.is_err() || resident_bytes() > mark {
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

fn page_out(vhosts: &[Arc<Vhost>], mark: u64) {
    for vhost in vhosts {
        let queues: Vec<_> =
            vhost.read().queues.values().filter(|queue| queue.is_stored()).cloned().collect();
        for queue in queues {
            if resident_bytes() <= mark {
                return;
            }
            queue.page_out();
        }
    }
}
