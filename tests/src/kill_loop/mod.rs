//! Kills the real broker again and again while real clients work, and checks what they saw against the promise.
//!
//! Publishers send mandatory persistent messages with confirms to every queue there is or was; each queue has a keeper
//! that consumes, acks, commits, gives back, purges, deletes it and makes a new one. One of the publishers and some
//! keepers are chat users: there, deleting the queue is unfriending. See [`crate::promise`] for the rules.

mod keeper;
mod power;
mod publisher;
mod scene;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use broker::store::sim::Rng;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use shared::client::{Options, SignUp, connect};
use tokio::task::JoinSet;

use crate::promise::{Event, Summary, Violation, check};
use crate::{Broker, BrokerConfig, ChatUser, amqp};
use keeper::{Keeper, Style};
pub use power::LoopDisk;
use publisher::Publisher;
use scene::{Account, Scene};

/// How a loop goes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub kills: u64,
    /// The power of the broker's disk goes with each kill, see [`LoopDisk`].
    pub cuts_power: bool,
    /// A library for the broker: one that makes syncs do nothing must be found out when the power is cut.
    pub preload: Option<PathBuf>,
    /// What is done and when is drawn from it. A run does not repeat exactly: processes never do.
    pub seed: u64,
    /// How much is done between two kills, in events; the time it takes depends on the machine.
    pub life_events: (u64, u64),
    /// Says how far it is now and then.
    pub verbose: bool,
}

/// What broke the promise, with all that happened to the message or queue concerned.
#[derive(Debug)]
pub struct Broken {
    pub violations: Vec<(Violation, Vec<Event>)>,
}

/// How long a client gets to notice that the broker is gone.
const NOTICE_MAX: Duration = Duration::from_secs(2);

/// Small files, so that the log is rolled and compacted all the time.
const CONFIG: &str = "log = \"warn\"\n[store]\nsegment_bytes = 1048576\n";

/// Runs the loop; what it went through, if the promise was kept.
pub fn run(plan: Plan) -> Result<Summary, Broken> {
    let disk = plan.cuts_power.then(|| LoopDisk::new().unwrap_or_else(|error| panic!("no disk: {error}")));
    let broker = Broker::configured(&BrokerConfig {
        toml: CONFIG.to_owned(),
        folder: disk.as_ref().map(|disk| disk.path().to_owned()),
        preload: plan.preload.clone(),
    });
    let mut rng = Rng::new(plan.seed);
    let mut actors = Actors::new(&mut rng);
    let mut kill_loop = KillLoop { scene: Scene::default(), broker, disk, rng, plan };
    amqp::run(async {
        for account in [Account::Alice, Account::Bob] {
            sign_up(&kill_loop.broker, account).await;
        }
        let begun = Instant::now();
        for kill in 1..=kill_loop.plan.kills {
            actors = kill_loop.live(actors).await;
            if kill_loop.plan.verbose && kill.is_multiple_of(20) {
                let events = kill_loop.scene.event_count();
                println!("{kill} kills in {} s, {events} events", begun.elapsed().as_secs());
            }
        }
        wind_up(&kill_loop.scene, &kill_loop.broker, actors).await;
    });
    let history = kill_loop.scene.into_history();
    check(&history).map_err(|violations| Broken {
        violations: violations.into_iter().map(|violation| (violation, about(&history, violation))).collect(),
    })
}

/// What the history says about the subject of a violation.
fn about(history: &[Event], violation: Violation) -> Vec<Event> {
    let text = format!("{violation:?}");
    // `MessageId(7)` or `QueueNumber(7)`.
    let subject = text.split_once('(').map_or(&*text, |(_, subject)| &subject[..subject.len() - 1]);
    let concerns = |event: &&Event| **event == Event::Killed || format!("{event:?}").contains(subject);
    let mut events: Vec<Event> = history.iter().filter(concerns).copied().collect();
    events.dedup();
    events
}

async fn sign_up(broker: &Broker, account: Account) {
    let (name, url) = (account.user(), broker.url());
    let url = url.parse::<shared::client::BrokerUri>().unwrap_or_else(|error| panic!("{error}"));
    let options = Options { sign_up: Some(SignUp::Open), ..Options::new("e2e", "0") };
    let signed_up = connect(&url.with_login(name, ChatUser::PASSWORD), &options).await;
    signed_up.unwrap_or_else(|error| panic!("{name}: {error}"));
}

struct Actors {
    publishers: Vec<Publisher>,
    keepers: Vec<Keeper>,
}

impl Actors {
    fn new(rng: &mut Rng) -> Actors {
        let accounts = [Account::Guest, Account::Guest, Account::Alice];
        let publishers =
            (0..).zip(accounts).map(|(id, account)| Publisher::new(id, account, rng.fork())).collect();
        let keepers = [
            (Account::Guest, Style::Acks),
            (Account::Guest, Style::Acks),
            (Account::Guest, Style::Commits),
            (Account::Guest, Style::Parks),
            (Account::Bob, Style::Acks),
            (Account::Bob, Style::Parks),
        ];
        let keepers = keepers.map(|(account, style)| Keeper::new(account, style, rng.fork()));
        Actors { publishers, keepers: keepers.into() }
    }
}

struct KillLoop {
    scene: Scene,
    // Before its disk, which it has files open on.
    broker: Broker,
    disk: Option<LoopDisk>,
    rng: Rng,
    plan: Plan,
}

impl KillLoop {
    /// One life of the broker: everybody connects and works until it is killed; then it is started again.
    async fn live(&mut self, actors: Actors) -> Actors {
        let (over, is_over) = tokio::sync::watch::channel(false);
        let ready = std::sync::Arc::new(tokio::sync::Barrier::new(actors.keepers.len() + 1));
        let (mut publishing, mut keeping) = (JoinSet::new(), JoinSet::new());
        for mut keeper in actors.keepers {
            let (scene, url) = (self.scene.clone(), keeper.account.url(&self.broker));
            let (is_over, ready) = (is_over.clone(), ready.clone());
            keeping.spawn(async move {
                tokio::select! {
                    () = keeper.live(&scene, &url, &ready, is_over.clone()) => {}
                    () = long_over(is_over) => {}
                }
                keeper
            });
        }
        amqp::soon("all keepers at work", ready.wait()).await;
        if let (Some(disk), Some(_)) = (&self.disk, &self.plan.preload) {
            // Accounts and queues are to survive, so that what gets lost are messages.
            tokio::task::block_in_place(|| disk.sync());
        }
        for mut publisher in actors.publishers {
            let (scene, url, is_over) =
                (self.scene.clone(), publisher.account.url(&self.broker), is_over.clone());
            publishing.spawn(async move {
                tokio::select! {
                    () = publisher.live(&scene, &url) => {}
                    () = long_over(is_over) => {}
                }
                publisher.give_up(&scene);
                publisher
            });
        }
        let (least, most) = self.plan.life_events;
        let enough = self.scene.event_count() as u64 + least + self.rng.below(most - least + 1);
        amqp::soon("work for the broker", async {
            while (self.scene.event_count() as u64) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        tokio::task::block_in_place(|| {
            self.disk.iter().for_each(|disk| disk.cut_power(self.broker.process()));
            self.broker.kill9();
            self.disk.iter().for_each(LoopDisk::restore_power);
        });
        // They can only hear that the broker is gone.
        over.send_replace(true);
        let publishers = amqp::soon("the publishers' end", publishing.join_all()).await;
        let keepers = amqp::soon("the keepers' end", keeping.join_all()).await;
        // Only now: what they still read or sent was of this life.
        self.scene.note(Event::Killed);
        tokio::task::block_in_place(|| self.broker.start_again());
        Actors { publishers, keepers }
    }
}

/// A client that does not notice that its broker is gone (in the middle of opening a connection, say) is not waited
/// for: it can hear nothing more.
async fn long_over(mut is_over: tokio::sync::watch::Receiver<bool>) {
    // Its sender lives until then.
    let _ = is_over.wait_for(|over| *over).await;
    tokio::time::sleep(NOTICE_MAX).await;
}

/// Takes everything out of the queues, and looks for those that should be gone.
async fn wind_up(scene: &Scene, broker: &Broker, actors: Actors) {
    for keeper in actors.keepers {
        keeper.drain(scene, &keeper.account.url(broker)).await;
    }
    for account in [Account::Guest, Account::Bob] {
        let connection = amqp::connect(&account.url(broker)).await;
        for (number, name) in scene.deleted(account) {
            let channel = amqp::channel(&connection).await;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let found = channel.queue_declare(name.as_str().into(), passive, FieldTable::default()).await;
            scene.note(if found.is_ok() { Event::Present(number) } else { Event::Absent(number) });
        }
    }
}
