//! A history of a million messages, and how long it takes to do with it what a person does.
//!
//! `cargo run --release -p chat-tui --example long_history -- FOLDER [MESSAGES]` makes the state of alice at the broker of
//! this machine in FOLDER, unless it is there, and measures. `chat-tui --data-dir FOLDER --user alice` opens it.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chat_tui::session::api::{Command, Span};
use chat_tui::session::protocol::Now;
use chat_tui::store::{Store, add_functions, state_dir};
use rusqlite::{Connection, params};
use uuid::Uuid;

const MESSAGES: u64 = 1_000_000;
const FRIENDS: u64 = 20;
const SPAN: Duration = Duration::from_secs(5 * 365 * 24 * 3600);
const WORDS: &[&str] = &[
    "lunch",
    "noon",
    "umbrella",
    "train",
    "ticket",
    "garden",
    "window",
    "letter",
    "morning",
    "river",
    "paper",
    "coffee",
    "winter",
    "holiday",
    "bicycle",
    "mountain",
    "kitchen",
    "music",
    "station",
    "question",
    "answer",
    "yesterday",
    "tomorrow",
    "maybe",
    "never",
    "always",
    "yes",
    "no",
    "the",
    "a",
    "and",
    "with",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("say in which folder")?;
    let messages = arguments.next().map_or(Ok(MESSAGES), |count| count.parse())?;
    let dir = state_dir(Path::new(&folder), "127.0.0.1:5672", "/", "alice")?;
    if !dir.join("state.sqlite").exists() {
        let took = timed(|| make(&dir, messages))?;
        println!("made {messages} messages in {took:?}");
    }
    measure(&dir)
}

fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Duration, E> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn make(dir: &Path, messages: u64) -> Result<(), Box<dyn std::error::Error>> {
    drop(Store::open(dir)?);
    let mut connection = Connection::open(dir.join("state.sqlite"))?;
    add_functions(&connection)?;
    let transaction = connection.transaction()?;
    for friend in 1..=FRIENDS {
        let (ours, theirs) = (shared::topology::friend_queue_name(), shared::topology::friend_queue_name());
        transaction.execute(
            "INSERT INTO peer (id, name, bond, ours, theirs) VALUES (?1, ?2, 1, ?3, ?4)",
            params![friend, format!("friend{friend}"), ours, theirs],
        )?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let first = now.saturating_sub(SPAN);
    {
        let mut insert = transaction.prepare(
            "INSERT INTO message (id, peer, outgoing, text, at, state, change) VALUES (?1, ?2, ?3, ?4, ?5, 3, ?6)",
        )?;
        for n in 0..messages {
            let at = first + SPAN.mul_f64(n as f64 / messages as f64);
            // Half of everything is with the first friend.
            let friend = if n % 2 == 0 { 1 } else { 1 + (n / 2) % FRIENDS };
            insert.execute(params![Uuid::now_v7(), friend, n % 3 == 0, text(n), at.as_millis() as i64, n])?;
        }
    }
    transaction.execute(
        "UPDATE peer SET last_row = (SELECT max(row) FROM message WHERE message.peer = peer.id)",
        [],
    )?;
    transaction.execute("UPDATE clock SET value = ?1", [messages])?;
    transaction.commit()?;
    Ok(())
}

/// About ten words, the same for the same number.
fn text(n: u64) -> String {
    let mut seed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut words = Vec::new();
    for _ in 0..4 + n % 13 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        words.push(WORDS[(seed % WORDS.len() as u64) as usize]);
    }
    format!("{} {n}", words.join(" "))
}

fn measure(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let store = Store::open(dir)?;
    println!("open                          {:>10.1?}", start.elapsed());
    let show = |what: &str, took: Duration| println!("{what:<30}{took:>10.1?}");
    show("the list of friends", timed(|| store.friends())?);
    show("the newest 100 messages", timed(|| store.history("friend1", Span::Newest, 100))?);
    show("where the person left off", timed(|| store.history("friend1", Span::Unseen, 100))?);
    show("100 from the middle", timed(|| store.history("friend1", Span::Around(500_001), 100))?);
    show("the oldest 100", timed(|| store.history("friend1", Span::After(0), 100))?);
    for query in ["umbrella", "um", "umbrella train garden", "lu no", "999999", "zebra", "日本"] {
        let what = format!("search for {query:?}");
        show(&what, timed(|| store.search(query, None, None, 50))?);
    }
    show("search with one friend", timed(|| store.search("umbrella", Some("friend7"), None, 50))?);
    let send = Command::Send { to: "friend1".into(), text: "one more".into() };
    show("write a message down", timed(|| store.command("alice", &send, &Now::new()))?);
    let (change, row) = store.newest_change()?;
    show("what changed", timed(|| store.changes((change - 1, i64::MAX), row, 500))?);
    show("what is new", timed(|| store.newer(row - 1, 500))?);
    show("nothing to forget", timed(|| store.forget_old(SystemTime::now()))?);
    Ok(())
}
