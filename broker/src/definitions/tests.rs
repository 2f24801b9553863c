use std::os::unix::fs::PermissionsExt;

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("data").join(FILE_NAME)
    }

    fn open(&self) -> (Definitions, Snapshot) {
        Definitions::open(&self.path()).unwrap()
    }

    /// What the next run of the broker finds.
    fn reopened(&self) -> Snapshot {
        let mut snapshot = self.open().1;
        snapshot.users.sort();
        snapshot.queues.sort();
        snapshot.bindings.sort();
        snapshot
    }

    /// As another SQLite program sees the file.
    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

fn vhost(name: &str) -> VhostRow {
    VhostRow::named(name)
}

fn user(name: &str) -> UserRow {
    UserRow {
        name: name.into(),
        password_hash: "$argon2id$x".into(),
        tags: vec!["a \"b\"".into(), "c".into()],
    }
}

fn permission(user: &str) -> PermissionRow {
    PermissionRow {
        user: user.into(),
        vhost: "/".into(),
        configure: "^c".into(),
        write: "^w".into(),
        read: "".into(),
        publish_keys: Some(r"^friend\.".into()),
    }
}

fn policy(is_operator: bool) -> PolicyRow {
    PolicyRow {
        vhost: "/".into(),
        is_operator,
        name: "p".into(),
        pattern: "^q".into(),
        apply_to: "all".into(),
        priority: -3,
        definition: r#"{"max-length":5}"#.into(),
    }
}

fn exchange(name: &str) -> ExchangeRow {
    ExchangeRow {
        vhost: "/".into(),
        name: name.into(),
        kind: "topic".into(),
        auto_delete: true,
        internal: false,
        arguments: vec![0, 1, 255],
    }
}

fn queue(id: u64, name: &str) -> QueueRow {
    QueueRow {
        id,
        vhost: "/".into(),
        name: name.into(),
        auto_delete: false,
        owner: None,
        arguments: vec![7; 300],
    }
}

fn binding(source: &str, destination: &str, destination_is_queue: bool) -> BindingRow {
    BindingRow {
        vhost: "/".into(),
        source: source.into(),
        destination: destination.into(),
        destination_is_queue,
        routing_key: "a.*".into(),
        arguments: vec![1, 2],
    }
}

/// One row of each kind, the queue and the exchange bound to exchange `x`.
fn one_of_each(definitions: &Definitions) -> (Snapshot, Ticket) {
    let owned = QueueRow { owner: Some("alice".into()), ..queue(definitions.next_queue_id(), "q") };
    let snapshot = Snapshot {
        vhosts: vec![vhost("/")],
        users: vec![user("alice")],
        permissions: vec![permission("alice")],
        topic_permissions: vec![TopicPermissionRow {
            user: "alice".into(),
            vhost: "/".into(),
            exchange: "amq.topic".into(),
            write: "^a".into(),
            read: "^b".into(),
        }],
        vhost_limits: vec![VhostLimitsRow { vhost: "/".into(), connections_max: Some(5), queues_max: None }],
        user_limits: vec![UserLimitsRow {
            user: "alice".into(),
            connections_max: None,
            channels_max: Some(0),
        }],
        policies: vec![policy(false), policy(true)],
        exchanges: vec![exchange("x"), exchange("y")],
        queues: vec![owned],
        bindings: vec![binding("x", "q", true), binding("x", "y", false)],
    };
    (snapshot.clone(), submit_all(definitions, snapshot))
}

fn submit_all(definitions: &Definitions, rows: Snapshot) -> Ticket {
    let changes = (rows.vhosts.into_iter().map(Change::PutVhost))
        .chain(rows.users.into_iter().map(Change::PutUser))
        .chain(rows.permissions.into_iter().map(Change::PutPermission))
        .chain(rows.topic_permissions.into_iter().map(Change::PutTopicPermission))
        .chain(rows.vhost_limits.into_iter().map(Change::PutVhostLimits))
        .chain(rows.user_limits.into_iter().map(Change::PutUserLimits))
        .chain(rows.policies.into_iter().map(Change::PutPolicy))
        .chain(rows.exchanges.into_iter().map(Change::PutExchange))
        .chain(rows.queues.into_iter().map(Change::PutQueue))
        .chain(rows.bindings.into_iter().map(Change::PutBinding));
    changes.fold(Ticket(0), |_, change| definitions.submit(change))
}

#[tokio::test]
async fn every_kind_of_row_is_there_after_a_reopening() {
    let folder = Folder::new();
    let (definitions, empty) = folder.open();
    assert_eq!(empty, Snapshot::default());
    let (rows, last) = one_of_each(&definitions);
    definitions.wait(last).await.unwrap();
    assert_eq!(definitions.committed(), last.0);
    assert_eq!(definitions.backlog(), 0);
    definitions.close().unwrap();
    assert_eq!(folder.reopened(), rows);
}

#[tokio::test]
async fn what_was_waited_for_is_in_the_file_while_the_broker_runs() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let (rows, last) = one_of_each(&definitions);
    definitions.wait(last).await.unwrap();
    // What a crash at this moment would leave: the files, without a close.
    let copy = Folder::new();
    std::fs::create_dir_all(copy.path().parent().unwrap()).unwrap();
    for entry in std::fs::read_dir(folder.path().parent().unwrap()).unwrap() {
        let from = entry.unwrap().path();
        std::fs::copy(&from, copy.path().with_file_name(from.file_name().unwrap())).unwrap();
    }
    assert_eq!(copy.reopened(), rows);
}

#[tokio::test]
async fn a_put_replaces_the_row_and_keeps_what_hangs_on_it() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let (mut rows, _) = one_of_each(&definitions);
    rows.vhosts[0].description = "the shop".into();
    rows.vhosts[0].tags = vec!["production".into()];
    rows.vhosts[0].default_queue_type = Some("quorum".into());
    rows.users[0].password_hash = "new".into();
    rows.permissions[0].read = ".*".into();
    rows.permissions[0].publish_keys = None;
    rows.topic_permissions[0].write = ".*".into();
    rows.vhost_limits[0].queues_max = Some(9);
    rows.user_limits[0].channels_max = Some(2);
    rows.policies[1].priority = i64::MAX;
    rows.exchanges[0].internal = true;
    rows.queues[0].arguments = vec![];
    let last = submit_all(&definitions, rows.clone());
    definitions.wait(last).await.unwrap();
    drop(definitions);
    assert_eq!(folder.reopened(), rows);
}

/// What is left of `one_of_each` after one more change.
async fn after(change: impl FnOnce(&Snapshot) -> Change) -> Snapshot {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let (rows, _) = one_of_each(&definitions);
    let ticket = definitions.submit(change(&rows));
    definitions.wait(ticket).await.unwrap();
    drop(definitions);
    folder.reopened()
}

#[tokio::test]
async fn deleting_a_queue_deletes_its_bindings() {
    let left = after(|rows| Change::DeleteQueue { id: rows.queues[0].id }).await;
    assert_eq!((left.queues, left.bindings), (vec![], vec![binding("x", "y", false)]));
}

#[tokio::test]
async fn deleting_an_exchange_deletes_the_bindings_from_it() {
    let left = after(|_| Change::DeleteExchange { vhost: "/".into(), name: "x".into() }).await;
    assert_eq!((left.exchanges, left.bindings), (vec![exchange("y")], vec![]));
}

#[tokio::test]
async fn deleting_an_exchange_deletes_the_bindings_to_it() {
    let left = after(|_| Change::DeleteExchange { vhost: "/".into(), name: "y".into() }).await;
    assert_eq!((left.exchanges, left.bindings), (vec![exchange("x")], vec![binding("x", "q", true)]));
}

#[tokio::test]
async fn deleting_a_user_deletes_permissions_queues_and_their_bindings() {
    let left = after(|_| Change::DeleteUser { name: "alice".into() }).await;
    assert_eq!((left.users, left.permissions, left.queues), (vec![], vec![], vec![]));
    assert_eq!(left.bindings, vec![binding("x", "y", false)]);
}

#[tokio::test]
async fn deleting_a_vhost_deletes_everything_in_it() {
    let left = after(|_| Change::DeleteVhost { name: "/".into() }).await;
    assert_eq!(left.user_limits.len(), 1, "they are not about a vhost");
    assert_eq!(
        Snapshot { user_limits: vec![], ..left },
        Snapshot { users: vec![user("alice")], ..Snapshot::default() }
    );
}

#[tokio::test]
async fn deleting_a_binding_or_a_permission_deletes_that_row_alone() {
    let left = after(|_| {
        Change::Batch(vec![
            Change::DeleteBinding(binding("x", "q", true)),
            Change::DeletePermission { user: "alice".into(), vhost: "/".into() },
        ])
    })
    .await;
    assert_eq!((left.bindings, left.permissions), (vec![binding("x", "y", false)], vec![]));
    assert_eq!(left.queues.len(), 1);
}

#[tokio::test]
async fn deleting_what_is_not_there_succeeds() {
    let left = after(|_| {
        Change::Batch(vec![
            Change::DeleteVhost { name: "none".into() },
            Change::DeleteUser { name: "none".into() },
            Change::DeletePermission { user: "none".into(), vhost: "/".into() },
            Change::DeleteExchange { vhost: "/".into(), name: "none".into() },
            Change::DeleteQueue { id: 999 },
            Change::DeleteBinding(binding("x", "q", false)),
        ])
    })
    .await;
    assert_eq!(left.bindings.len(), 2);
}

#[tokio::test]
async fn a_thousand_changes_cost_far_fewer_transactions() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let last = {
        let _held = definitions.hold();
        definitions.submit(Change::PutVhost(vhost("/")));
        (0..1000).fold(Ticket(0), |_, n| {
            definitions.submit(Change::PutQueue(queue(definitions.next_queue_id(), &format!("q{n}"))))
        })
    };
    definitions.wait(last).await.unwrap();
    assert!(definitions.transactions() <= 2, "{} transactions", definitions.transactions());
    drop(definitions);
    assert_eq!(folder.reopened().queues.len(), 1000);
}

#[tokio::test]
async fn queue_ids_are_never_reused() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    definitions.submit(Change::PutVhost(vhost("/")));
    let stored = definitions.next_queue_id();
    // Handed out, and then the broker ended before the queue was stored: the log may know the id.
    let never_stored = definitions.next_queue_id();
    definitions.submit(Change::PutQueue(queue(stored, "q")));
    definitions.submit(Change::DeleteQueue { id: stored });
    definitions.close().unwrap();
    drop(definitions);
    let mut highest = never_stored;
    for _ in 0..3 {
        let (definitions, _) = folder.open();
        let id = definitions.next_queue_id();
        assert!(id > highest, "{id} after {highest}");
        highest = id;
    }
}

#[tokio::test]
async fn queue_ids_beyond_the_reserved_block_extend_it() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    definitions.submit(Change::PutVhost(vhost("/")));
    let high = definitions.next_queue_id() + writer::QUEUE_IDS_RESERVED;
    let ticket = definitions.submit(Change::Batch(vec![Change::PutQueue(queue(high, "q"))]));
    definitions.wait(ticket).await.unwrap();
    drop(definitions);
    // Ids just above it may have been handed out and not stored.
    assert!(folder.open().0.next_queue_id() > high + writer::QUEUE_IDS_RESERVED / 2);
}

#[tokio::test]
async fn a_change_that_refers_to_nothing_is_rejected_alone() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let before = definitions.submit(Change::PutVhost(vhost("/")));
    // The user was deleted while a connection of theirs declared a queue.
    let orphan = QueueRow { owner: Some("gone".into()), ..queue(definitions.next_queue_id(), "q") };
    let orphan = definitions.submit(Change::PutQueue(orphan));
    let after = definitions.submit(Change::PutUser(user("alice")));
    definitions.wait(before).await.unwrap();
    definitions.wait(after).await.unwrap();
    let error = definitions.wait(orphan).await.unwrap_err();
    assert!(matches!(error, DefinitionsError::Rejected { .. }), "{error}");
    assert!(error.to_string().contains("put queue 'q'"), "{error}");
    assert!(definitions.failure().is_none());
    drop(definitions);
    let left = folder.reopened();
    assert_eq!((left.queues, left.users), (vec![], vec![user("alice")]));
}

#[tokio::test]
async fn a_binding_to_a_queue_that_is_gone_is_rejected() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    definitions.submit(Change::PutVhost(vhost("/")));
    let ticket = definitions.submit(Change::PutBinding(binding("amq.topic", "gone", true)));
    assert!(matches!(definitions.wait(ticket).await, Err(DefinitionsError::Rejected { .. })));
    // A predeclared exchange is no row, and may still be bound.
    let ticket = definitions.submit(Change::PutBinding(binding("amq.topic", "amq.fanout", false)));
    definitions.wait(ticket).await.unwrap();
}

#[tokio::test]
async fn a_second_queue_of_the_same_name_is_rejected() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    definitions.submit(Change::PutVhost(vhost("/")));
    definitions.submit(Change::PutQueue(queue(definitions.next_queue_id(), "q")));
    let ticket = definitions.submit(Change::PutQueue(queue(definitions.next_queue_id(), "q")));
    assert!(matches!(definitions.wait(ticket).await, Err(DefinitionsError::Rejected { .. })));
}

#[tokio::test]
async fn a_batch_is_stored_whole_or_not_at_all() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let ticket = definitions.submit(Change::Batch(vec![
        Change::PutVhost(vhost("/")),
        Change::PutUser(user("alice")),
        Change::Batch(vec![
            Change::PutPermission(permission("alice")),
            Change::PutQueue(queue(u64::MAX, "q")),
        ]),
    ]));
    assert!(matches!(definitions.wait(ticket).await, Err(DefinitionsError::Rejected { .. })));
    drop(definitions);
    assert_eq!(folder.reopened(), Snapshot::default());
}

#[tokio::test]
async fn a_failed_write_poisons_every_waiter_and_all_that_follows() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    definitions.submit(Change::PutVhost(vhost("/")));
    definitions.close().unwrap();

    // A database that may not grow: what a full disk looks like to SQLite.
    let connection = schema::open(&folder.path()).unwrap();
    connection.pragma_update(None, "max_page_count", 1).unwrap();
    let (definitions, _) = Definitions::start(connection, &folder.path()).unwrap();

    let mut tickets = Vec::new();
    for n in 0..200 {
        let row =
            QueueRow { arguments: vec![0; 10_000], ..queue(definitions.next_queue_id(), &format!("q{n}")) };
        tickets.push(definitions.submit(Change::PutQueue(row)));
    }
    let error = definitions.wait(tickets[199]).await.unwrap_err();
    assert!(matches!(error, DefinitionsError::Poisoned { .. }), "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    let committed = definitions.committed();
    for ticket in &tickets {
        assert_eq!(definitions.wait(*ticket).await.is_ok(), ticket.0 <= committed);
    }
    let later = definitions.submit(Change::PutVhost(vhost("later")));
    assert!(matches!(definitions.wait(later).await, Err(DefinitionsError::Poisoned { .. })));
    assert!(matches!(definitions.failure(), Some(DefinitionsError::Poisoned { .. })));
    assert!(matches!(definitions.close(), Err(DefinitionsError::Poisoned { .. })));
    drop(definitions);
    assert_eq!(folder.reopened().queues.len() as u64, committed);
}

#[tokio::test]
async fn closing_writes_what_is_waiting_and_refuses_what_comes_later() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let (rows, last) = one_of_each(&definitions);
    definitions.close().unwrap();
    definitions.close().unwrap();
    definitions.wait(last).await.unwrap();
    let late = definitions.submit(Change::DeleteVhost { name: "/".into() });
    assert!(matches!(definitions.wait(late).await, Err(DefinitionsError::Closed)));
    assert_eq!(folder.reopened(), rows);
}

#[tokio::test]
async fn a_waiter_that_waits_already_is_woken_by_the_close() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let waiting = tokio::spawn({
        let definitions = definitions.clone();
        async move { definitions.wait(Ticket(5)).await }
    });
    tokio::task::yield_now().await;
    definitions.close().unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(DefinitionsError::Closed)));
}

#[test]
fn a_second_broker_on_the_same_file_is_refused() {
    let folder = Folder::new();
    let (definitions, _) = folder.open();
    let Err(error) = Definitions::open(&folder.path()) else { panic!("opened twice") };
    assert!(matches!(error, DefinitionsError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("--data-dir"));
    drop(definitions);
    Definitions::open(&folder.path()).unwrap();
}

#[tokio::test]
async fn what_operators_set_is_taken_back() {
    let left = after(|_| {
        Change::Batch(vec![
            Change::DeleteTopicPermissions {
                user: "alice".into(),
                vhost: "/".into(),
                exchange: Some("other".into()),
            },
            Change::PutVhostLimits(VhostLimitsRow {
                vhost: "/".into(),
                connections_max: None,
                queues_max: None,
            }),
            Change::PutUserLimits(UserLimitsRow {
                user: "alice".into(),
                connections_max: None,
                channels_max: None,
            }),
            Change::DeletePolicy { vhost: "/".into(), is_operator: false, name: "p".into() },
        ])
    })
    .await;
    assert_eq!(left.topic_permissions.len(), 1, "of another exchange");
    assert_eq!((left.vhost_limits, left.user_limits), (vec![], vec![]));
    assert_eq!(left.policies, [policy(true)]);
    let left =
        after(|_| Change::DeleteTopicPermissions { user: "alice".into(), vhost: "/".into(), exchange: None })
            .await;
    assert!(left.topic_permissions.is_empty(), "of all exchanges");
}

#[tokio::test]
async fn an_older_schema_gets_what_it_lacks_and_loses_nothing() {
    let folder = Folder::new();
    drop(folder.open());
    std::fs::remove_file(folder.path()).unwrap();
    schema::make_version_1(&folder.raw());
    let (definitions, snapshot) = folder.open();
    assert_eq!(snapshot, Snapshot { vhosts: vec![vhost("/")], ..Snapshot::default() });
    let ticket = definitions.submit(Change::PutPolicy(policy(false)));
    definitions.wait(ticket).await.unwrap();
    drop(definitions);
    assert_eq!(folder.reopened().policies, [policy(false)]);
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let folder = Folder::new();
    drop(folder.open());
    folder.raw().pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    let Err(error) = Definitions::open(&folder.path()) else { panic!("opened") };
    assert!(matches!(error, DefinitionsError::Newer { found: 4, known: 3, .. }), "{error}");
    assert!(error.to_string().contains("run that version or a later one"), "{error}");
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    folder.raw().execute_batch("CREATE TABLE other (x)").unwrap();
    let before = std::fs::read(folder.path()).unwrap();
    let Err(error) = Definitions::open(&folder.path()) else { panic!("opened") };
    assert!(matches!(error, DefinitionsError::Foreign { .. }), "{error}");
    assert_eq!(std::fs::read(folder.path()).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().parent().unwrap()).unwrap();
    std::fs::write(
        folder.path(),
        "certainly not a database, and long enough to be read as its header".repeat(20),
    )
    .unwrap();
    let Err(error) = Definitions::open(&folder.path()) else { panic!("opened") };
    assert!(matches!(error, DefinitionsError::Open { .. }), "{error}");
}

#[test]
fn only_the_owner_may_read_the_file() {
    let folder = Folder::new();
    let (_definitions, _) = folder.open();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path()), 0o600);
    assert_eq!(mode(folder.path().parent().unwrap()), 0o700);
    assert_eq!(mode(&folder.path().with_file_name("definitions.sqlite-wal")), 0o600);
}
