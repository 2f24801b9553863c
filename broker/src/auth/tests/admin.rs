use super::*;
use crate::definitions::{Ticket, UserRow};
use crate::test_log::log_of;

fn row(user: &str, vhost: &str, configure: &str) -> PermissionRow {
    PermissionRow {
        user: user.into(),
        vhost: vhost.into(),
        configure: configure.into(),
        write: "^w".into(),
        read: "".into(),
        publish_keys: None,
    }
}

fn permission(configure: &str) -> Permission {
    Permission::new(configure, "^w", "", None).unwrap()
}

#[tokio::test]
async fn changes_are_in_force_at_once_and_after_a_restart() {
    let broker = Broker::new();
    let authority = &broker.authority;
    authority.add_user("alice", "first password", vec![]).await.unwrap();
    authority.change_password("alice", "second password").await.unwrap();
    authority.set_tags("alice", vec!["administrator".into(), "monitoring".into()]).unwrap();
    authority.set_permissions("alice", "/", permission("^a")).unwrap();
    authority.set_permissions("alice", "/", permission("^b")).unwrap();
    authority.add_user("bob", "bob's password", vec![]).await.unwrap();
    authority.set_permissions("bob", "/", permission("^c")).unwrap();
    authority.clear_permissions("bob", "/").unwrap();
    authority.add_user("carol", "carol's password", vec![]).await.unwrap();
    authority.set_permissions("carol", "/", permission("^d")).unwrap();
    let last = authority.delete_user("carol").unwrap();
    // Or the next carol would have them.
    assert!(authority.permission("carol", "/").is_none());
    broker.definitions.wait(last).await.unwrap();

    async fn check(broker: &Broker) {
        let authority = &broker.authority;
        let names: Vec<_> = authority.list_users().iter().map(|user| user.name().to_owned()).collect();
        assert_eq!(names, ["alice", "bob", "guest"]);
        let rows = authority.list_permissions();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0], row("alice", "/", "^b"));
        assert_eq!(rows[1].user, "guest");
        let alice = broker.log_in("alice", "second password", NEAR).await.unwrap();
        assert_eq!(alice.tags(), ["administrator", "monitoring"]);
        assert!(alice.is_administrator());
        assert!(authority.permission("alice", "/").unwrap().allows(Access::Configure, "b"));
        assert!(authority.permission("bob", "/").is_none());
    }
    check(&broker).await;
    check(&broker.restart()).await;
}

#[tokio::test]
async fn a_folder_in_use_gets_no_new_guest() {
    let broker = Broker::new();
    broker.authority.change_password("guest", "another password").await.unwrap();
    let broker = broker.restart();
    assert_eq!(refused_for(broker.log_in("guest", "guest", NEAR).await), RefusedReason::WrongPassword);
    broker.authority.delete_user("guest").unwrap();
    let broker = broker.restart();
    assert!(broker.authority.list_users().is_empty());
}

#[tokio::test]
async fn a_new_folder_tells_the_vhosts_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(crate::definitions::FILE_NAME);
    let (definitions, mut snapshot) = Definitions::open(&path).unwrap();
    Authority::load(&mut snapshot, definitions.clone(), options(|_| {})).unwrap();
    assert_eq!(snapshot.vhosts.len(), 1);
    definitions.close().unwrap();
    drop(definitions);
    let (_definitions, stored) = Definitions::open(&path).unwrap();
    assert_eq!(stored, snapshot);
}

#[tokio::test]
async fn errors_name_what_is_wrong() {
    let broker = Broker::new();
    let authority = &broker.authority;
    let text = |result: Result<Ticket, UserError>| result.unwrap_err().to_string();
    let no_user = "there is no user 'nobody'";
    assert_eq!(text(authority.delete_user("nobody")), no_user);
    assert_eq!(text(authority.set_tags("nobody", vec![])), no_user);
    assert_eq!(text(authority.change_password("nobody", "x").await), no_user);
    assert_eq!(text(authority.set_permissions("nobody", "/", permission("^a"))), no_user);
    assert_eq!(text(authority.clear_permissions("nobody", "/")), no_user);
    assert_eq!(text(authority.add_user("guest", "x", vec![]).await), "user 'guest' exists already");
    assert_eq!(text(authority.add_user("alice", "", vec![]).await), "a password must not be empty");
    assert_eq!(text(authority.change_password("guest", "").await), "a password must not be empty");
    for name in ["", "a\nb", &"a".repeat(256)] {
        assert!(text(authority.add_user(name, "x", vec![]).await).contains("1 to 255 bytes"));
    }
    assert_eq!(authority.list_users().len(), 1);
}

#[tokio::test]
async fn the_revision_changes_with_each_change_and_with_no_login() {
    let broker = Broker::new();
    let authority = &broker.authority;
    let mut revision = authority.revision();
    let mut changed = |what: &str| {
        assert_ne!(authority.revision(), revision, "{what}");
        revision = authority.revision();
    };
    authority.add_user("alice", "x", vec![]).await.unwrap();
    changed("add_user");
    authority.change_password("alice", "y").await.unwrap();
    changed("change_password");
    authority.set_tags("alice", vec![]).unwrap();
    changed("set_tags");
    authority.set_permissions("alice", "/", permission("^a")).unwrap();
    changed("set_permissions");
    authority.clear_permissions("alice", "/").unwrap();
    changed("clear_permissions");
    authority.delete_user("alice").unwrap();
    changed("delete_user");
    broker.sign_up("bob", "correct horse", NEAR).await.unwrap();
    changed("sign_up");
    authority.forget_vhost("/");
    changed("forget_vhost");
    broker.log_in("bob", "correct horse", NEAR).await.unwrap();
    broker.log_in("bob", "wrong", NEAR).await.unwrap_err();
    assert_eq!(authority.revision(), revision);
}

#[tokio::test]
async fn a_deleted_vhost_takes_its_permissions_along() {
    let broker = Broker::new();
    broker.definitions.submit(Change::PutVhost(crate::definitions::VhostRow::named("other")));
    broker.authority.set_permissions("guest", "other", permission("^a")).unwrap();
    broker.authority.forget_vhost("other");
    broker.definitions.submit(Change::DeleteVhost { name: "other".into() });
    assert!(broker.authority.permission("guest", "other").is_none());
    assert!(broker.authority.permission("guest", "/").is_some());
    let before = broker.authority.list_permissions();
    assert_eq!(broker.restart().authority.list_permissions(), before);
}

#[tokio::test]
async fn a_stored_pattern_that_cannot_be_read_grants_nothing() {
    let mut snapshot = Snapshot::default();
    snapshot.users.push(UserRow { name: "alice".into(), password_hash: String::new(), tags: vec![] });
    snapshot.permissions.push(row("alice", "/", "^("));
    snapshot.permissions.push(row("alice", "other", "^a"));
    let state = State::from_rows(&snapshot);
    assert!(!state.permissions["alice"].contains_key("/"));
    assert!(state.permissions["alice"].contains_key("other"));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (definitions, _) = Definitions::open(&folder.path().join("d")).unwrap();
    let load = |change: fn(&mut AuthOptions)| {
        let error = Authority::load(&mut Snapshot::default(), definitions.clone(), options(change)).err();
        error.map(|e| e.to_string()).unwrap_or_default()
    };
    let error = load(|options| options.sign_up.profile.read = "a(".into());
    assert_eq!(
        error,
        "auth.sign_up.profile: the pattern 'a(' is not a regular expression: unclosed group at character 2"
    );
    let error = load(|options| options.sign_up.tokens = vec!["sha256:x".into()]);
    assert!(error.starts_with("auth.sign_up.tokens: the invite token 'sha256:x' is not"), "{error}");
    let error = load(|options| options.password_cost.memory_kib = 0);
    assert!(error.contains("invalid parameter"), "{error}");
}

#[tokio::test]
async fn an_unanchored_pattern_is_warned_about_when_it_is_set() {
    let broker = Broker::new();
    let set = |configure| {
        log_of(|| {
            broker.authority.set_permissions("guest", "/", permission(configure)).unwrap();
        })
    };
    let log = set("friend");
    assert!(log.contains("WARN") && log.contains("the configure pattern 'friend' of user 'guest'"), "{log}");
    assert_eq!(set("^friend"), "");
    assert_eq!(set(".*"), "");
}
