//! Logins, sign-up and administration against real definitions.

use super::*;
use crate::definitions::DefinitionsError;

const NEAR: &str = "127.0.0.1";
const FAR: &str = "192.0.2.7";

struct Broker {
    authority: Authority,
    definitions: Definitions,
    folder: tempfile::TempDir,
}

impl Broker {
    fn new() -> Broker {
        Broker::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut AuthOptions)) -> Broker {
        Broker::open(tempfile::tempdir().unwrap(), change)
    }

    fn open(folder: tempfile::TempDir, change: impl FnOnce(&mut AuthOptions)) -> Broker {
        let (definitions, mut snapshot) = Definitions::open(&folder.path().join("d.sqlite")).unwrap();
        let mut options = AuthOptions {
            password_cost: Cost { memory_kib: 8, iterations: 1, lanes: 1 },
            ..AuthOptions::default()
        };
        change(&mut options);
        let authority = Authority::load(&mut snapshot, definitions.clone(), options).unwrap();
        Broker { authority, definitions, folder }
    }

    fn restart(self) -> Broker {
        self.definitions.close().unwrap();
        let Broker { authority, definitions, folder } = self;
        drop((authority, definitions));
        Broker::open(folder, |_| {})
    }

    async fn log_in(&self, user: &str, password: &str, peer: &str) -> Result<Arc<User>, AuthError> {
        self.authenticate(user, password, peer, None).await
    }

    async fn sign_up(&self, user: &str, password: &str, peer: &str) -> Result<Arc<User>, AuthError> {
        self.authenticate(user, password, peer, Some(SignUp::Open)).await
    }

    async fn authenticate(
        &self,
        user: &str,
        password: &str,
        peer: &str,
        sign_up: Option<SignUp>,
    ) -> Result<Arc<User>, AuthError> {
        let response = format!("\0{user}\0{password}");
        self.authority.authenticate("PLAIN", response.as_bytes(), peer.parse().unwrap(), sign_up).await
    }
}

fn refused_for(result: Result<Arc<User>, AuthError>) -> RefusedReason {
    match result {
        Err(AuthError::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_folder_has_guest_for_this_machine_alone() {
    let broker = Broker::new();
    let guest = broker.log_in("guest", "guest", NEAR).await.unwrap();
    assert!(guest.is_administrator());
    assert!(broker.authority.permission("guest", "/").unwrap().allows(Access::Configure, "x"));
    broker.log_in("guest", "guest", "::1").await.unwrap();
    assert_eq!(refused_for(broker.log_in("guest", "guest", FAR).await), RefusedReason::NotLoopback);
    assert_eq!(refused_for(broker.log_in("guest", "wrong", FAR).await), RefusedReason::WrongPassword);
}

#[tokio::test]
async fn a_person_signs_up_and_logs_in_after_a_restart() {
    let broker = Broker::new();
    let alice = broker.sign_up("alice", "correct horse", NEAR).await.unwrap();
    assert_eq!((alice.name(), alice.tags().len()), ("alice", 0));
    let broker = broker.restart();
    broker.log_in("alice", "correct horse", FAR).await.unwrap();
    let permission = broker.authority.permission("alice", "/").unwrap();
    assert!(permission.may_publish("", "friend.1") && !permission.may_publish("", "inbox.bob"));
    assert!(broker.authority.permission("alice", "other").is_none());
}

#[tokio::test]
async fn a_user_whose_vhost_is_gone_is_not_signed_up() {
    let broker = Broker::new();
    broker.definitions.submit(Change::DeleteVhost { name: "/".into() });
    let result = broker.sign_up("alice", "correct horse", NEAR).await;
    let Err(AuthError::SignUp(SignUpError::NotStored(DefinitionsError::Rejected { .. }))) = result else {
        panic!("{result:?}")
    };
    assert!(broker.authority.user("alice").is_none());
    assert!(broker.authority.permission("alice", "/").is_none());
}
