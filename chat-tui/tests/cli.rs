//! The commands as people run them: processes, exit codes, standard output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use chat_tui::embedded::Embedded;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct World {
    runtime: Runtime,
    embedded: Option<Embedded>,
    address: String,
    folder: TempDir,
}

impl World {
    fn new(servers: usize) -> World {
        let runtime = Runtime::new().unwrap();
        let embedded = runtime.block_on(async {
            let mut embedded = Embedded::start().await.unwrap();
            for _ in 0..servers {
                embedded.start_friend_server().await.unwrap();
            }
            embedded
        });
        let address = embedded.address().to_string();
        World { runtime, embedded: Some(embedded), address, folder: TempDir::new().unwrap() }
    }

    fn command(&self, user: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-tui"));
        command
            .env_clear()
            .env("WARREN_BROKER", format!("amqp://{}/", self.address))
            .env("WARREN_USER", user)
            .env("WARREN_PASSWORD", "a password for tests")
            .env("WARREN_DATA_DIR", self.folder.path())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, user: &str, arguments: &[&str]) -> Output {
        self.command(user, arguments).output().unwrap()
    }

    /// Runs a command that succeeds; returns its lines.
    fn ok(&self, user: &str, arguments: &[&str]) -> Vec<String> {
        let output = self.run(user, arguments);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{user} {arguments:?}: {out}{error}");
        out.lines().map(str::to_owned).collect()
    }

    fn json(&self, user: &str, arguments: &[&str]) -> Vec<Value> {
        let arguments = [&["--json"], arguments].concat();
        self.ok(user, &arguments).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Runs a command that exits with `code`; returns what it says.
    fn fails(&self, user: &str, arguments: &[&str], code: i32) -> String {
        let output = self.run(user, arguments);
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{user} {arguments:?}: {out}{error}");
        error
    }

    fn friends(&self, one: &str, two: &str) {
        self.ok(one, &["sign-up"]);
        self.ok(two, &["sign-up"]);
        self.ok(one, &["befriend", two, "hi"]);
        self.ok(two, &["accept", one]);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(embedded) = self.embedded.take() {
            self.runtime.block_on(embedded.shutdown()).unwrap();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn from_strangers_to_friends_and_back() {
    let world = World::new(1);
    world.ok("alice", &["sign-up"]);
    assert!(world.fails("alice", &["sign-up"], 1).contains("taken"));
    world.ok("bob", &["sign-up"]);
    assert_eq!(world.ok("alice", &["befriend", "bob", "hi, it's me"]), ["* bob has your request"]);
    assert!(world.fails("alice", &["befriend", "bob"], 1).contains("asked bob already"));
    assert!(world.fails("alice", &["befriend", "zoe"], 1).contains("zoe"));

    let requests = world.json("bob", &["requests"]);
    assert_eq!(requests.len(), 1);
    assert_eq!((&requests[0]["name"], &requests[0]["note"]), (&"alice".into(), &"hi, it's me".into()));
    assert_eq!(world.ok("bob", &["accept", "alice"]), ["* alice is your friend now"]);
    let friends = world.json("alice", &["friends"]);
    assert_eq!((&friends[0]["name"], &friends[0]["status"]), (&"bob".into(), &"friend".into()));

    let sent = world.json("alice", &["send", "bob", "lunch?"]);
    assert_eq!((&sent[0]["text"], &sent[0]["direction"]), (&"lunch?".into(), &"outgoing".into()));
    assert_eq!(world.json("bob", &["friends"])[0]["unread"], 1);
    let history = world.json("bob", &["history", "alice"]);
    assert_eq!(history[0]["id"], sent[0]["id"]);

    world.ok("bob", &["unfriend", "alice"]);
    assert!(world.fails("alice", &["send", "bob", "hello?"], 1).contains("bob is no longer your friend"));
    assert!(world.fails("alice", &["send", "bob", "hello??"], 1).contains("bob is no longer your friend"));
    let history = world.json("alice", &["history", "bob"]);
    assert_eq!((history.len(), &history[1]["state"]), (2, &"returned".into()));
}

#[test]
fn declined_blocked_withdrawn() {
    let world = World::new(1);
    world.friends("alice", "bob");
    world.ok("carol", &["sign-up"]);
    world.ok("carol", &["befriend", "alice"]);
    world.ok("alice", &["decline", "carol"]);
    let requests = world.json("carol", &["requests"]);
    assert_eq!(requests[0]["state"], "declined");
    world.ok("carol", &["befriend", "alice", "please"]);
    world.ok("carol", &["withdraw", "alice"]);
    assert!(world.fails("alice", &["accept", "carol"], 1).contains("no request from carol"));
    world.ok("alice", &["block", "bob"]);
    assert!(world.fails("bob", &["send", "alice", "hi"], 1).contains("no longer your friend"));
    world.ok("bob", &["befriend", "alice"]);
    assert!(world.json("alice", &["requests"]).is_empty());
    world.ok("alice", &["unblock", "bob"]);
    assert!(world.fails("alice", &["unblock", "bob"], 1).contains("not blocked"));
}

#[test]
fn text_comes_from_standard_input_and_goes_out_harmless() {
    let world = World::new(1);
    world.friends("alice", "bob");
    let mut send = world.command("alice", &["send", "bob", "-"]);
    let mut child = send.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"first\n\x1b]0;pwned\x07\x1b[2Jsecond\n").unwrap();
    assert!(child.wait().unwrap().success());
    world.ok("bob", &["friends"]);
    let shown = world.ok("bob", &["history", "alice"]).join("\n");
    assert!(shown.ends_with("alice: first\n  | ␛]0;pwned␇␛[2Jsecond"), "{shown:?}");
    let history = world.json("bob", &["history", "alice"]);
    assert_eq!(history[0]["text"], "first\n\u{1b}]0;pwned\u{7}\u{1b}[2Jsecond");
}

#[test]
fn what_was_said_is_answered_changed_found_and_written_to_files() {
    let world = World::new(1);
    world.friends("alice", "bob");
    world.ok("alice", &["send", "bob", "lunch at nune?"]);
    world.ok("alice", &["edit", "bob", "last", "lunch at noon?"]);
    assert_eq!(world.json("bob", &["friends"])[0]["unread"], 1);
    let got = world.json("bob", &["history", "alice"]);
    assert_eq!((&got[0]["text"], &got[0]["edits"]), (&"lunch at noon?".into(), &1.into()));
    let answer = world.json("bob", &["reply", "alice", "last", "yes!"]);
    assert_eq!(answer[0]["answers"]["text"], "lunch at noon?");
    world.ok("bob", &["react", "alice", "last", "👍"]);
    world.ok("bob", &["send", "alice", "a mistake"]);
    world.ok("bob", &["delete", "alice", "last"]);
    assert!(
        world.fails("bob", &["edit", "alice", &got[0]["row"].to_string(), "forged"], 1).contains("not yours")
    );
    assert!(world.fails("bob", &["react", "alice", "first", "x"], 2).contains("by its row"));

    world.ok("alice", &["friends"]);
    let got = world.json("alice", &["history", "bob"]);
    assert_eq!((&got[0]["their_mark"], &got[1]["answers"]["row"]), (&"👍".into(), &got[0]["row"]));
    assert_eq!((&got[2]["deleted"], &got[2]["text"]), (&true.into(), &"".into()));
    assert_eq!(world.json("alice", &["search", "noo"]).len(), 1);
    assert!(world.json("alice", &["search", "mistake"]).is_empty());

    let exported = world.ok("alice", &["export", "bob", "--format", "json"]).join("\n");
    let exported: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(exported["messages"].as_array().unwrap().len(), 3);
    assert_eq!(world.ok("alice", &["export", "bob"]).len(), 3);
    assert!(world.fails("alice", &["export", "bbo"], 1).contains("nobody called bbo in your list"));
    world.ok("alice", &["nickname", "bob", "Bobby"]);
    world.ok("alice", &["mute", "bob"]);
    world.ok("alice", &["archive", "bob"]);
    let bob = &world.json("alice", &["friends"])[0];
    assert_eq!(
        (&bob["nickname"], &bob["muted"], &bob["archived"]),
        (&"Bobby".into(), &true.into(), &true.into())
    );
    assert!(world.fails("alice", &["mute", "nobody"], 1).contains("nobody called nobody in your list"));
    assert!(world.fails("alice", &["retention", "soon"], 1).contains("number of days"));
}

/// A running `listen --json`, interrupted when dropped.
struct Listener {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Listener {
    fn start(world: &World, user: &str) -> Listener {
        let mut child = world.command(user, &["listen", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Listener { child, lines }
    }

    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().expect("listen ended").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if wanted(&value) {
                return value;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn listening_and_sending_at_the_same_time() {
    let world = World::new(1);
    world.friends("alice", "bob");
    let mut bob = Listener::start(&world, "bob");
    bob.until(|event| event["event"] == "connection" && event["state"] == "online");
    world.ok("alice", &["send", "bob", "one"]);
    assert_eq!(bob.until(|event| event["event"] == "message")["text"], "one");
    // Bob answers from another terminal, over the connection of the one that listens.
    world.ok("bob", &["send", "alice", "two"]);
    let sent = bob.until(|event| event["event"] == "message");
    assert_eq!((&sent["text"], &sent["direction"]), (&"two".into(), &"outgoing".into()));
    world.ok("alice", &["friends"]);
    bob.until(|event| {
        event["event"] == "state" && event["id"] == sent["id"] && event["state"] == "delivered"
    });
    world.ok("alice", &["unfriend", "bob"]);
    bob.until(|event| event["event"] == "unfriended" && event["by"] == "alice");
}

#[test]
fn mistakes_say_what_to_do() {
    let world = World::new(0);
    assert!(world.fails("", &["friends"], 1).contains("a user name cannot be empty"));
    assert!(world.fails("Alice", &["friends"], 1).contains("no capitals"));
    assert!(world.fails("alice", &["friends"], 1).contains("wrong password, or no such account"));
    assert!(world.fails("alice", &["dance"], 2).contains("unrecognized subcommand"));
    assert!(world.fails("alice", &[], 1).contains("there is no terminal"));
    let wrong = world.fails("alice", &["--broker", "amqp://alice:s3cret@h:port", "friends"], 2);
    assert!(wrong.contains("amqp://") && !wrong.contains("s3cret"), "{wrong}");
    let missing = world.fails("alice", &["script", "no-such-file"], 1);
    assert!(missing.contains("no-such-file"), "{missing}");
    let mut nobody = world.command("alice", &["friends"]);
    let nobody = nobody.env_remove("WARREN_USER").output().unwrap();
    assert!(text(&nobody.stderr).contains("--user NAME"));
}

#[test]
fn without_a_broker_what_is_typed_is_kept_and_goes_out_later() {
    let mut world = World::new(1);
    world.friends("alice", "bob");
    world.ok("alice", &["friends"]);
    let mut embedded = world.embedded.take().unwrap();
    world.runtime.block_on(embedded.stop_broker()).unwrap();
    // Given up after a moment instead of half a minute: as if the terminal had been closed.
    let mut send = world.command("alice", &["send", "bob", "typed in the dark"]);
    let mut child = send.stdout(Stdio::null()).spawn().unwrap();
    while world.json("alice", &["history", "bob"]).is_empty() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.json("alice", &["history", "bob"])[0]["state"], "queued");

    world.runtime.block_on(embedded.start_broker()).unwrap();
    world.embedded = Some(embedded);
    let mut alice = Listener::start(&world, "alice");
    alice.until(|event| event["event"] == "state" && event["state"] == "sent");
    let mut bob = Listener::start(&world, "bob");
    assert_eq!(bob.until(|event| event["event"] == "message")["text"], "typed in the dark");
}

#[test]
fn the_demo_tells_its_story_where_there_is_no_terminal() {
    let world = World::new(0);
    let mut demo = world.command("you", &["demo"]);
    let told = demo.env_remove("WARREN_BROKER").output().unwrap();
    assert!(told.status.success(), "{}", text(&told.stderr));
    assert!(text(&told.stdout).contains("no longer a friend"), "{}", text(&told.stdout));
}

#[test]
fn a_status_line_shows_what_is_unread() {
    let world = World::new(1);
    assert_eq!(world.ok("alice", &["unread"]), ["0"]);
    assert!(!world.folder.path().join("last-account.toml").exists());
    world.friends("alice", "bob");
    world.ok("alice", &["send", "bob", "one"]);
    world.ok("alice", &["send", "bob", "two"]);
    world.ok("bob", &["friends"]);
    assert_eq!(world.ok("bob", &["unread"]), ["2"]);
    let unread = &world.json("bob", &["unread"])[0];
    assert_eq!((&unread["messages"], &unread["requests"]), (&2.into(), &0.into()));
}

#[test]
fn the_config_file_says_what_is_wrong_with_it() {
    let world = World::new(0);
    let file = world.folder.path().join("chat.toml");
    let with_file = |arguments: &[&str]| {
        world.command("alice", arguments).env("WARREN_CHAT_CONFIG", &file).output().unwrap()
    };
    let missing = with_file(&["unread"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("cannot read the config file"), "{missing:?}");

    std::fs::write(&file, with_file(&["config", "--print-default"]).stdout).unwrap();
    assert!(with_file(&["unread"]).status.success());
    assert_eq!(text(&with_file(&["config"]).stdout).trim(), file.display().to_string());

    std::fs::write(&file, "[screen]\ntheme = \"blue\"\n").unwrap();
    let wrong = with_file(&["unread"]);
    assert_eq!(wrong.status.code(), Some(1));
    let error = text(&wrong.stderr);
    assert!(error.contains("line 2, `screen.theme`") && error.contains("`contrast`"), "{error}");
}

/// Runs `--plain` with these lines as its input.
fn plain(world: &World, user: &str, lines: &str) -> Output {
    let mut command = world.command(user, &["--plain"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_script_chats_by_lines() {
    let world = World::new(1);
    world.ok("alice", &["sign-up"]);
    world.ok("bob", &["sign-up"]);
    let asked = plain(&world, "alice", "/befriend bob it's me\n");
    assert!(asked.status.success(), "{asked:?}");
    let accepted = plain(&world, "bob", "/accept alice\n/switch alice\nwelcome\n");
    assert!(accepted.status.success(), "{accepted:?}");

    let said = plain(&world, "alice", "/switch bob\nhello\\\nworld\n//usr/bin\n");
    assert!(said.status.success(), "{said:?}");
    let out = text(&said.stdout);
    assert!(out.contains("You write to bob now.") && out.contains("bob: welcome"), "{out}");
    world.ok("bob", &["friends"]);
    let heard: Vec<Value> = world.json("bob", &["history", "alice"]);
    let texts: Vec<&str> = heard.iter().filter_map(|message| message["text"].as_str()).collect();
    assert_eq!(texts, ["welcome", "hello\nworld", "/usr/bin"]);

    // The end of the input waits for what was found.
    let heard = plain(&world, "bob", "/search hello\n");
    let out = text(&heard.stdout);
    assert!(heard.status.success() && out.contains("One found."), "{heard:?}");

    let wrong = plain(&world, "alice", "nobody hears this\n/accept zoe\n");
    assert_eq!(wrong.status.code(), Some(1));
    let error = text(&wrong.stderr);
    assert!(error.contains("To whom?") && error.contains("no friend request from zoe"), "{error}");
    assert_eq!(world.json("bob", &["history", "alice"]).len(), 3);
}

#[test]
fn a_question_can_be_answered_by_a_script() {
    let world = World::new(1);
    world.friends("alice", "bob");
    let kept = plain(&world, "alice", "/unfriend bob\nno\n");
    assert!(text(&kept.stdout).contains("Stop being friends with bob?"), "{kept:?}");
    assert_eq!(world.json("alice", &["friends"])[0]["status"], "friend");
    let ended = plain(&world, "alice", "/unfriend bob\nyes\n");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(world.json("alice", &["friends"])[0]["status"], "former");
}
