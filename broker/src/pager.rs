//! Keeps message bodies in memory below a watermark: drops bodies that the store has, and reads them back
//! ahead of the consumer.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use crate::alarm::Alarms;
use crate::queue::{Burial, ByPriority, Queue};

/// A queue keeps this many messages in memory, whatever the watermark says.
pub const RESIDENT_AT_LEAST: usize = 1024;

/// Messages of a growing queue after which memory is looked at: that takes a look at what all threads have counted.
const LOOK_EVERY: u64 = 16;

/// Read ahead at a time.
const READ_COUNT_MAX: usize = 1024;
const READ_BYTES_MAX: u64 = 1 << 20;

/// Cheap to clone. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Pager {
    requests: Sender<Request>,
    alarms: Arc<Alarms>,
}

enum Request {
    /// Bodies for the head of this queue.
    Load(Arc<Queue>),
    /// Bodies of the dead, and their publication.
    Bury(Burial),
}

impl Pager {
    pub fn start(alarms: Arc<Alarms>) -> std::io::Result<Pager> {
        let (requests, wanted) = channel::<Request>();
        std::thread::Builder::new().name("pager".to_owned()).spawn(move || {
            while let Ok(request) = wanted.recv() {
                match request {
                    Request::Load(queue) => queue.load_next_bodies(READ_COUNT_MAX, READ_BYTES_MAX),
                    Request::Bury(burial) => burial.read_and_publish(),
                }
            }
        })?;
        Ok(Pager { requests, alarms })
    }

    /// Bodies for the head of this queue are wanted; answered by `Queue::load_next_bodies`.
    pub fn load(&self, queue: Arc<Queue>) {
        self.ask(Request::Load(queue));
    }

    /// Reads the bodies of the dead and publishes them.
    pub fn bury(&self, burial: Burial) {
        self.ask(Request::Bury(burial));
    }

    fn ask(&self, request: Request) {
        if self.requests.send(request).is_err() {
            tracing::error!("the pager's thread has ended; stored messages can no longer be read");
        }
    }

    /// Called as a queue grows by a stored message: lets go of bodies while too many bytes are in memory.
    #[inline]
    pub fn consider(&self, backlog: &mut ByPriority, seq: u64) {
        if backlog.len() > RESIDENT_AT_LEAST
            && seq.is_multiple_of(LOOK_EVERY)
            && crate::message::resident_bytes() > self.alarms.page_out_bytes()
        {
            backlog.page_out(RESIDENT_AT_LEAST, 4 * LOOK_EVERY as usize);
        }
    }
}
