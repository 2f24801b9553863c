//! Who gets an account.

use e2e::{Broker, BrokerConfig, ChatUser, FriendServer};

fn broker(sign_up: &str) -> (Broker, FriendServer) {
    let broker = Broker::configured(&BrokerConfig {
        toml: format!("[auth.sign_up]\n{sign_up}\n"),
        ..Default::default()
    });
    let worker = FriendServer::start(&broker);
    (broker, worker)
}

#[test]
fn open_means_anybody_from_this_machine() {
    let (broker, _worker) = broker("mode = \"open\"");
    let alice = ChatUser::signed_up(&broker, "alice");
    alice.must(&["friends"]);
    let twice = ChatUser::without_account(&broker, "alice").must_fail(&["sign-up"]);
    assert!(twice.contains("taken"), "{twice}");
}

#[test]
fn closed_means_nobody() {
    let (broker, _worker) = broker("mode = \"closed\"");
    let refused = ChatUser::without_account(&broker, "alice").must_fail(&["sign-up"]);
    assert!(refused.contains("sign-up is closed"), "{refused}");
    let invited = ChatUser::without_account(&broker, "alice").must_fail(&["sign-up", "--invite", "token"]);
    assert!(invited.contains("sign-up is closed"), "{invited}");
}

#[test]
fn invite_means_whoever_has_a_token() {
    let (broker, _worker) = broker("mode = \"invite\"\ntokens = [\"let-me-in\"]");
    let alice = ChatUser::without_account(&broker, "alice");
    let without = alice.must_fail(&["sign-up"]);
    assert!(without.contains("needs an invite token"), "{without}");
    let wrong = alice.must_fail(&["sign-up", "--invite", "let-me-on"]);
    assert!(wrong.contains("token is not valid"), "{wrong}");
    alice.must(&["sign-up", "--invite", "let-me-in"]);
    alice.must(&["friends"]);
}

#[test]
fn signing_in_never_makes_an_account() {
    let (broker, _worker) = broker("mode = \"open\"");
    ChatUser::signed_up(&broker, "alice");
    let mistyped = ChatUser::without_account(&broker, "alcie");
    let refused = mistyped.run(&["befriend", "alice"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("no such account"), "{}", refused.stderr);
    // The name is still free.
    mistyped.must(&["sign-up"]);
}

#[test]
fn names_and_passwords_have_rules() {
    let (broker, _worker) = broker("mode = \"open\"");
    for (name, reason) in [("guest", "reserved"), ("amq.gen", "reserved")] {
        let refused = ChatUser::without_account(&broker, name).must_fail(&["sign-up"]);
        assert!(refused.contains(reason), "{name}: {refused}");
    }
    let alice = ChatUser::without_account(&broker, "alice");
    let mut short = alice.command(&["sign-up"]);
    let mut short = e2e::process::Process::spawn("a short password", short.env("WARREN_PASSWORD", "1234567"));
    assert_eq!(short.wait().code(), Some(1));
    assert!(short.stderr().join("\n").contains("at least 8"), "{:?}", short.stderr());
}

#[test]
fn accounts_survive_a_crash() {
    let (mut broker, _worker) = broker("mode = \"open\"");
    let alice = ChatUser::signed_up(&broker, "alice");
    broker.kill9_and_start_again();
    alice.must(&["friends"]);
}
