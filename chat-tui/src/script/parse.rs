//! From the text of a script to its statements. Pure.
//!
//! One statement a line; `#` starts a comment.
//!
//! ```text
//! users alice bob              sign up and go online
//! servers 2                    that many friend servers (1 if not said)
//! start server                 one more
//! kill server 1                the first one dies on the spot
//! stop broker | start broker   shut it down; start it again with what is on its disk
//! timeout 20s                  for every expectation from here on (10s if not said)
//!
//! NAME: befriend NAME ["note"] | withdraw NAME | accept NAME | decline NAME
//! NAME: block NAME | unblock NAME | unfriend NAME
//! NAME: send NAME "text" | read NAME
//! NAME: reply "text" "answer"            about a message that NAME got or sent
//! NAME: react "text" "mark" | delete "text"
//! NAME: edit "text" "new text"
//! NAME: search "words"
//! NAME: offline | online
//!
//! NAME: expect request from NAME
//! NAME: expect friend NAME
//! NAME: expect "text" from NAME          the next message from NAME, no other
//! NAME: expect delivered "text"          a message of ours reached the friend
//! NAME: expect read "text"
//! NAME: expect mark "mark" on "text"     from the friend
//! NAME: expect deleted "text"            a message that NAME got is taken back; an edited one is got anew
//! NAME: expect found "text"              by the search before
//! NAME: expect declined by NAME
//! NAME: expect unfriended by NAME
//! NAME: expect failed ["part of the reason"]
//! ```
//!
//! In a text, `\"`, `\\` and `\n` mean what they mean everywhere.

use std::time::Duration;

use shared::topology::check_user_name;
use thiserror::Error;

use crate::session::api::Command;

/// A friend server is a connection and a task; nobody needs more of them.
const SERVERS_MAX: usize = 64;
/// Of a search.
const HITS_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Counted from 1.
    pub line: usize,
    /// As written, without the comment.
    pub source: String,
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Users(Vec<String>),
    Servers(usize),
    StartServer,
    /// Counted from 1, in the order they were started.
    KillServer(usize),
    StopBroker,
    StartBroker,
    Timeout(Duration),
    Of {
        user: String,
        act: Act,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    Do(Command),
    /// Something about the message of this text, whoever it is from.
    About {
        text: String,
        deed: Deed,
    },
    Offline,
    Online,
    Expect(Expectation),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Deed {
    Reply(String),
    React(String),
    Edit(String),
    Delete,
}

impl Deed {
    /// The command that does it to the message `row`.
    pub fn command(&self, friend: String, row: i64) -> Command {
        match self.clone() {
            Deed::Reply(text) => Command::Reply { to: friend, row, text },
            Deed::React(mark) => Command::React { friend, row, mark: Some(mark) },
            Deed::Edit(text) => Command::Edit { friend, row, text },
            Deed::Delete => Command::Delete { friend, row },
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    Request { from: String },
    Friend { name: String },
    Message { text: String, from: String },
    Delivered { text: String },
    Read { text: String },
    Mark { mark: String, text: String },
    Deleted { text: String },
    Found { text: String },
    Declined { by: String },
    Unfriended { by: String },
    Failed { reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    pub line: usize,
    pub reason: String,
}

/// The statements of a script, in order.
pub fn parse(script: &str) -> Result<Vec<Statement>, ParseError> {
    let mut users: Vec<String> = Vec::new();
    let mut statements = Vec::new();
    for (number, text) in script.lines().enumerate() {
        let line = number + 1;
        let at = |reason: String| ParseError { line, reason };
        let (words, source) = split(text).map_err(at)?;
        if words.is_empty() {
            continue;
        }
        let action = statement(&words).map_err(at)?;
        check(&action, &mut users).map_err(at)?;
        statements.push(Statement { line, source, action });
    }
    match users.is_empty() {
        true => Err(ParseError { line: 1, reason: "no users: start with, say, users alice bob".into() }),
        false => Ok(statements),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Plain(String),
    Quoted(String),
}

/// Splits a line into words; returns it without its comment as well.
fn split(line: &str) -> Result<(Vec<Word>, String), String> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { break };
        match first {
            '#' => break,
            '"' => {
                let (text, after) = quoted(&rest[1..])?;
                words.push(Word::Quoted(text));
                rest = after;
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '#' | '"'));
                let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
                words.push(Word::Plain(word.to_owned()));
                rest = after;
            }
        }
    }
    let source = line[..line.len() - rest.len()].trim().to_owned();
    Ok((words, source))
}

/// The text up to the closing quote, and what follows that.
fn quoted(rest: &str) -> Result<(String, &str), String> {
    let mut text = String::new();
    let mut chars = rest.char_indices();
    while let Some((position, c)) = chars.next() {
        match c {
            '"' => return Ok((text, &rest[position + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, same @ ('"' | '\\'))) => text.push(same),
                Some((_, other)) => return Err(format!(r#"\{other} means nothing: there are \" \\ and \n"#)),
                None => break,
            },
            c => text.push(c),
        }
    }
    Err("the text has no closing quote".into())
}

fn statement(words: &[Word]) -> Result<Action, String> {
    use Word::Plain;
    let plain: Vec<&str> =
        words.iter().map(|word| if let Plain(word) = word { word.as_str() } else { "\"" }).collect();
    match plain[..] {
        ["users", ..] => words[1..].iter().map(name).collect::<Result<_, _>>().map(Action::Users),
        ["servers", count] => servers(count).map(Action::Servers),
        ["start", "server"] => Ok(Action::StartServer),
        ["kill", "server", number] => servers(number).map(Action::KillServer),
        ["stop", "broker"] => Ok(Action::StopBroker),
        ["start", "broker"] => Ok(Action::StartBroker),
        ["timeout", duration] => timeout(duration).map(Action::Timeout),
        [user, ..] if user.ends_with(':') => {
            let user = name(&Plain(user.trim_end_matches(':').to_owned()))?;
            Ok(Action::Of { user, act: act(&words[1..])? })
        }
        [first, ..] => Err(format!(
            "{first:?} starts no statement: there are users, servers, start, kill, stop, timeout, and NAME: with what \
             that user does"
        )),
        [] => Err("the statement is empty".into()),
    }
}

fn act(words: &[Word]) -> Result<Act, String> {
    let [Word::Plain(verb), rest @ ..] = words else {
        return Err("say what the user does: befriend, accept, send, expect and so on".into());
    };
    let one_name = |make: fn(String) -> Command| match rest {
        [who] => Ok(Act::Do(make(name(who)?))),
        _ => Err(format!("write {verb} NAME")),
    };
    let about = |deed: Option<fn(String) -> Deed>| match (rest, deed) {
        ([Word::Quoted(text), Word::Quoted(with)], Some(deed)) => {
            Ok(Act::About { text: text.clone(), deed: deed(with.clone()) })
        }
        (_, Some(_)) => Err(format!(r#"write {verb} "text" "what it gets""#)),
        ([Word::Quoted(text)], None) => Ok(Act::About { text: text.clone(), deed: Deed::Delete }),
        (_, None) => Err(format!(r#"write {verb} "text""#)),
    };
    match verb.as_str() {
        "reply" => about(Some(Deed::Reply)),
        "react" => about(Some(Deed::React)),
        "edit" => about(Some(Deed::Edit)),
        "delete" => about(None),
        "search" => match rest {
            [Word::Quoted(query)] => Ok(Act::Do(Command::Search {
                query: query.clone(),
                friend: None,
                before: None,
                limit: HITS_MAX,
            })),
            _ => Err(r#"write search "words""#.into()),
        },
        "befriend" => match rest {
            [who] => Ok(Act::Do(Command::Befriend { name: name(who)?, note: String::new() })),
            [who, Word::Quoted(note)] => {
                Ok(Act::Do(Command::Befriend { name: name(who)?, note: note.clone() }))
            }
            _ => Err(r#"write befriend NAME, or befriend NAME "note""#.into()),
        },
        "send" => match rest {
            [to, Word::Quoted(text)] => Ok(Act::Do(Command::Send { to: name(to)?, text: text.clone() })),
            _ => Err(r#"write send NAME "text""#.into()),
        },
        "withdraw" => one_name(|name| Command::Withdraw { name }),
        "accept" => one_name(|name| Command::Accept { name }),
        "decline" => one_name(|name| Command::Decline { name }),
        "block" => one_name(|name| Command::Block { name }),
        "unblock" => one_name(|name| Command::Unblock { name }),
        "unfriend" => one_name(|name| Command::Unfriend { name }),
        "read" => one_name(|friend| Command::MarkRead { friend, up_to: i64::MAX }),
        "offline" if rest.is_empty() => Ok(Act::Offline),
        "online" if rest.is_empty() => Ok(Act::Online),
        "expect" => expectation(rest).map(Act::Expect),
        other => Err(format!(
            "{other:?} is nothing a user can do: there are befriend, withdraw, accept, decline, block, unblock, \
             unfriend, send, reply, react, edit, delete, read, search, offline, online and expect"
        )),
    }
}

fn expectation(words: &[Word]) -> Result<Expectation, String> {
    use Word::{Plain, Quoted};
    let is = |word: &Word, expected: &str| matches!(word, Plain(word) if word == expected);
    match words {
        [Quoted(text), from, who] if is(from, "from") => {
            Ok(Expectation::Message { text: text.clone(), from: name(who)? })
        }
        [kind, from, who] if is(kind, "request") && is(from, "from") => {
            Ok(Expectation::Request { from: name(who)? })
        }
        [kind, who] if is(kind, "friend") => Ok(Expectation::Friend { name: name(who)? }),
        [kind, Quoted(text)] if is(kind, "delivered") => Ok(Expectation::Delivered { text: text.clone() }),
        [kind, Quoted(text)] if is(kind, "read") => Ok(Expectation::Read { text: text.clone() }),
        [kind, Quoted(mark), on, Quoted(text)] if is(kind, "mark") && is(on, "on") => {
            Ok(Expectation::Mark { mark: mark.clone(), text: text.clone() })
        }
        [kind, Quoted(text)] if is(kind, "deleted") => Ok(Expectation::Deleted { text: text.clone() }),
        [kind, Quoted(text)] if is(kind, "found") => Ok(Expectation::Found { text: text.clone() }),
        [kind, by, who] if is(kind, "declined") && is(by, "by") => {
            Ok(Expectation::Declined { by: name(who)? })
        }
        [kind, by, who] if is(kind, "unfriended") && is(by, "by") => {
            Ok(Expectation::Unfriended { by: name(who)? })
        }
        [kind] if is(kind, "failed") => Ok(Expectation::Failed { reason: String::new() }),
        [kind, Quoted(reason)] if is(kind, "failed") => Ok(Expectation::Failed { reason: reason.clone() }),
        [kind, ..] if is(kind, "no") => {
            Err("that something will not happen cannot be seen: expect what happens instead".into())
        }
        _ => Err(concat!(
            r#"what can be expected: request from NAME, friend NAME, "text" from NAME, delivered "text", "#,
            r#"read "text", mark "mark" on "text", deleted "text", found "text", declined by NAME, unfriended by NAME, failed "reason""#
        )
        .into()),
    }
}

fn name(word: &Word) -> Result<String, String> {
    let (Word::Plain(name) | Word::Quoted(name)) = word;
    check_user_name(name).map_err(|error| format!("{name:?} cannot be a user: {error}"))?;
    Ok(name.clone())
}

fn servers(number: &str) -> Result<usize, String> {
    match number.parse() {
        Ok(number @ 0..=SERVERS_MAX) => Ok(number),
        _ => Err(format!("{number:?} is not a number from 0 to {SERVERS_MAX}")),
    }
}

fn timeout(duration: &str) -> Result<Duration, String> {
    let wrong = || format!("{duration:?} is not a time: write it like 20s or 500ms");
    let digits = duration.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = duration.split_at(digits);
    let number: u32 = number.parse().map_err(|_| wrong())?;
    match unit {
        "s" => Ok(Duration::from_secs(number.into())),
        "ms" => Ok(Duration::from_millis(number.into())),
        _ => Err(wrong()),
    }
}

/// What must hold between statements: only users that exist act.
fn check(action: &Action, users: &mut Vec<String>) -> Result<(), String> {
    match action {
        Action::Users(names) if names.is_empty() => Err("name at least one user: users alice bob".into()),
        Action::Users(names) => {
            for name in names {
                if users.contains(name) {
                    return Err(format!("{name} was there before"));
                }
                users.push(name.clone());
            }
            Ok(())
        }
        Action::KillServer(0) => Err("servers are counted from 1".into()),
        Action::Of { user, .. } if !users.contains(user) => {
            Err(format!("{user} is not among the users: name {user} in a users line before"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(script: &str) -> Vec<Action> {
        parse(script).unwrap().into_iter().map(|statement| statement.action).collect()
    }

    fn of(user: &str, act: Act) -> Action {
        Action::Of { user: user.into(), act }
    }

    #[test]
    fn every_statement() {
        let script = r##"
            # a comment
            servers 2
            timeout 500ms
            users alice bob     # two
            alice: befriend bob "hi, it's \"me\" # not a comment\n\\"
            bob: expect request from alice
            bob: accept alice
            alice: expect friend bob
            alice:send bob "lunch?"
            bob: expect "lunch?" from alice
            bob: read alice
            alice: expect read "lunch?"
            bob: offline
            bob: online
            kill server 1
            start server
            stop broker
            start broker
            alice: expect unfriended by bob
            alice: expect failed
            bob: react "lunch?" "👍"
            bob: reply "lunch?" "yes"
            alice: edit "lunch?" "dinner?"
            alice: delete "dinner?"
            bob: expect mark "👍" on "yes"
            bob: expect deleted "dinner?"
            bob: search "din"
            bob: expect found "dinner?"
        "##;
        let words = |script: &str| actions(&script.replace("alice:send", "alice: send"));
        let parsed = words(script);
        assert_eq!(
            parsed[..3],
            [
                Action::Servers(2),
                Action::Timeout(Duration::from_millis(500)),
                Action::Users(vec!["alice".into(), "bob".into()]),
            ]
        );
        let note = "hi, it's \"me\" # not a comment\n\\".to_owned();
        assert_eq!(parsed[3], of("alice", Act::Do(Command::Befriend { name: "bob".into(), note })));
        let expect = |user, expectation| of(user, Act::Expect(expectation));
        assert_eq!(parsed[4], expect("bob", Expectation::Request { from: "alice".into() }));
        assert_eq!(parsed[6], expect("alice", Expectation::Friend { name: "bob".into() }));
        let lunch = Expectation::Message { text: "lunch?".into(), from: "alice".into() };
        assert_eq!(parsed[8], expect("bob", lunch));
        assert_eq!(
            parsed[9],
            of("bob", Act::Do(Command::MarkRead { friend: "alice".into(), up_to: i64::MAX }))
        );
        assert_eq!(parsed[11..13], [of("bob", Act::Offline), of("bob", Act::Online)]);
        assert_eq!(
            parsed[13..17],
            [Action::KillServer(1), Action::StartServer, Action::StopBroker, Action::StartBroker,]
        );
        assert_eq!(parsed[18], expect("alice", Expectation::Failed { reason: String::new() }));
        let about = |user, text: &str, deed| of(user, Act::About { text: text.into(), deed });
        assert_eq!(
            parsed[19..25],
            [
                about("bob", "lunch?", Deed::React("👍".into())),
                about("bob", "lunch?", Deed::Reply("yes".into())),
                about("alice", "lunch?", Deed::Edit("dinner?".into())),
                about("alice", "dinner?", Deed::Delete),
                expect("bob", Expectation::Mark { mark: "👍".into(), text: "yes".into() }),
                expect("bob", Expectation::Deleted { text: "dinner?".into() }),
            ]
        );
        assert!(
            matches!(&parsed[25], Action::Of { act: Act::Do(Command::Search { query, .. }), .. } if query == "din")
        );
        assert_eq!(parsed[26], expect("bob", Expectation::Found { text: "dinner?".into() }));
    }

    #[test]
    fn lines_and_sources_are_kept() {
        let parsed = parse("users alice # who\n\n  alice:   offline  # why\n").unwrap();
        let at: Vec<_> = parsed.iter().map(|statement| (statement.line, statement.source.as_str())).collect();
        assert_eq!(at, [(1, "users alice"), (3, "alice:   offline")]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (script, line, reason) in [
            ("", 1, "no users"),
            ("users", 1, "at least one"),
            ("users alice alice", 1, "was there before"),
            ("users Alice", 1, "no capitals"),
            ("users alice\nbob: offline", 2, "not among the users"),
            ("users alice\nalice: dance", 2, "nothing a user can do"),
            ("users alice\nalice:", 2, "say what the user does"),
            ("users alice\nalice: send bob hi", 2, r#"write send NAME "text""#),
            ("users alice\nalice: send bob \"hi", 2, "no closing quote"),
            (
                r#"users alice
alice: send bob "\q""#,
                2,
                r"\q means nothing",
            ),
            ("users alice\nalice: accept", 2, "write accept NAME"),
            ("users alice\nalice: edit \"a\"", 2, "what it gets"),
            ("users alice\nalice: delete bob", 2, "write delete"),
            ("users alice\nalice: expect", 2, "what can be expected"),
            ("users alice\nalice: expect no message", 2, "cannot be seen"),
            ("users alice\nalice: offline now", 2, "nothing a user can do"),
            ("users alice\n\ntimeout 20", 3, "20s or 500ms"),
            ("users alice\ntimeout s", 2, "20s or 500ms"),
            ("users alice\nservers 65", 2, "from 0 to 64"),
            ("users alice\nkill server 0", 2, "counted from 1"),
            ("users alice\ndance", 2, "starts no statement"),
            ("users alice\n\"text\"", 2, "starts no statement"),
        ] {
            let error = parse(script).unwrap_err();
            assert_eq!(error.line, line, "{script:?}: {error}");
            assert!(error.reason.contains(reason), "{script:?}: {error}");
        }
    }
}
