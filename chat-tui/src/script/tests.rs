//! Every demo that is shipped, and what a script says when things do not go as expected.

use super::*;

async fn play(script: &str) -> (Result<(), RunError>, Vec<String>) {
    let statements = parse(script).unwrap();
    let mut said = Vec::new();
    let result = run(&statements, World::Embedded, &mut |line| said.push(line.to_owned())).await;
    (result, said)
}

async fn holds(script: &str) {
    let (result, said) = play(script).await;
    if let Err(error) = result {
        panic!("{error}\n{}", said.join("\n"));
    }
}

macro_rules! demos {
    ($($test:ident: $file:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                holds(include_str!(concat!("../../demos/", $file))).await;
            }
        )*

        #[test]
        fn every_demo_is_a_test() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demos");
            for entry in std::fs::read_dir(folder).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!([$($file),*].contains(&name.as_str()), "{name} is not played by a test");
            }
        }
    };
}

demos! {
    becoming_friends: "becoming-friends.warren",
    offline_delivery: "offline-delivery.warren",
    unfriending: "unfriending.warren",
    crossing_requests: "crossing-requests.warren",
    two_servers_one_killed: "two-servers-one-killed.warren",
    the_story_of_the_demo: "story.warren",
}

/// The script's failure: its line, and what it said.
async fn failure(script: &str) -> (usize, String) {
    match play(script).await {
        (Err(RunError::Statement { line, reason, .. }), _) => (line, reason),
        (other, said) => panic!("{other:?}\n{}", said.join("\n")),
    }
}

const FRIENDS: &str = "users alice bob
alice: befriend bob
bob: expect request from alice
bob: accept alice
alice: expect friend bob
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_expectation_says_which_and_what_was_there_instead() {
    let script = format!("{FRIENDS}alice: send bob \"yes\"\nbob: expect \"no\" from alice");
    let (line, reason) = failure(&script).await;
    assert_eq!(line, 7);
    assert!(reason.contains("the next message from alice was \"yes\""), "{reason}");

    let script = format!("{FRIENDS}timeout 100ms\nbob: expect unfriended by alice");
    let (line, reason) = failure(&script).await;
    assert_eq!(line, 7);
    assert!(reason.contains("did not happen within 100ms") && reason.contains("alice: friend"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_statements_fail() {
    for (script, expected) in [
        ("users alice\nalice: online", "online already"),
        ("users alice\nalice: offline\nalice: send bob \"hi\"", "write alice: online first"),
        ("users alice\nkill server 2", "no living friend server 2"),
        ("users alice\nstart broker", "running already"),
    ] {
        let (_, reason) = failure(script).await;
        assert!(reason.contains(expected), "{script:?}: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_to_somebody_who_is_no_friend_is_refused() {
    holds("users alice bob\nalice: send bob \"hi\"\nalice: expect failed \"bob is not your friend\"").await;
}
