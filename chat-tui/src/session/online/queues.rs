//! Owns and consumes the queues that the store says, deletes those that it gave up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use shared::client::{Failure, Link};
use shared::topology::Ownership;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::elsewhere;
use super::intake::{Arriving, Fact};
use crate::session::uplink::{Context, Note};
use crate::store::{OwnedQueue, QueueState};

/// Unacknowledged messages per queue: what a huge backlog may put into memory.
const PREFETCH: u16 = 32;
/// Declares under way at a time.
const DECLARES_MAX: usize = 64;
/// Pauses between looks at whether a backlog is through double from the first to the last of these.
const LOOK_PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// How soon to look whether the inbox has become free; longer if it was given up to another session.
const ELSEWHERE_PAUSE: Duration = Duration::from_secs(3);
const DISPLACED_PAUSE: Duration = Duration::from_secs(30);

/// Runs until the connection or the store fails; says how.
pub async fn run(
    link: Arc<Link>,
    context: Context,
    arrivals: mpsc::Sender<Arriving>,
    facts: mpsc::UnboundedReceiver<Fact>,
) -> String {
    match Queues::open(link, context, arrivals).await {
        Ok(queues) => queues.run(facts).await,
        Err(reason) => reason,
    }
}

struct Queues {
    link: Arc<Link>,
    context: Context,
    arrivals: mpsc::Sender<Arriving>,
    /// For consuming alone: an error of the broker over a declare must not end the consumers.
    consuming: Channel,
    consumers: JoinSet<()>,
    owned: HashMap<String, Owned>,
    /// Queues that the broker does not let us have; not tried again over this connection.
    refused: HashSet<String>,
    /// Another session, with a local state of its own, takes what comes into the inbox. When to try again.
    elsewhere: Option<Instant>,
    /// While this session has the inbox: the channel that it consumes it over, and who else wants it.
    inbox: Option<Inbox>,
    caught_up: bool,
    look_pause: Duration,
}

struct Inbox {
    name: String,
    channel: Channel,
    wanted: mpsc::Receiver<()>,
}

struct Owned {
    /// Asks the consumer to say when it has passed on everything.
    ask: mpsc::Sender<()>,
    backlog: Backlog,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// Something waited in the queue when it was declared.
    Waiting,
    /// The broker has delivered all of it; it may not be in the store yet.
    Delivered,
    Stored,
}

impl Queues {
    async fn open(
        link: Arc<Link>,
        context: Context,
        arrivals: mpsc::Sender<Arriving>,
    ) -> Result<Queues, String> {
        let consuming = link.channel().await.map_err(|failure| failure.to_string())?;
        limit_prefetch(&consuming).await?;
        Ok(Queues {
            link,
            context,
            arrivals,
            consuming,
            consumers: JoinSet::new(),
            owned: HashMap::new(),
            refused: HashSet::new(),
            elsewhere: None,
            inbox: None,
            caught_up: false,
            look_pause: LOOK_PAUSE.0,
        })
    }

    async fn run(mut self, mut facts: mpsc::UnboundedReceiver<Fact>) -> String {
        let mut look = self.context.look.subscribe();
        let mut take_over = self.context.take_over.clone();
        take_over.mark_unchanged();
        loop {
            look.mark_unchanged();
            if let Err(reason) = self.reconcile().await {
                return reason;
            }
            let waiting = self.owned.values().any(|owned| owned.backlog == Backlog::Waiting);
            tokio::select! {
                Some(()) = wanted(&mut self.inbox) => self.give_inbox_up().await,
                Ok(()) = take_over.changed() => if let Err(reason) = self.take_inbox_over().await {
                    return reason;
                },
                changed = look.changed() => if changed.is_err() {
                    return "the session has ended".into();
                },
                fact = facts.recv() => match fact {
                    Some(Fact::Emptied(queue)) => if let Some(owned) = self.owned.get_mut(&queue) {
                        owned.backlog = Backlog::Stored;
                    },
                    // Deleted by somebody else, unless by us. If it is still wanted, `reconcile` declares it again.
                    Some(Fact::Gone(queue)) => {
                        self.owned.remove(&queue);
                        self.inbox.take_if(|inbox| inbox.name == queue);
                    }
                    None => return "the consumers have ended".into(),
                },
                // Back to `reconcile`, which tries the inbox again.
                () = until(self.elsewhere), if self.elsewhere.is_some() => {}
                () = sleep(self.look_pause), if waiting => {
                    self.look_pause = (self.look_pause * 2).min(LOOK_PAUSE.1);
                    if let Err(failure) = self.look_at_backlogs().await {
                        return failure.to_string();
                    }
                }
            }
        }
    }

    async fn reconcile(&mut self) -> Result<(), String> {
        let queues = self.context.store.call(|store| store.queues()).await;
        let queues = queues.map_err(|error| error.to_string())?;
        let wanted: Vec<&OwnedQueue> = queues
            .iter()
            .filter(|queue| queue.state != QueueState::ToDelete)
            .filter(|queue| !self.owned.contains_key(&queue.name) && !self.refused.contains(&queue.name))
            .filter(|queue| queue.friend.is_some() || self.elsewhere.is_none_or(|at| at <= Instant::now()))
            .collect();
        for some in wanted.chunks(DECLARES_MAX) {
            self.own(some).await?;
        }
        for queue in &queues {
            let drained = || self.owned.get(&queue.name).is_some_and(|own| own.backlog == Backlog::Stored);
            let ripe = match queue.state {
                QueueState::ToDelete => true,
                QueueState::ToDrain => drained() || self.refused.contains(&queue.name),
                QueueState::ToDeclare | QueueState::Declared => false,
            };
            if ripe {
                self.delete(queue).await?;
            }
        }
        self.note_caught_up(&queues).await;
        Ok(())
    }

    /// Declares and consumes some queues, all at once; if the broker refuses any, one by one.
    async fn own(&mut self, queues: &[&OwnedQueue]) -> Result<(), String> {
        let channel = self.link.channel().await.map_err(|failure| failure.to_string())?;
        let ownership = self.link.ownership();
        let mut declares = JoinSet::new();
        for queue in queues {
            let (channel, name) = (channel.clone(), queue.name.clone());
            declares.spawn(async move { (declare(&channel, ownership, &name).await, name) });
        }
        let mut failed = false;
        while let Some(declared) = declares.join_next().await {
            match declared {
                Ok((Ok(backlog), name)) => {
                    let inbox = queues.iter().any(|queue| queue.name == name && queue.friend.is_none());
                    self.consume(&name, inbox, backlog).await?;
                }
                _ => failed = true,
            }
        }
        if failed {
            for queue in queues {
                if !self.owned.contains_key(&queue.name) {
                    self.own_alone(queue).await?;
                }
            }
        }
        // A channel that is closed already is fine.
        let _ = channel.close(200, "OK".into()).await;
        Ok(())
    }

    async fn own_alone(&mut self, queue: &OwnedQueue) -> Result<(), String> {
        let channel = self.link.channel().await.map_err(|failure| failure.to_string())?;
        match declare(&channel, self.link.ownership(), &queue.name).await {
            Ok(backlog) => {
                self.consume(&queue.name, queue.friend.is_none(), backlog).await?;
                let _ = channel.close(200, "OK".into()).await;
            }
            Err(failure) if failure.spares_the_connection() => {
                self.refused.insert(queue.name.clone());
                let whose = queue
                    .friend
                    .as_deref()
                    .map_or("the inbox".into(), |name| format!("the queue for {name}"));
                self.context.notice(format!("the broker does not let us have {whose}: {failure}")).await;
            }
            Err(failure) => return Err(failure.to_string()),
        }
        Ok(())
    }

    async fn consume(&mut self, name: &str, inbox: bool, backlog: u32) -> Result<(), String> {
        let declared = name.to_owned();
        let stored = self.context.store.call(move |store| store.queue_declared(&declared)).await;
        stored.map_err(|error| error.to_string())?;
        let consumer = match inbox && self.link.ownership() == Ownership::UserExclusive {
            true => self.consume_inbox(name).await?,
            false => Some(self.consume_on(&self.consuming, name, false).await.map_err(|f| f.to_string())?),
        };
        let Some(consumer) = consumer else { return Ok(()) };
        let (ask, asked) = mpsc::channel(1);
        self.consumers.spawn(pass_on(name.to_owned(), consumer, asked, self.arrivals.clone()));
        let backlog = if backlog == 0 { Backlog::Stored } else { Backlog::Waiting };
        if backlog == Backlog::Waiting {
            self.look_pause = LOOK_PAUSE.0;
        }
        self.owned.insert(name.to_owned(), Owned { ask, backlog });
        self.context.changed().await;
        Ok(())
    }

    async fn consume_on(&self, channel: &Channel, name: &str, exclusive: bool) -> Result<Consumer, Failure> {
        let options = BasicConsumeOptions { exclusive, ..BasicConsumeOptions::default() };
        Ok(channel.basic_consume(name.into(), "".into(), options, FieldTable::default()).await?)
    }

    /// Consumes the inbox alone: two local states that take turns would both miss half of the requests. `None`: another
    /// session does.
    async fn consume_inbox(&mut self, name: &str) -> Result<Option<Consumer>, String> {
        let channel = self.link.channel().await.map_err(|failure| failure.to_string())?;
        limit_prefetch(&channel).await?;
        match self.consume_on(&channel, name, true).await {
            Ok(consumer) => {
                self.elsewhere = None;
                let (want, wanted) = mpsc::channel(1);
                match elsewhere::listen(&self.link, &self.context.me, name, want).await {
                    Ok(()) => {}
                    // The inbox is ours all the same.
                    Err(failure) if failure.spares_the_connection() => {
                        tracing::warn!(%failure, "other sessions cannot ask for the inbox");
                    }
                    Err(failure) => return Err(failure.to_string()),
                }
                self.inbox = Some(Inbox { name: name.to_owned(), channel, wanted });
                Ok(Some(consumer))
            }
            Err(failure) if failure.is_access_refused() && failure.spares_the_connection() => {
                if self.elsewhere.replace(Instant::now() + ELSEWHERE_PAUSE).is_none() {
                    let me = &self.context.me;
                    self.context
                        .notice(format!(
                            "{me} is signed in elsewhere too, with another data folder: friend requests arrive there \
                             until that session ends, or you type /take-over"
                        ))
                        .await;
                }
                Ok(None)
            }
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// Another session wants the inbox. What was not acknowledged yet goes there too.
    async fn give_inbox_up(&mut self) {
        let Some(inbox) = self.inbox.take() else { return };
        self.elsewhere = Some(Instant::now() + DISPLACED_PAUSE);
        self.owned.remove(&inbox.name);
        // A channel that is closed already is fine.
        let _ = inbox.channel.close(200, "OK".into()).await;
        self.context
            .notice(
                "another session of yours has taken the friend requests over: they arrive there until it ends, or you \
                 type /take-over",
            )
            .await;
    }

    async fn take_inbox_over(&mut self) -> Result<(), String> {
        if self.inbox.is_some() || self.elsewhere.is_none() {
            self.context.notice("friend requests arrive here already").await;
            return Ok(());
        }
        let queues =
            self.context.store.call(|store| store.queues()).await.map_err(|error| error.to_string())?;
        let Some(inbox) = queues.into_iter().find(|queue| queue.friend.is_none()) else { return Ok(()) };
        let said = match elsewhere::ask(&self.link, &inbox.name).await? {
            true => "friend requests arrive here from now on",
            false => "the other session does not listen: it is of an older version, or is just ending",
        };
        self.context.notice(said).await;
        self.elsewhere = Some(Instant::now() + ELSEWHERE_PAUSE / 10);
        Ok(())
    }

    async fn delete(&mut self, queue: &OwnedQueue) -> Result<(), String> {
        let channel = self.link.channel().await.map_err(|failure| failure.to_string())?;
        let deleting = channel.queue_delete(queue.name.as_str().into(), QueueDeleteOptions::default());
        match deleting.await.map_err(Failure::from) {
            Ok(_) => {}
            // Not ours to delete (any more): as good as deleted.
            Err(failure) if failure.spares_the_connection() => {
                tracing::warn!(%failure, "a queue could not be deleted");
            }
            Err(failure) => return Err(failure.to_string()),
        }
        let _ = channel.close(200, "OK".into()).await;
        self.owned.remove(&queue.name);
        let name = queue.name.clone();
        let stored = self.context.store.call(move |store| store.queue_deleted(&name)).await;
        stored.map_err(|error| error.to_string())?;
        self.context.changed().await;
        Ok(())
    }

    /// Asks the broker which queues have nothing left to deliver. On the channel of the consumers: its answer comes behind
    /// the deliveries.
    async fn look_at_backlogs(&mut self) -> Result<(), Failure> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        for (name, owned) in &mut self.owned {
            if owned.backlog != Backlog::Waiting {
                continue;
            }
            let declared =
                self.consuming.queue_declare(name.as_str().into(), passive, FieldTable::default()).await?;
            if declared.message_count() == 0 {
                owned.backlog = Backlog::Delivered;
                // A consumer that is gone says so itself.
                let _ = owned.ask.try_send(());
            }
        }
        Ok(())
    }

    async fn note_caught_up(&mut self, queues: &[OwnedQueue]) {
        let stored = |queue: &OwnedQueue| {
            self.refused.contains(&queue.name)
                || (queue.friend.is_none() && self.elsewhere.is_some())
                || self.owned.get(&queue.name).is_some_and(|owned| owned.backlog == Backlog::Stored)
        };
        let has_inbox = queues.iter().any(|queue| queue.friend.is_none());
        let all = queues.iter().filter(|queue| queue.state != QueueState::ToDelete).all(stored);
        if !self.caught_up && has_inbox && all {
            self.caught_up = true;
            let _ = self.context.notes.send(Note::CaughtUp).await;
        }
    }
}

async fn limit_prefetch(channel: &Channel) -> Result<(), String> {
    let limited = channel.basic_qos(PREFETCH, BasicQosOptions::default()).await;
    limited.map_err(|error| Failure::from(error).to_string())
}

async fn wanted(inbox: &mut Option<Inbox>) -> Option<()> {
    match inbox {
        Some(inbox) => match inbox.wanted.recv().await {
            Some(()) => Some(()),
            // Nobody listens for others.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Declares a queue that belongs to the user; returns how many messages wait in it.
async fn declare(channel: &Channel, ownership: Ownership, name: &str) -> Result<u32, Failure> {
    let declared = channel
        .queue_declare(name.into(), ownership.declare_options(), ownership.declare_arguments())
        .await?;
    Ok(declared.message_count())
}

async fn pass_on(
    queue: String,
    mut consumer: Consumer,
    mut asked: mpsc::Receiver<()>,
    arrivals: mpsc::Sender<Arriving>,
) {
    loop {
        let arriving = tokio::select! {
            // Whatever was delivered before the question comes before the answer.
            biased;
            delivered = consumer.next() => match delivered {
                Some(Ok(delivery)) => {
                    Arriving::Delivery { queue: queue.clone(), delivery: Box::new(delivery) }
                }
                Some(Err(error)) => Arriving::Failed(Failure::from(error)),
                None => Arriving::Gone { queue: queue.clone() },
            },
            Some(()) = asked.recv() => Arriving::Emptied { queue: queue.clone() },
        };
        let last = matches!(arriving, Arriving::Gone { .. } | Arriving::Failed(_));
        if arrivals.send(arriving).await.is_err() || last {
            return;
        }
    }
}
