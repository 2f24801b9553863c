//! Chat over TLS.

use e2e::tls::Certificates;
use e2e::{Broker, BrokerConfig, ChatUser, FriendServer, secret_file};
use rustix::process::Signal;

fn start() -> (Certificates, Broker) {
    let certificates = Certificates::default();
    let broker =
        Broker::configured(&BrokerConfig { toml: certificates.broker_config(), ..Default::default() });
    (certificates, broker)
}

#[test]
fn friends_talk_over_tls() {
    let (certificates, broker) = start();
    let url = broker.tls_url();
    let trusting = format!("{url}?cacertfile={}", certificates.ca_file().display());
    let server_url = trusting.replace("amqps://", "amqps://guest:guest@");
    let server = FriendServer::spawn(&server_url, &secret_file(&broker));
    server.await_ready();

    let [alice, bob] = ["alice", "bob"].map(|name| ChatUser::without_account(&broker, name).by(&trusting));
    for user in [&alice, &bob] {
        user.must(&["sign-up"]);
        user.must(&["friends"]);
    }
    alice.becomes_friend_of(&bob);
    let listener = bob.listen();
    alice.send("bob", "nobody else reads this");
    listener.hear("message", |event| event["text"] == "nobody else reads this");

    // The authority may be named beside the URI as well; who knows none does not trust the broker.
    let alice = alice.by(&url);
    let ca_file = certificates.ca_file();
    alice.must(&["--ca-file", &ca_file.to_string_lossy(), "friends"]);
    let said = alice.must_fail(&["sign-up"]);
    assert!(said.contains("no secure connection") && said.contains("name it with --ca-file"), "{said}");
}

#[test]
fn a_new_certificate_is_shown_after_sighup() {
    let (certificates, broker) = start();
    let trusting = format!("{}?cacertfile={}", broker.tls_url(), certificates.ca_file().display());
    let user = |name| ChatUser::without_account(&broker, name).by(&trusting);
    user("alice").must(&["sign-up"]);
    certificates.renew();
    let said = user("bob").must_fail(&["sign-up"]);
    assert!(said.contains("no secure connection"), "{said}");
    broker.process().signal(Signal::HUP);
    broker.process().await_stderr("line that says that certificates were read", |lines| {
        lines.iter().any(|line| line.contains("the certificates were read again")).then_some(())
    });
    user("bob").must(&["sign-up"]);
}
