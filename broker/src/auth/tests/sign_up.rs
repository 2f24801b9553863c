use super::*;
use crate::definitions::DefinitionsError;

const PASSWORD: &str = "correct horse";

#[tokio::test]
async fn a_person_signs_up_and_logs_in_after_a_restart() {
    let broker = Broker::new();
    let alice = broker.sign_up("alice", PASSWORD, NEAR).await.unwrap();
    assert_eq!((alice.name(), alice.tags().len()), ("alice", 0));
    let log_in = broker.checks_of(broker.log_in("alice", PASSWORD, NEAR)).await;
    assert_eq!(log_in, 0, "the password was hashed a moment ago");
    let broker = broker.restart();
    broker.log_in("alice", PASSWORD, FAR).await.unwrap();
    let permission = broker.authority.permission("alice", "/").unwrap();
    assert!(permission.may_publish("", "friend.1") && !permission.may_publish("", "inbox.bob"));
    assert!(permission.allows(Access::Configure, "friend.1") && !permission.allows(Access::Configure, "q"));
    assert!(broker.authority.permission("alice", "other").is_none());
}

#[tokio::test]
async fn the_profile_is_the_configured_one() {
    let broker = Broker::with(|options| {
        options.sign_up.profile = Profile {
            configure: "^c".into(),
            write: "^amq.default$".into(),
            read: "".into(),
            publish_keys: "^k".into(),
        }
    });
    broker.sign_up("alice", PASSWORD, NEAR).await.unwrap();
    let permission = broker.authority.permission("alice", "/").unwrap();
    assert!(permission.may_publish("", "k") && !permission.may_publish("", "friend.1"));
    assert!(permission.allows(Access::Configure, "c") && !permission.allows(Access::Read, "c"));
}

#[tokio::test]
async fn without_a_wish_no_account_is_made() {
    let broker = Broker::new();
    assert_eq!(refused_for(broker.log_in("alice", PASSWORD, NEAR).await), RefusedReason::NoSuchUser);
    assert!(broker.authority.user("alice").is_none());
}

#[tokio::test]
async fn a_taken_name_is_not_logged_in_even_with_its_password() {
    let broker = Broker::new();
    broker.sign_up("alice", PASSWORD, NEAR).await.unwrap();
    for password in [PASSWORD, "another one"] {
        let error = broker.sign_up("alice", password, NEAR).await.unwrap_err();
        assert!(matches!(&error, SignUpError::NameTaken { name } if name == "alice"), "{error}");
    }
    broker.log_in("alice", PASSWORD, NEAR).await.unwrap();
}

#[tokio::test]
async fn of_two_at_once_one_gets_the_name() {
    let broker = Arc::new(Broker::with(|options| options.password_checks_at_once_max = 8));
    let sign_up = |n: usize| {
        let broker = broker.clone();
        async move { broker.sign_up("alice", &format!("password {n}"), NEAR).await.map_err(|_| n) }
    };
    let results = all((0..8).map(sign_up)).await;
    let losers: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(losers.len(), 7);
    let winner = (0..8).find(|n| !losers.contains(&n)).unwrap();
    broker.log_in("alice", &format!("password {winner}"), NEAR).await.unwrap();
    assert!(broker.log_in("alice", &format!("password {}", losers[0]), NEAR).await.is_err());
}

#[tokio::test]
async fn the_login_goes_on_only_when_the_account_is_durable() {
    let broker = Arc::new(Broker::new());
    let held = broker.definitions.hold();
    let sign_up = tokio::spawn({
        let broker = broker.clone();
        async move { broker.sign_up("alice", PASSWORD, NEAR).await }
    });
    eventually(|| broker.authority.user("alice").is_some()).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!sign_up.is_finished());
    assert!(broker.definitions.backlog() > 0);
    drop(held);
    sign_up.await.unwrap().unwrap();
    assert_eq!(broker.definitions.backlog(), 0);
}

#[tokio::test]
async fn an_account_that_cannot_be_stored_is_taken_back() {
    let broker = Broker::new();
    // Its permissions would have nothing to refer to.
    broker.definitions.submit(Change::DeleteVhost { name: "/".into() });
    let error = broker.sign_up("alice", PASSWORD, NEAR).await.unwrap_err();
    assert!(matches!(error, SignUpError::NotStored(DefinitionsError::Rejected { .. })), "{error}");
    assert!(broker.authority.user("alice").is_none());
    assert!(broker.authority.permission("alice", "/").is_none());
    let text = AuthError::from(error).for_peer("PLAIN");
    assert!(text.len() < 200 && !text.contains("FOREIGN"), "{text}");
}

#[tokio::test]
async fn closed_definitions_make_no_accounts() {
    let broker = Broker::new();
    broker.definitions.close().unwrap();
    let error = broker.sign_up("alice", PASSWORD, NEAR).await.unwrap_err();
    assert!(matches!(error, SignUpError::NotStored(DefinitionsError::Closed)), "{error}");
    assert!(broker.authority.user("alice").is_none());
}

#[tokio::test]
async fn it_is_open_for_this_machine_by_default() {
    let broker = Broker::new();
    let error = broker.sign_up("alice", PASSWORD, FAR).await.unwrap_err();
    assert!(matches!(error, SignUpError::Closed), "{error}");
    broker.sign_up("alice", PASSWORD, "::1").await.unwrap();
}

#[tokio::test]
async fn names_and_passwords_follow_the_rules() {
    let broker = Broker::new();
    for (name, password, expected) in [
        ("Alice", PASSWORD, "it has upper-case letters"),
        ("guest", PASSWORD, "it is reserved"),
        ("alice", "1234567", "at least 8 characters"),
    ] {
        let error = broker.sign_up(name, password, NEAR).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_token_counts_as_a_failed_login() {
    let broker = Broker::with(|options| {
        options.sign_up.mode = SignUpMode::Invite;
        options.sign_up.tokens = vec!["let-me-in".into()];
    });
    let sign_up = |name: &'static str, token: &'static str| {
        broker.authenticate(name, PASSWORD, FAR, Some(SignUp::Invite(token.into())))
    };
    sign_up("alice", "let-me-in").await.unwrap();
    for _ in 0..6 {
        let result = sign_up("bob", "let-me-on").await;
        assert!(matches!(result, Err(AuthError::SignUp(SignUpError::BadToken))), "{result:?}");
    }
    assert!(is_throttled(&sign_up("bob", "let-me-in").await));
    // No token at all is no guess.
    for _ in 0..10 {
        let result = broker.sign_up("carol", PASSWORD, FAR).await;
        assert!(matches!(result, Err(SignUpError::TokenNeeded)), "{result:?}");
    }
    sign_up("carol", "let-me-in").await.unwrap();
}

#[tokio::test]
async fn one_address_makes_so_many_accounts_an_hour() {
    let broker = Broker::with(|options| {
        options.sign_up.open_for = OpenFor::All;
        options.sign_up.per_hour_max = 2;
    });
    // A wish that breaks the rules uses nothing up.
    for _ in 0..5 {
        broker.sign_up("Alice", PASSWORD, FAR).await.unwrap_err();
        broker.sign_up("alice", "short", FAR).await.unwrap_err();
    }
    broker.sign_up("alice", PASSWORD, FAR).await.unwrap();
    broker.sign_up("bob", PASSWORD, FAR).await.unwrap();
    let refused = broker.checks_of(async {
        let error = broker.sign_up("carol", PASSWORD, FAR).await.unwrap_err();
        assert!(matches!(error, SignUpError::TooMany { .. }), "{error}");
        assert!(error.to_string().contains("try again in 30 minutes"), "{error}");
    });
    assert_eq!(refused.await, 0);
    broker.sign_up("carol", PASSWORD, FURTHER).await.unwrap();
    broker.log_in("alice", PASSWORD, FAR).await.unwrap();
}

#[tokio::test]
async fn a_name_made_again_is_another_account() {
    let broker = Broker::new();
    let old = broker.sign_up("alice", PASSWORD, NEAR).await.unwrap();
    assert!(broker.authority.is_current(&old));
    broker.authority.delete_user("alice").unwrap();
    assert!(!broker.authority.is_current(&old));
    let new = broker.sign_up("alice", PASSWORD, NEAR).await.unwrap();
    assert!(broker.authority.is_current(&new));
    assert!(!broker.authority.is_current(&old));
    // Another password does not make it another account.
    broker.authority.change_password("alice", "battery staple").await.unwrap();
    assert!(broker.authority.is_current(&new));
}
