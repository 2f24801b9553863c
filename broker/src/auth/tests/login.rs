use super::*;

#[tokio::test]
async fn a_new_folder_has_guest_for_this_machine_alone() {
    let broker = Broker::new();
    let guest = broker.log_in("guest", "guest", NEAR).await.unwrap();
    assert!(guest.is_administrator());
    let permission = broker.authority.permission("guest", "/").unwrap();
    assert!(permission.allows(Access::Configure, "x") && permission.may_publish("", "anything"));
    broker.log_in("guest", "guest", "::1").await.unwrap();
    broker.log_in("guest", "guest", "::ffff:127.0.0.1").await.unwrap();
    assert_eq!(refused_for(broker.log_in("guest", "guest", FAR).await), RefusedReason::NotLoopback);
    // A password that was never right says nothing about where guest may log in from.
    assert_eq!(refused_for(broker.log_in("guest", "wrong", FAR).await), RefusedReason::WrongPassword);
}

#[tokio::test]
async fn guest_may_be_let_in_from_everywhere() {
    let broker = Broker::with(|options| options.loopback_users.clear());
    broker.log_in("guest", "guest", FAR).await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_why_to_the_log_alone() {
    let broker = Broker::new();
    broker.authority.add_user("alice", "correct horse", vec![]).await.unwrap();
    assert_eq!(refused_for(broker.log_in("alice", "wrong", NEAR).await), RefusedReason::WrongPassword);
    assert_eq!(refused_for(broker.log_in("alic", "correct horse", NEAR).await), RefusedReason::NoSuchUser);
    assert_eq!(refused_for(broker.log_in("Alice", "correct horse", NEAR).await), RefusedReason::NoSuchUser);
    let wrong = broker.log_in("alice", "wrong", NEAR).await.unwrap_err();
    let unknown = broker.log_in("alic", "wrong", NEAR).await.unwrap_err();
    assert_eq!(wrong.for_peer("PLAIN"), unknown.for_peer("PLAIN"));
}

#[tokio::test]
async fn every_mechanism_on_offer_logs_in_and_no_other() {
    let broker = Broker::new();
    let peer = NEAR.parse().unwrap();
    let authenticate = |mechanism, response| broker.authority.authenticate(mechanism, response, peer, None);
    let amqplain = b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05guest".as_slice();
    for mechanism in PASSWORD_MECHANISMS.split(' ') {
        let response = if mechanism == "AMQPLAIN" { amqplain } else { b"\0guest\0guest" };
        assert_eq!(authenticate(mechanism, response).await.unwrap().name(), "guest");
    }
    let error = authenticate("EXTERNAL", b"").await.unwrap_err();
    assert!(matches!(&error, AuthError::UnknownMechanism { mechanism } if mechanism == "EXTERNAL"));
    assert!(error.for_peer("EXTERNAL").contains("this broker offers PLAIN AMQPLAIN"));
    let error = authenticate("PLAIN", b"guest").await.unwrap_err();
    assert!(matches!(error, AuthError::Malformed(_)));
}

#[tokio::test]
async fn a_password_that_was_right_is_not_checked_again() {
    let broker = Broker::new();
    let log_in = || broker.log_in("guest", "guest", NEAR);
    assert_eq!(broker.checks_of(log_in()).await, 1);
    assert_eq!(broker.checks_of(log_in()).await, 0);
    // From wherever.
    assert_eq!(broker.checks_of(broker.log_in("guest", "guest", "::1")).await, 0);
    // A wrong one is checked, and does not undo it.
    assert_eq!(broker.checks_of(broker.log_in("guest", "wrong", NEAR)).await, 1);
    assert_eq!(broker.checks_of(log_in()).await, 0);
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_at_once() {
    let broker = Broker::new();
    broker.authority.add_user("alice", "old password", vec!["x".into()]).await.unwrap();
    let before = broker.log_in("alice", "old password", NEAR).await.unwrap();
    broker.authority.set_tags("alice", vec!["x".into()]).unwrap();
    assert!(broker.authority.is_current_password(&before));
    broker.authority.change_password("alice", "new password").await.unwrap();
    assert!(broker.authority.is_current(&before) && !broker.authority.is_current_password(&before));
    assert_eq!(refused_for(broker.log_in("alice", "old password", NEAR).await), RefusedReason::WrongPassword);
    let alice = broker.log_in("alice", "new password", NEAR).await.unwrap();
    assert_eq!(alice.tags(), ["x"]);
}

#[tokio::test]
async fn a_user_that_does_not_exist_costs_the_same_check_in_the_same_queue() {
    let broker = Broker::with(|options| options.password_checks_at_once_max = 1);
    assert_eq!(broker.checks_of(broker.log_in("guest", "wrong", NEAR)).await, 1);
    assert_eq!(broker.checks_of(broker.log_in("nobody", "wrong", NEAR)).await, 1);

    let slot = broker.authority.passwords.slot().await;
    let mut login = std::pin::pin!(broker.log_in("nobody", "wrong", NEAR));
    let waits = tokio::select! {
        biased;
        _ = &mut login => false,
        () = tokio::task::yield_now() => true,
    };
    assert!(waits, "no answer while the checks of others run");
    drop(slot);
    assert_eq!(refused_for(login.await), RefusedReason::NoSuchUser);
}

#[tokio::test]
async fn a_storm_of_one_users_connections_costs_one_check() {
    let broker = Arc::new(Broker::with(|options| options.password_checks_at_once_max = 1));
    let log_in = |_| {
        let broker = broker.clone();
        async move { broker.log_in("guest", "guest", NEAR).await.is_ok() }
    };
    let checks = broker.checks_of(async {
        let logins = all((0..500).map(log_in)).await;
        assert!(logins.into_iter().all(|ok| ok));
    });
    assert_eq!(checks.await, 1);
}

#[tokio::test(start_paused = true)]
async fn after_five_failures_a_login_waits_for_the_end_of_the_pause() {
    let broker = Broker::new();
    for _ in 0..6 {
        assert_eq!(refused_for(broker.log_in("guest", "wrong", NEAR).await), RefusedReason::WrongPassword);
    }
    let began = Instant::now();
    broker.log_in("guest", "guest", NEAR).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn after_more_failures_an_address_is_refused_for_a_while() {
    let broker = Broker::new();
    for _ in 0..9 {
        assert_eq!(refused_for(broker.log_in("guest", "wrong", NEAR).await), RefusedReason::WrongPassword);
    }
    let paused = broker.checks_of(async {
        // Else the pause would not slow guessing down: the right password ends it too.
        for password in ["wrong", "guest"] {
            let result = broker.log_in("guest", password, NEAR).await;
            let Err(AuthError::Throttled { retry_after, .. }) = result else { panic!("{result:?}") };
            assert!(retry_after > LONGEST_WAIT, "{retry_after:?}");
        }
    });
    assert_eq!(paused.await, 0, "a paused login must cost nothing");
    // Nobody else has to.
    broker.log_in("guest", "guest", "::1").await.unwrap();
    broker.authority.add_user("alice", "correct horse", vec![]).await.unwrap();
    broker.log_in("alice", "correct horse", NEAR).await.unwrap();

    tokio::time::advance(Duration::from_secs(4)).await;
    broker.log_in("guest", "guest", NEAR).await.unwrap();
}

#[tokio::test]
async fn a_success_forgives_the_failures_before_it() {
    let broker = Broker::new();
    for _ in 0..3 {
        // Known passwords do not come as far as the count: this one is new each time.
        broker.authority.change_password("guest", "guest").await.unwrap();
        for _ in 0..5 {
            assert_eq!(
                refused_for(broker.log_in("guest", "wrong", NEAR).await),
                RefusedReason::WrongPassword
            );
        }
        broker.log_in("guest", "guest", NEAR).await.unwrap();
    }
}

#[tokio::test]
async fn a_thousand_guesses_at_once_are_no_more_than_one_by_one() {
    let broker = Arc::new(Broker::with(|options| options.password_checks_at_once_max = 1));
    let guess = |n: usize| {
        let broker = broker.clone();
        async move { broker.log_in("guest", &format!("guess {n}"), NEAR).await }
    };
    let checks = broker.checks_of(async {
        let results = all((0..1000).map(guess)).await;
        assert_eq!(results.iter().filter(|result| is_throttled(result)).count(), 994);
    });
    assert_eq!(checks.await, 6);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_tries_many_names_has_to_pause_as_a_whole() {
    let broker = Broker::new();
    broker.authority.add_user("alice", "correct horse", vec![]).await.unwrap();
    for n in 0..54 {
        let result = broker.log_in(&format!("user{n}"), "password", FAR).await;
        assert_eq!(refused_for(result), RefusedReason::NoSuchUser);
    }
    assert!(is_throttled(&broker.log_in("alice", "correct horse", FAR).await));
    broker.log_in("alice", "correct horse", FURTHER).await.unwrap();
}

#[tokio::test]
async fn loopback_never_pauses_as_a_whole() {
    let broker = Broker::new();
    for n in 0..60 {
        let result = broker.log_in(&format!("user{n}"), "password", NEAR).await;
        assert_eq!(refused_for(result), RefusedReason::NoSuchUser);
    }
    broker.log_in("guest", "guest", NEAR).await.unwrap();
}

#[tokio::test]
async fn a_user_deleted_during_the_check_is_not_let_in() {
    let broker = Arc::new(Broker::with(|options| options.password_checks_at_once_max = 1));
    broker.authority.add_user("alice", "correct horse", vec![]).await.unwrap();
    let slot = broker.authority.passwords.slot().await;
    let login = tokio::spawn({
        let broker = broker.clone();
        async move { broker.log_in("alice", "correct horse", NEAR).await }
    });
    tokio::task::yield_now().await;
    broker.authority.delete_user("alice").unwrap();
    drop(slot);
    assert_eq!(refused_for(login.await.unwrap()), RefusedReason::NoSuchUser);
}

#[tokio::test]
async fn a_name_that_changes_hands_during_the_check_is_not_let_in() {
    // Slow enough that the check still runs when the name changes hands.
    let cost = Cost { memory_kib: 16 * 1024, iterations: 20, lanes: 1 };
    let broker = Arc::new(Broker::with(|options| options.password_cost = cost));
    broker.authority.add_user("alice", "correct horse", vec![]).await.unwrap();
    let before = broker.authority.password_checks();
    let login = tokio::spawn({
        let broker = broker.clone();
        async move { broker.log_in("alice", "correct horse", NEAR).await }
    });
    eventually(|| broker.authority.password_checks() > before).await;
    broker.authority.delete_user("alice").unwrap();
    broker.sign_up("alice", "battery staple", NEAR).await.unwrap();
    assert_eq!(refused_for(login.await.unwrap()), RefusedReason::NoSuchUser);
}

#[tokio::test]
async fn a_user_without_a_password_cannot_log_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(crate::definitions::FILE_NAME);
    let (definitions, _) = Definitions::open(&path).unwrap();
    let row = |name: &str, password_hash: &str| crate::definitions::UserRow {
        name: name.into(),
        password_hash: password_hash.into(),
        tags: vec![],
    };
    definitions.submit(Change::PutUser(row("service", "")));
    definitions.submit(Change::PutUser(row("broken", "not a hash")));
    definitions.close().unwrap();
    drop(definitions);
    let broker = Broker::open(folder, |_| {});
    assert_eq!(refused_for(broker.log_in("service", "x", NEAR).await), RefusedReason::NoPassword);
    let error = broker.log_in("broken", "x", NEAR).await.unwrap_err();
    assert!(matches!(error, AuthError::Password(PasswordError::BadHash(_))), "{error}");
    assert!(error.for_peer("PLAIN").starts_with("Login was refused"));
}
