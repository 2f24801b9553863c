//! A broker in this process, on port 0, with a temporary data folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use broker::auth::{Cost, Permission};
use broker::config::{Config, Listener, Protocol};
use broker::store::sim::Disk;
use broker::{Broker, RunningBroker, Surroundings};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::client::{Client, Login};

/// May do everything: configure, write, read, any routing key on the default exchange.
pub const FULL: [&str; 3] = [".*", ".*", ".*"];

pub struct TestBroker {
    running: Option<RunningBroker>,
    runtime: Option<Runtime>,
    dir: Option<TempDir>,
    config: Config,
    surroundings: Surroundings,
}

impl TestBroker {
    pub fn start() -> TestBroker {
        TestBroker::with(|_| ())
    }

    /// With a configuration other than the default.
    pub fn with(change: impl FnOnce(&mut Config)) -> TestBroker {
        TestBroker::in_folder(TempDir::new().unwrap(), change)
    }

    pub fn in_folder(dir: TempDir, change: impl FnOnce(&mut Config)) -> TestBroker {
        TestBroker::in_surroundings(dir, Surroundings::default(), change)
    }

    /// With its message log on a disk that can be made to fail.
    pub fn on_disk(disk: &Disk, change: impl FnOnce(&mut Config)) -> TestBroker {
        let surroundings = Surroundings { fs: Arc::new(disk.clone()), ..Surroundings::default() };
        TestBroker::in_surroundings(TempDir::new().unwrap(), surroundings, change)
    }

    fn in_surroundings(
        dir: TempDir,
        surroundings: Surroundings,
        change: impl FnOnce(&mut Config),
    ) -> TestBroker {
        let mut config = Config {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
            data_dir: dir.path().to_owned(),
            ..Config::default()
        };
        config.auth.password_cost = Cost { memory_kib: 8, iterations: 1, lanes: 1 };
        config.store.segment_bytes = 1 << 20;
        // Whatever the machine that runs the tests has left.
        config.limits.disk_free_min_bytes = 0;
        change(&mut config);
        TestBroker::launch(dir, config, surroundings)
    }

    fn launch(dir: TempDir, config: Config, surroundings: Surroundings) -> TestBroker {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(Broker::start_in(config.clone(), surroundings.clone())).unwrap();
        TestBroker { running: Some(running), runtime: Some(runtime), dir: Some(dir), config, surroundings }
    }

    /// A broker that begins with this one's files as they are at this moment: what a crash would leave behind.
    pub fn crashed_copy(&self) -> TestBroker {
        let dir = TempDir::new().unwrap();
        copy_folder(&self.config.data_dir, dir.path());
        let config = Config { data_dir: dir.path().to_owned(), ..self.config.clone() };
        TestBroker::launch(dir, config, self.surroundings.clone())
    }

    /// Ends without an orderly shutdown, and starts again on the same folder once `meanwhile` was done.
    pub fn crashed(mut self, meanwhile: impl FnOnce()) -> TestBroker {
        drop(self.running.take());
        self.runtime.take().unwrap().shutdown_timeout(std::time::Duration::from_secs(10));
        meanwhile();
        let dir = self.dir.take().unwrap();
        TestBroker::launch(dir, self.config.clone(), self.surroundings.clone())
    }

    /// Stops well and starts again on the same folder.
    pub fn restarted(mut self) -> TestBroker {
        self.stop();
        let dir = self.dir.take().unwrap();
        TestBroker::launch(dir, self.config.clone(), self.surroundings.clone())
    }

    /// Stops well. Returns when it has stopped.
    pub fn stop(&mut self) {
        let running = self.running.take().unwrap();
        self.runtime.as_ref().unwrap().block_on(running.shutdown()).unwrap();
    }

    /// Begins to stop and returns at once; the handle's `join` ends with it.
    pub fn stop_in_background(mut self) -> std::thread::JoinHandle<()> {
        std::thread::spawn(move || self.stop())
    }

    pub fn addr(&self) -> SocketAddr {
        self.running.as_ref().unwrap().local_addr()
    }

    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.listeners().map(|listener| listener.address).collect()
    }

    /// The first listener of that protocol.
    pub fn addr_of(&self, protocol: Protocol) -> SocketAddr {
        self.listeners().find(|listener| listener.protocol == protocol).unwrap().address
    }

    fn listeners(&self) -> impl Iterator<Item = Listener> {
        self.running.as_ref().unwrap().listeners().iter().copied()
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn broker(&self) -> &Arc<Broker> {
        self.running.as_ref().unwrap().broker()
    }

    pub fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }

    /// An open connection of `guest`.
    pub fn connect(&self) -> Client {
        Client::open(self.addr(), &Login::default())
    }

    /// An open connection of `guest` with channel 1 open.
    pub fn connect_with_channel(&self) -> Client {
        let mut client = self.connect();
        client.open_channel(1);
        client
    }

    /// An open connection of a user made by [`TestBroker::add_user`], with channel 1 open.
    pub fn connect_as(&self, user: &str) -> Client {
        let mut client = Client::open(self.addr(), &Login { user, password: user, ..Login::default() });
        client.open_channel(1);
        client
    }

    /// A user whose password is its name, with configure, write and read permission in vhost `/`.
    pub fn add_user(&self, name: &str, [configure, write, read]: [&str; 3]) {
        self.add_user_with(name, Permission::new(configure, write, read, None).unwrap());
    }

    pub fn add_user_with(&self, name: &str, permission: Permission) {
        let authority = &self.broker().authority;
        self.runtime().block_on(authority.add_user(name, name, Vec::new())).unwrap();
        authority.set_permissions(name, "/", permission).unwrap();
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
