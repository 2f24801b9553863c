//! The root handle: everything that connections share.

mod connections;
mod firehose;
mod paging;
mod start;
mod users;
mod vhosts;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::alarm::Alarms;
use crate::auth::{AuthOptions, Authority, LoadError};
use crate::client_log::ClientLog;
use crate::clock;
use crate::config::{Config, Listener};
use crate::connection::Crowd;
use crate::definitions::{Definitions, DefinitionsError, Snapshot};
use crate::delivery_counts::{self, DeliveryCounts};
use crate::firehose::Delivery;
use crate::management::{self, ControlSocketError};
use crate::outbox::Wakes;
use crate::pager::Pager;
use crate::queue::{Entry, Host, Queue, QueueEnvironment};
use crate::store::{self, DataDirLock, QueueId, Recovered, RecoveredEntry, Store, StoreError, StoreOptions};
use crate::timer::Timer;
use crate::tls::{Tls, TlsError};
use crate::vhost::recovery::BadDefinition;
use crate::vhost::{Metadata, Vhost, VhostLimits, undo};

/// The message log's folder in the data folder.
pub(crate) const MESSAGES_FOLDER: &str = "messages";

/// Of the cluster that a broker is by itself, and of its one node.
pub(crate) const NODE: &str = "warren";

/// Why a broker cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot create the data folder {}: {source}. Choose another with --data-dir", path.display())]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error(
        "cannot listen on {addr}: {source}. Choose another address with --listen, port 0 takes a free one"
    )]
    Listen { addr: String, source: std::io::Error },
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Definitions(#[from] DefinitionsError),
    #[error(transparent)]
    Users(#[from] LoadError),
    #[error(transparent)]
    BadDefinition(#[from] BadDefinition),
    #[error(transparent)]
    LoadDefinitions(#[from] management::LoadError),
    #[error(transparent)]
    ControlSocket(#[from] ControlSocketError),
}

pub use connections::{ConnectionInfo, Traffic};
pub use start::{Process, Surroundings};
pub use users::{deleted, password_changed};
pub use vhosts::{VhostError, check_vhost_name, vhost_deleted};

pub struct Broker {
    pub config: Config,
    pub cluster_name: String,
    pub definitions: Definitions,
    pub store: Arc<Store>,
    pub authority: Authority,
    pub alarms: Arc<Alarms>,
    pub process: Option<Arc<dyn Process>>,
    /// Milliseconds since 1970.
    pub started_at_ms: u64,
    /// What is listened on, once it is.
    listeners: OnceLock<Vec<Listener>>,
    environment: Arc<QueueEnvironment>,
    vhost_limits: VhostLimits,
    /// For listeners that use it.
    pub tls: Option<Tls>,
    /// Connections that have not said who they are.
    pub crowd: Arc<Crowd>,
    pub client_log: ClientLog,
    /// Held for a look-up, or for a change and its submission to the definitions.
    vhosts: RwLock<HashMap<Box<str>, Arc<Vhost>>>,
    /// Names that no new vhost gets yet.
    vhosts_being_deleted: Mutex<Vec<String>>,
    /// Ranks above outboxes. Held for a look-up, or a copy of the references.
    connections: Mutex<connections::Connections>,
    last_connection_id: AtomicU64,
    /// Counts connections that ended.
    ended: watch::Sender<u64>,
    shutdown: watch::Sender<bool>,
    /// Held while delivery counts are written: who asks for that meanwhile is not to return before they are.
    saving_counts: Mutex<()>,
    /// Held for as long as the broker may write to its folder.
    _lock: DataDirLock,
}

impl Broker {
    /// Opens the data folder and brings back what was durable. Blocks.
    pub fn open(config: Config, surroundings: Surroundings) -> Result<Arc<Broker>, StartError> {
        let tls = config.listeners().any(|listener| listener.protocol.uses_tls());
        let tls = tls.then(|| Tls::load(&config.tls)).transpose()?;
        let dir = config.data_dir.clone();
        std::fs::create_dir_all(&dir).map_err(|source| StartError::DataDir { path: dir.clone(), source })?;
        let lock = store::lock_data_dir(&dir)?;
        let (definitions, mut snapshot) = Definitions::open(&dir.join("definitions.sqlite"))?;
        let auth = AuthOptions {
            starts_empty: !config.load_definitions.as_os_str().is_empty(),
            ..config.auth.clone()
        };
        let authority = Authority::load(&mut snapshot, definitions.clone(), auth)?;
        let known: hashbrown::HashSet<u64> = snapshot.queues.iter().map(|row| row.id).collect();
        let options =
            StoreOptions { on_progress: start::logged(surroundings.on_progress), ..store_options(&config) };
        let (store, recovered) =
            Store::open(surroundings.fs, &dir.join(MESSAGES_FOLDER), options, &|id| known.contains(&id.0))?;
        let store = Arc::new(store);
        let alarms = Arc::new(Alarms::new(config.limits.memory_high_watermark()));
        let pager = Pager::start(alarms.clone()).map_err(StartError::Thread)?;
        let timer = Timer::start().map_err(StartError::Thread)?;
        let environment = Arc::new(QueueEnvironment::new(store.clone(), pager, timer));
        let limits = VhostLimits {
            queues_max: config.limits.queues_per_vhost_max,
            exchanges_max: config.limits.exchanges_per_vhost_max,
            bindings_max: config.limits.bindings_per_vhost_max,
            owned_queues_per_user_max: config.limits.owned_queues_per_user_max,
        };
        let counts = delivery_counts::read(&dir);
        let vhosts = recover_vhosts(&snapshot, recovered, &counts, |name| {
            Vhost::new(name.into(), definitions.clone(), environment.clone(), limits.clone())
        })?;

        let cluster_name = NODE.to_owned();
        let broker = Arc::new(Broker {
            crowd: Crowd::new(config.limits.handshakes_max),
            client_log: ClientLog::new(config.limits.client_log_lines_per_minute_max),
            config,
            cluster_name,
            definitions,
            store,
            authority,
            alarms,
            process: surroundings.process,
            tls,
            started_at_ms: clock::now_ms(),
            listeners: OnceLock::new(),
            environment,
            vhost_limits: limits,
            vhosts: RwLock::new(vhosts),
            vhosts_being_deleted: Mutex::default(),
            connections: Mutex::default(),
            last_connection_id: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            shutdown: watch::Sender::new(false),
            saving_counts: Mutex::default(),
            _lock: lock,
        });
        broker.undo_what_is_rejected();
        let host: Arc<dyn Host> = broker.clone();
        broker.environment.set_host(Arc::downgrade(&host));
        if !counts.is_empty() {
            broker.environment.set_counts_changed();
            broker.save_delivery_counts();
        }
        broker.start_queues();
        Ok(broker)
    }

    /// Memory forgets what the definitions refuse.
    fn undo_what_is_rejected(self: &Arc<Self>) {
        let broker = Arc::downgrade(self);
        self.definitions.on_rejected(move |ticket, change| {
            let Some(name) = undo::vhost_of(change) else { return };
            if let Some(vhost) = broker.upgrade().and_then(|broker| broker.vhost(name)) {
                vhost.undo(ticket, change);
            }
        });
    }

    /// What has expired while the broker was down goes now: the last thing before clients come.
    fn start_queues(&self) {
        for vhost in self.vhosts() {
            let queues: Vec<_> = vhost.read().queues.values().cloned().collect();
            queues.iter().for_each(Queue::start);
        }
    }

    pub fn vhost(&self, name: &str) -> Option<Arc<Vhost>> {
        self.vhosts.read().get(name).cloned()
    }

    /// By name.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        let mut vhosts: Vec<_> = self.vhosts.read().values().cloned().collect();
        vhosts.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        vhosts
    }

    /// What the broker listens on.
    pub fn listeners(&self) -> &[Listener] {
        self.listeners.get().map_or(&[], Vec::as_slice)
    }

    /// Reads the files of `[tls]` again, for connections to come. False when no listener uses TLS.
    pub fn reload_certificates(&self) -> Result<bool, TlsError> {
        match &self.tls {
            Some(tls) => tls.reload().map(|()| true),
            None => Ok(false),
        }
    }

    pub(crate) fn set_listeners(&self, listeners: Vec<Listener>) {
        if self.listeners.set(listeners).is_err() {
            tracing::error!("the broker listens already");
        }
    }

    /// Turns true when connections are to be closed.
    pub fn shutdown_signal(&self) -> watch::Receiver<bool> {
        self.shutdown.subscribe()
    }

    pub fn begin_shutdown(&self) {
        self.shutdown.send_replace(true);
    }

    /// Writes down how often messages came back, if any did since the last time. Blocks.
    pub fn save_delivery_counts(&self) {
        let _saving = self.saving_counts.lock();
        if !self.environment.take_counts_changed() {
            return;
        }
        let mut facts = Vec::new();
        for vhost in self.vhosts() {
            let queues: Vec<_> =
                vhost.read().queues.values().filter(|queue| queue.is_stored()).cloned().collect();
            for queue in queues {
                let id = queue.spec.id;
                facts.extend(queue.facts().into_iter().map(|(seq, fact)| (id, seq, fact)));
            }
        }
        if let Err(error) = delivery_counts::write(&self.config.data_dir, facts.into_iter()) {
            self.environment.set_counts_changed();
            tracing::warn!(
                "cannot write down how often messages came back: {error}; after a restart x-delivery-count is less"
            );
        }
    }

    /// Writes down what is left to write, once no connection is left. Blocks.
    pub fn close(&self) -> Result<(), StartError> {
        let mut delivered = Vec::new();
        for vhost in self.vhosts() {
            for queue in vhost.read().queues.values().filter(|queue| queue.is_stored()) {
                delivered.extend(queue.delivered_before().into_iter().map(|seq| (queue.spec.id, seq)));
            }
        }
        self.save_delivery_counts();
        self.store.close(delivered.into_iter())?;
        self.definitions.close()?;
        Ok(())
    }
}

pub(crate) fn store_options(config: &Config) -> StoreOptions {
    StoreOptions {
        segment_bytes: config.store.segment_bytes.min(1 << 30) as u32,
        disk_free_min_bytes: config.limits.disk_free_min_bytes,
        ..StoreOptions::default()
    }
}

fn recover_vhosts(
    snapshot: &Snapshot,
    recovered: Recovered,
    counts: &DeliveryCounts,
    new_vhost: impl Fn(&str) -> Vhost,
) -> Result<HashMap<Box<str>, Arc<Vhost>>, StartError> {
    let mut vhosts: HashMap<Box<str>, Arc<Vhost>> = HashMap::new();
    for row in &snapshot.vhosts {
        let vhost = new_vhost(&row.name);
        vhost.set_metadata(Metadata::of_row(row));
        vhosts.insert(row.name.as_str().into(), Arc::new(vhost));
    }
    for row in &snapshot.policies {
        if let Some(vhost) = vhosts.get(row.vhost.as_str()) {
            vhost.recover_policy(row);
        }
    }
    for row in &snapshot.vhost_limits {
        if let Some(vhost) = vhosts.get(row.vhost.as_str()) {
            vhost.recover_limits(row.connections_max, row.queues_max);
        }
    }
    for row in &snapshot.exchanges {
        if let Some(vhost) = vhosts.get(row.vhost.as_str()) {
            vhost.recover_exchange(row)?;
        }
    }
    let mut queues: HashMap<QueueId, Arc<Queue>> = HashMap::new();
    for row in &snapshot.queues {
        if let Some(vhost) = vhosts.get(row.vhost.as_str()) {
            queues.insert(QueueId(row.id), vhost.recover_queue(row)?);
        }
    }
    for row in &snapshot.bindings {
        if let Some(vhost) = vhosts.get(row.vhost.as_str()) {
            vhost.recover_binding(row)?;
        }
    }
    for vhost in vhosts.values().filter(|vhost| !vhost.policies().is_empty()) {
        vhost.apply_policies();
    }
    fill_queues(&queues, &recovered, counts);
    Ok(vhosts)
}

fn fill_queues(queues: &HashMap<QueueId, Arc<Queue>>, recovered: &Recovered, counts: &DeliveryCounts) {
    for (&id, &next_seq) in &recovered.next_seqs {
        let Some(queue) = queues.get(&id) else { continue };
        let mut dead = HashSet::new();
        if let Some(known) = counts.get(&id) {
            for entry in recovered.entries(id) {
                if let Some(&count) = known.returns.get(&entry.seq) {
                    queue.recover_delivery_count(entry.seq, count);
                }
                let body = || Entry::only_on_disk(entry.seq, entry.body_len, entry.redelivered);
                if known.dead.get(&entry.seq).is_some_and(|&reason| queue.recover_dead(body(), reason)) {
                    dead.insert(entry.seq);
                }
            }
        }
        queue.recover(|backlog| {
            recovered.each_entry(id, |RecoveredEntry { seq, body_len, redelivered, meta }| {
                if dead.is_empty() || !dead.contains(&seq) {
                    backlog.push_recovered(seq, body_len, meta.expires_at_ms, redelivered, meta.priority);
                }
            });
            backlog.set_next_seq(next_seq);
        });
    }
}

impl Host for Broker {
    fn route_dead_letter(
        &self,
        vhost: &str,
        exchange: &str,
        routing_keys: &[&str],
        properties: &[u8],
    ) -> Option<Vec<Arc<Queue>>> {
        self.vhost(vhost)?.route_dead_letter(exchange, routing_keys, properties)
    }

    fn route_delayed(
        &self,
        vhost: &str,
        exchange: &str,
        routing_keys: &[&str],
        properties: &[u8],
    ) -> Option<Vec<Arc<Queue>>> {
        self.vhost(vhost)?.route_delayed(exchange, routing_keys, properties)
    }

    fn trace(&self, delivery: &Delivery, wakes: &mut Wakes) {
        self.trace_one_delivery(delivery, wakes);
    }

    fn delete_expired(&self, queue: &Arc<Queue>) {
        if let Some(vhost) = self.vhost(&queue.spec.vhost) {
            vhost.drop_expired_queue(queue);
        }
    }
}
