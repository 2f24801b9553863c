//! The world of one run: a store, its disk, the model of what it must hold, and what happens to them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::disk::{Disk, Faults};
use super::model::{Body, End, Entry, Model, Reached, Removed};
use super::rng::Rng;
use super::{Coverage, Plan};
use crate::message::Message;
use crate::store::{
    Committer, DurableListener, EntryMeta, Progress, QueueId, Recovered, Round, Store, StoreError,
    StoreOptions,
};

const CAPACITY_BYTES: u64 = 4 << 20;
const DIR: &str = "/log";

pub struct World {
    rng: Rng,
    plan: Plan,
    options: StoreOptions,
    pub disk: Disk,
    faults: Faults,
    running: Option<(Store, Committer)>,
    model: Model,
    next_queue: u64,
    next_body: u64,
    listened: Vec<(Round, Arc<Listener>)>,
    pub coverage: Coverage,
}

#[derive(Default)]
struct Listener {
    calls: AtomicU64,
}

impl DurableListener for Listener {
    fn durable(&self, _durable: Round) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl World {
    pub fn new(seed: u64, plan: Plan) -> World {
        let mut rng = Rng::new(seed);
        let options = StoreOptions {
            segment_bytes: [4096, 8192, 16384, 65536][rng.below(4) as usize],
            commit_bytes_max: [1000, 20_000, 1 << 20][rng.below(3) as usize],
            disk_free_min_bytes: 64 << 10,
            compaction_slice_bytes: [256, 4096, 65536][rng.below(3) as usize],
            ..StoreOptions::default()
        };
        let disk = Disk::new(rng.draw(), CAPACITY_BYTES);
        if let Some(operation) = plan.only_cut_at {
            disk.cut_power_after(operation);
        }
        let by_chance = plan.only_cut_at.is_none();
        let rare = |rng: &mut Rng, chance| if by_chance && rng.below(2) == 0 { chance } else { 0 };
        let faults = Faults {
            short_transfer: rare(&mut rng, 50),
            interrupted: rare(&mut rng, 20),
            failed_sync: rare(&mut rng, 5),
            failed_write: rare(&mut rng, 5),
            lying_sync: if plan.lying_sync { 1000 } else { 0 },
        };
        World {
            rng,
            plan,
            options,
            disk,
            faults,
            running: None,
            model: Model::default(),
            next_queue: 1,
            next_body: 1,
            listened: Vec::new(),
            coverage: Coverage::default(),
        }
    }

    pub fn run(&mut self) -> Result<(), String> {
        self.start(
            Reached { durable: 0, synced: 0, end: End::PowerCut, maybe_closed: false },
            &BTreeSet::new(),
        )?;
        while self.coverage.steps < self.plan.steps {
            self.coverage.steps += 1;
            self.step()?;
        }
        self.finish()
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.plan.verbose {
            println!("{:>5} {}", self.coverage.steps, what());
        }
    }

    fn step(&mut self) -> Result<(), String> {
        // The last ones are what fails by chance.
        let choice = self.rng.below(if self.plan.only_cut_at.is_some() { 90 } else { 100 });
        self.say(|| format!("step {choice}"));
        match choice {
            0..28 => self.publish(),
            28..50 => self.ack(),
            50..52 => self.purge(),
            52..53 => self.delete_queue(),
            53..56 => self.move_to_other_queue()?,
            56..62 => self.page_in()?,
            62..82 => self.run_rounds(1)?,
            82..90 => self.run_rounds(20)?,
            90..92 => self.change_space(),
            92..94 => self.power_cut()?,
            94..95 => self.kill()?,
            95..96 => self.close()?,
            _ => self.listen(),
        }
        self.check_failed()
    }

    fn store(&self) -> Result<&Store, String> {
        self.running.as_ref().map(|(store, _)| store).ok_or_else(|| "the store is not open".into())
    }

    fn pick_queue(&mut self) -> Option<QueueId> {
        let n = self.model.queues.len() as u64;
        self.model.queues.keys().nth(self.rng.below(n) as usize).copied()
    }

    /// One of the entries nobody has given up.
    fn pick_entry(&mut self) -> Option<(QueueId, u64)> {
        let queue = self.pick_queue()?;
        let live: Vec<u64> = self.model.queues[&queue]
            .entries
            .iter()
            .filter(|(_, e)| e.removed.is_none())
            .map(|(&seq, _)| seq)
            .collect();
        // Mostly the oldest, as consumers do.
        let at = if self.rng.below(3) > 0 { 0 } else { self.rng.below(live.len() as u64) as usize };
        live.get(at).map(|&seq| (queue, seq))
    }

    fn publish(&mut self) {
        let max = u64::from(self.options.segment_bytes);
        for _ in 0..=self.rng.below(8) {
            if self.model.queues.len() < 2 || self.rng.below(40) == 0 {
                self.model.queues.insert(QueueId(self.next_queue), Default::default());
                self.next_queue += 1;
            }
            let len = match self.rng.below(20) {
                0 => self.rng.below(2 * max),
                1..4 => self.rng.below(max / 4),
                _ => self.rng.below(300),
            };
            let body = Body { id: self.next_body, len: len as u32 };
            self.next_body += 1;
            let message = body.message();
            let everywhere = self.rng.below(6) == 0;
            let chosen = self.pick_queue();
            let queues: Vec<QueueId> =
                self.model.queues.keys().copied().filter(|&q| everywhere || Some(q) == chosen).collect();
            for queue in queues {
                let meta = match self.rng.below(4) {
                    0 => EntryMeta { expires_at_ms: self.rng.draw(), priority: self.rng.below(10) as u8 },
                    _ => EntryMeta::default(),
                };
                self.enqueue(queue, body, meta, &message);
                // Another publisher, or the commit thread, in the middle of the fanout.
                if self.rng.below(12) == 0 {
                    self.ack();
                }
                if self.rng.below(20) == 0
                    && let Some((_, committer)) = &mut self.running
                {
                    committer.run_round();
                }
            }
        }
    }

    fn enqueue(&mut self, queue: QueueId, body: Body, meta: EntryMeta, message: &Message) {
        let Some((store, _)) = &self.running else { return };
        let kept = message.clone();
        self.model.enqueue(queue, body, meta, kept, |seq| store.enqueue(queue, seq, message, meta));
        self.coverage.enqueues += 1;
    }

    fn ack(&mut self) {
        for _ in 0..=self.rng.below(8) {
            let Some((queue, seq)) = self.pick_entry() else { return };
            let Some((store, _)) = &self.running else { return };
            let Some(entry) = self.model.queues.get_mut(&queue).and_then(|q| q.entries.get_mut(&seq)) else {
                return;
            };
            let round = match self.rng.below(2) {
                0 => store.ack(queue, seq, entry.message.as_ref()),
                _ => store.ack_many(queue, [(seq, entry.message.as_ref())]),
            };
            entry.message = None;
            // As tx.commit does it.
            let barrier = self.rng.below(8) == 0;
            let round = if barrier { store.barrier() } else { round };
            entry.removed = Some(Removed { round, promised: barrier });
        }
    }

    fn purge(&mut self) {
        let Some((queue, up_to)) = self.pick_entry() else { return };
        let Some((store, _)) = &self.running else { return };
        let release = self.rng.below(2) == 0;
        let Some(entries) = self.model.queues.get_mut(&queue).map(|q| &mut q.entries) else { return };
        for entry in entries.range_mut(..=up_to).map(|(_, e)| e).filter(|e| e.removed.is_none()) {
            if let (true, Some(message)) = (release, entry.message.take()) {
                message.disk.release();
            }
        }
        let round = store.purge(queue, up_to);
        for (_, entry) in entries.range_mut(..=up_to) {
            entry.removed.get_or_insert(Removed { round, promised: true });
        }
    }

    fn delete_queue(&mut self) {
        let Some(queue) = self.pick_queue() else { return };
        self.say(|| format!("delete {queue:?}"));
        self.model.queues.remove(&queue);
        if let Some((store, _)) = &self.running {
            store.delete_queue(queue);
        }
    }

    /// As dead-lettering does it: into the other queue first.
    fn move_to_other_queue(&mut self) -> Result<(), String> {
        let (Some((queue, seq)), Some(other)) = (self.pick_entry(), self.pick_queue()) else { return Ok(()) };
        let message = self.model.queues[&queue].entries[&seq].message.clone();
        let Some(message) = message.map_or_else(|| self.read(queue, seq), |m| Ok(Some(m)))? else {
            return Ok(());
        };
        let Entry { body, meta, .. } = self.model.queues[&queue].entries[&seq];
        self.enqueue(other, body, meta, &message);
        if self.rng.below(2) == 0
            && let Some((_, committer)) = &mut self.running
        {
            committer.run_round();
        }
        let Some((store, _)) = &self.running else { return Ok(()) };
        if let Some(entry) = self.model.queues.get_mut(&queue).and_then(|q| q.entries.get_mut(&seq)) {
            let round = store.ack(queue, seq, Some(&message));
            entry.message = None;
            entry.removed = Some(Removed { round, promised: false });
        }
        Ok(())
    }

    /// Drops the message from memory or reads it back.
    fn page_in(&mut self) -> Result<(), String> {
        let Some((queue, seq)) = self.pick_entry() else { return Ok(()) };
        let message = self.read(queue, seq)?;
        let forget = self.rng.below(2) == 0;
        let certain = self.store()?.durable_round();
        let Some(entry) = self.model.queues.get_mut(&queue).and_then(|q| q.entries.get_mut(&seq)) else {
            return Ok(());
        };
        if entry.is_certain(certain) {
            entry.message = if forget { None } else { message };
        }
        Ok(())
    }

    fn read(&mut self, queue: QueueId, seq: u64) -> Result<Option<Message>, String> {
        let store = self.store()?;
        let entry = &self.model.queues[&queue].entries[&seq];
        let read = match store.read(queue, &[seq]) {
            Ok(read) => read,
            Err(_) if store.failure().is_some() || self.disk.is_dead() => return Ok(None),
            Err(error) => return Err(format!("reading {queue:?} {seq}: {error}")),
        };
        match read.first() {
            Some((_, message)) => entry.body.check(message).map(|()| Some(message.clone())),
            None if entry.is_certain(store.durable_round()) => Err(format!("{queue:?} {seq} cannot be read")),
            None => Ok(None),
        }
    }

    fn run_rounds(&mut self, max: u64) -> Result<(), String> {
        let Some((store, committer)) = &mut self.running else { return Ok(()) };
        for _ in 0..max {
            let before = store.durable_round();
            let worked = match self.rng.below(4) {
                0 => committer.run_file_job(),
                _ => committer.run_round() == Progress::Worked,
            };
            if store.durable_round() < before {
                return Err("durable_round went back".into());
            }
            if !worked {
                break;
            }
        }
        if self.options.segment_bytes > 0 && store.blocked() {
            self.coverage.blocked += 1;
        }
        self.check_listeners()
    }

    fn change_space(&mut self) {
        let capacity = match self.rng.below(3) {
            0 => CAPACITY_BYTES,
            _ => self.disk.used_bytes() + self.rng.below(2 * u64::from(self.options.segment_bytes)),
        };
        self.say(|| format!("disk of {capacity} bytes"));
        self.disk.set_capacity(capacity);
    }

    fn listen(&mut self) {
        let Some((store, _)) = &self.running else { return };
        let round = store.durable_round() + self.rng.below(4);
        let listener = Arc::new(Listener::default());
        store.on_durable(round, listener.clone());
        self.listened.push((round, listener));
    }

    fn check_listeners(&mut self) -> Result<(), String> {
        let store = self.store()?;
        let (durable, failed) = (store.durable_round(), store.failure().is_some());
        for (round, listener) in &self.listened {
            let due = u64::from(*round <= durable || failed);
            let calls = listener.calls.load(Ordering::Relaxed);
            if calls != due {
                return Err(format!("the listener for round {round} at {durable} had {calls} calls"));
            }
        }
        Ok(())
    }

    /// A store that failed is restarted, as an operator would.
    fn check_failed(&mut self) -> Result<(), String> {
        // A store that only waits for space need not notice.
        if self.plan.only_cut_at.is_some() && self.disk.is_dead() {
            return self.end(End::PowerCut);
        }
        let failed = self.store()?.failure();
        let Some(failure) = failed else { return Ok(()) };
        self.say(|| failure.to_string());
        self.coverage.failures += 1;
        let before = self.store()?.durable_round();
        self.publish();
        self.run_rounds(3)?;
        if self.store()?.durable_round() != before {
            return Err("a failed store went on confirming".into());
        }
        self.check_listeners()?;
        if self.disk.is_dead() || self.rng.below(2) == 0 { self.end(End::PowerCut) } else { self.kill() }
    }

    fn power_cut(&mut self) -> Result<(), String> {
        if self.rng.below(2) == 0 {
            return self.end(End::PowerCut);
        }
        // In the middle of something; the store will see its files fail.
        self.disk.cut_power_after(self.rng.below(12));
        self.publish();
        self.run_rounds(10)?;
        self.end(End::PowerCut)
    }

    fn kill(&mut self) -> Result<(), String> {
        self.end(End::Killed)
    }

    /// Ends the store without its doing and starts it again.
    fn end(&mut self, end: End) -> Result<(), String> {
        let Some((store, committer)) = self.running.take() else { return Ok(()) };
        let (durable, synced) = (store.durable_round(), committer.synced_round());
        // Acks that found no space are in memory only.
        let end = if end == End::Killed && store.blocked() { End::PowerCut } else { end };
        drop((store, committer));
        self.say(|| format!("{end:?} at durable {durable}, synced {synced}"));
        match end {
            End::Killed => self.disk.kill_process(),
            _ => self.disk.restart(),
        }
        match end {
            End::Killed => self.coverage.kills += 1,
            _ => self.coverage.power_cuts += 1,
        }
        self.start(Reached { durable, synced, end, maybe_closed: false }, &BTreeSet::new())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some((store, committer)) = self.running.take() else { return Ok(()) };
        let mut delivered = BTreeSet::new();
        for (&id, queue) in &self.model.queues {
            for (&seq, _) in queue.entries.iter().filter(|(_, e)| e.removed.is_none()) {
                if self.rng.below(2) == 0 {
                    delivered.insert((id, seq));
                }
            }
        }
        self.disk.set_capacity(CAPACITY_BYTES);
        let synced = committer.synced_round();
        let closed = committer.close(delivered.iter().copied());
        let durable = store.durable_round();
        self.say(|| format!("close: {closed:?}"));
        let end = if closed.is_ok() { End::Closed } else { End::PowerCut };
        drop(store);
        // A clean shutdown also survives the machine being switched off right away.
        self.disk.restart();
        self.coverage.clean_closes += u64::from(closed.is_ok());
        self.start(Reached { durable, synced, end, maybe_closed: end != End::Closed }, &delivered)
    }

    /// Opens the store, through crashes in the middle of that, and compares what it holds.
    fn start(&mut self, reached: Reached, delivered: &BTreeSet<(QueueId, u64)>) -> Result<(), String> {
        self.listened.clear();
        let mut reached = reached;
        let recovered = loop {
            let faults = Faults { lying_sync: self.faults.lying_sync, ..Faults::default() };
            self.disk.set_faults(if self.rng.below(2) == 0 { self.faults } else { faults });
            self.disk.set_capacity(CAPACITY_BYTES.max(self.disk.used_bytes()));
            // Opening needs no new space, creating does.
            let by_chance = self.plan.only_cut_at.is_none();
            if by_chance && self.coverage.steps > 0 && self.rng.below(4) == 0 {
                self.disk.set_capacity(self.disk.used_bytes());
            }
            if by_chance && self.rng.below(3) == 0 {
                self.disk.cut_power_after(self.rng.below(40));
            }
            match self.open() {
                Ok(recovered) => break recovered,
                Err(error) => {
                    self.say(|| format!("open: {error}"));
                    let injected = self.disk.is_dead() || matches!(&error, StoreError::Io { .. });
                    if !injected {
                        return Err(format!("cannot open: {error}"));
                    }
                    self.disk.restart();
                    if reached.end == End::Killed {
                        reached.end = End::PowerCut;
                    }
                    // The note of a clean shutdown may be gone by now: then everything counts as delivered.
                    reached.maybe_closed |= reached.end == End::Closed;
                }
            }
        };
        self.say(|| format!("open: {:?}", recovered.report));
        if self.plan.only_cut_at.is_none() {
            self.disk.keep_power();
        }
        self.disk.set_capacity(CAPACITY_BYTES.max(self.disk.used_bytes()));
        self.check_report(&recovered, &mut reached)?;
        self.model.recover(&recovered, reached, delivered)
    }

    fn open(&mut self) -> Result<Recovered, StoreError> {
        let known: BTreeSet<QueueId> = self.model.queues.keys().copied().collect();
        let (fs, options) = (Arc::new(self.disk.clone()), self.options.clone());
        let (store, committer, recovered) =
            Store::open_manual(fs, Path::new(DIR), options, &|queue| known.contains(&queue))?;
        self.running = Some((store, committer));
        Ok(recovered)
    }

    fn check_report(&mut self, recovered: &Recovered, reached: &mut Reached) -> Result<(), String> {
        let report = &recovered.report;
        self.coverage.cuts += u64::from(report.cut.is_some());
        if !report.damage.is_empty() {
            return Err(format!("an interrupted write was taken for corruption: {:?}", report.damage));
        }
        match (reached.end, report.clean) {
            (End::Closed, false) if reached.maybe_closed => {
                reached.end = End::Killed;
                reached.durable = Round::MAX;
            }
            (End::Closed, false) => return Err("a clean shutdown was not seen as one".into()),
            (End::Closed, true) => {}
            // The note is the last thing a close writes.
            (_, true) if reached.maybe_closed => reached.end = End::Closed,
            (_, true) => return Err("a crash was seen as a clean shutdown".into()),
            _ => {}
        }
        Ok(())
    }

    /// With the faults gone, everything settles: all is durable, the disk is within its bound, and an empty
    /// store takes two segments.
    fn finish(&mut self) -> Result<(), String> {
        if self.plan.lying_sync {
            return self.end(End::PowerCut);
        }
        self.disk.set_faults(Faults::default());
        self.faults = Faults::default();
        self.disk.set_capacity(64 * CAPACITY_BYTES);
        self.settle()?;
        self.check_failed()?;
        self.settle_alive()?;
        let stats = self.store()?.stats();
        self.coverage.compaction_bytes += stats.compaction_bytes;
        self.coverage.elided += stats.elided;
        let limit = 2 * stats.live_bytes + 2 * u64::from(self.options.segment_bytes);
        let largest = 2 * u64::from(self.options.segment_bytes) + 4096;
        if stats.disk_bytes > limit + largest {
            return Err(format!("{} bytes on disk, the limit is {limit}: {stats:?}", stats.disk_bytes));
        }
        self.close()?;
        self.disk.set_faults(Faults::default());
        self.drain()?;
        while !self.settle_alive()? {
            // What was acked and not synced is there again.
            self.drain()?;
        }
        let stats = self.store()?.stats();
        if stats.entries > 0 || stats.live_bytes > 0 || stats.disk_bytes > largest + limit_when_empty(self) {
            return Err(format!("an empty store is not: {stats:?}"));
        }
        self.close()
    }

    /// Settles through a power cut; false if there was one.
    fn settle_alive(&mut self) -> Result<bool, String> {
        self.settle()?;
        if !self.disk.is_dead() {
            return Ok(true);
        }
        self.check_failed()?;
        self.settle().map(|()| false)
    }

    fn settle(&mut self) -> Result<(), String> {
        let Some((store, committer)) = &mut self.running else { return Ok(()) };
        let last = store.ack(QueueId(u64::MAX), 1, None);
        for _ in 0..100_000 {
            let worked = committer.run_round() == Progress::Worked;
            if !(committer.run_file_job() || worked) {
                break;
            }
        }
        if self.plan.verbose {
            println!("{committer:?} {:?}", store.stats());
        }
        if self.disk.is_dead() {
            return Ok(());
        }
        if store.failure().is_none() && (store.durable_round() < last || store.blocked()) {
            return Err(format!(
                "round {last} never got durable (at {}), blocked {}",
                store.durable_round(),
                store.blocked()
            ));
        }
        self.check_listeners()
    }

    fn drain(&mut self) -> Result<(), String> {
        let all: Vec<(QueueId, u64)> = self
            .model
            .queues
            .iter()
            .flat_map(|(&id, q)| q.entries.keys().map(move |&seq| (id, seq)))
            .collect();
        for (queue, seq) in all {
            let read = self.read(queue, seq)?;
            if self.disk.is_dead() {
                self.check_failed()?;
                return self.drain();
            }
            if read.is_none() {
                return Err(format!("{queue:?} {seq} cannot be read at the end"));
            }
            let round = self.store()?.ack(queue, seq, None);
            if let Some(entry) = self.model.queues.get_mut(&queue).and_then(|q| q.entries.get_mut(&seq)) {
                entry.removed = Some(Removed { round, promised: false });
            }
        }
        Ok(())
    }
}

fn limit_when_empty(world: &World) -> u64 {
    2 * u64::from(world.options.segment_bytes)
}
