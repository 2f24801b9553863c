//! What to do about a request. Pure: no network, no clock.

use std::time::{Duration, Instant};

use shared::message::{Body, DecodeError, Envelope, REASON_BYTES_MAX};
use shared::topology::{check_user_name, is_friend_queue, is_reply_queue};
use uuid::Uuid;

use crate::limits::{Limits, TooSoon};

/// A message from the request queue.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub envelope: &'a Envelope,
    /// The broker gave it to a worker before, which did not acknowledge it.
    pub redelivered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Tell the sender's inbox to `reply_to`.
    Welcome { sender: String, reply_to: String },
    /// Put `body` into the inbox of `to`, under the request's id, then tell the sender.
    Forward { sender: String, to: String, body: Body, reply_to: Option<String> },
    /// Put `body`, which says why not, into the sender's inbox.
    Reject { sender: String, body: Body },
    /// Nobody can be answered. For the log.
    Ignore(Ignored),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    #[error("a message without the name of its sender")]
    NoSender,
    #[error("a message from the account {0:?}, which is not a name for chat")]
    SenderName(String),
    #[error("a hello from {sender} that does not say where to answer")]
    NoReplyQueue { sender: String },
    #[error("a hello from {sender}, who says it too often")]
    TooManyHellos { sender: String },
    #[error(
        "a message of the kind {kind:?} (version {version}) from {sender}, which is not known here; is this friend server up to date?"
    )]
    Unknown { sender: String, kind: String, version: u32 },
    #[error("a message of the kind {kind:?} from {sender}, which is not for friend servers")]
    NotForUs { sender: String, kind: String },
    #[error("what is not a chat message, from {}: {error}", .sender.as_deref().unwrap_or("nobody"))]
    Undecodable { sender: Option<String>, error: DecodeError },
}

pub fn decide(request: Request<'_>, now: Instant, limits: &mut Limits) -> Decision {
    let Ok(sender) = request.envelope.sender() else { return Decision::Ignore(Ignored::NoSender) };
    if check_user_name(sender).is_err() {
        return Decision::Ignore(Ignored::SenderName(sender.to_owned()));
    }
    match &request.envelope.body {
        Body::Hello {} => hello(request, sender, now, limits),
        Body::FriendRequest { to, note } => friend_request(request, sender, to, note, now, limits),
        Body::Withdraw { to, request_id } => withdraw(request, sender, to, *request_id, now, limits),
        Body::Unknown { version, kind } => Decision::Ignore(Ignored::Unknown {
            sender: sender.to_owned(),
            kind: kind.clone(),
            version: *version,
        }),
        other => {
            Decision::Ignore(Ignored::NotForUs { sender: sender.to_owned(), kind: other.kind().to_owned() })
        }
    }
}

/// For a message that could not be decoded. If it says who sent it, and that it is a request, then its
/// sender hears what was wrong with it.
pub fn decide_undecodable(
    error: DecodeError,
    sender: Option<&str>,
    kind: Option<&str>,
    id: Option<Uuid>,
    now: Instant,
    limits: &mut Limits,
) -> Decision {
    let answerable = matches!(kind, Some("friend-request" | "withdraw"));
    match (sender, id) {
        (Some(sender), Some(id))
            if answerable
                && check_user_name(sender).is_ok()
                && limits.count_other(sender, id, now).is_ok() =>
        {
            reject(sender, "", format!("the request cannot be read: {error}"), None)
        }
        _ => {
            let sender = sender.map(str::to_owned);
            Decision::Ignore(Ignored::Undecodable { sender, error })
        }
    }
}

fn hello(request: Request<'_>, sender: &str, now: Instant, limits: &mut Limits) -> Decision {
    let sender = sender.to_owned();
    let Some(reply_to) = request.envelope.reply_to.clone().filter(|name| is_reply_queue(name)) else {
        return Decision::Ignore(Ignored::NoReplyQueue { sender });
    };
    match limits.count_hello(&sender, now) {
        Ok(()) => Decision::Welcome { sender, reply_to },
        Err(_) => Decision::Ignore(Ignored::TooManyHellos { sender }),
    }
}

fn friend_request(
    request: Request<'_>,
    sender: &str,
    to: &str,
    note: &str,
    now: Instant,
    limits: &mut Limits,
) -> Decision {
    if let Err(reason) = check_addressee(sender, to) {
        return reject(sender, to, reason, None);
    }
    let Some(reply_to) = request.envelope.reply_to.clone().filter(|name| is_friend_queue(name)) else {
        let reason = "the request does not name a friend queue for the answer; update your client";
        return reject(sender, to, reason.to_owned(), None);
    };
    let id = request.envelope.id;
    if !is_counted_redelivery(request, sender, limits)
        && let Err(too_soon) = limits.count_request(sender, to, id, now)
    {
        return reject_too_soon(sender, to, too_soon);
    }
    Decision::Forward {
        sender: sender.to_owned(),
        to: to.to_owned(),
        body: Body::IncomingRequest { from: sender.to_owned(), note: note.to_owned() },
        reply_to: Some(reply_to),
    }
}

fn withdraw(
    request: Request<'_>,
    sender: &str,
    to: &str,
    request_id: Uuid,
    now: Instant,
    limits: &mut Limits,
) -> Decision {
    if let Err(reason) = check_addressee(sender, to) {
        return reject(sender, to, reason, None);
    }
    let id = request.envelope.id;
    if !is_counted_redelivery(request, sender, limits)
        && let Err(too_soon) = limits.count_other(sender, id, now)
    {
        return reject_too_soon(sender, to, too_soon);
    }
    Decision::Forward {
        sender: sender.to_owned(),
        to: to.to_owned(),
        body: Body::Withdrawn { from: sender.to_owned(), request_id },
        reply_to: None,
    }
}

/// Only the broker's word counts for a redelivery: a sender can repeat an id as often as it likes.
fn is_counted_redelivery(request: Request<'_>, sender: &str, limits: &Limits) -> bool {
    request.redelivered && limits.was_counted(sender, request.envelope.id)
}

fn check_addressee(sender: &str, to: &str) -> Result<(), String> {
    check_user_name(to).map_err(|error| error.to_string())?;
    match sender == to {
        true => Err("you cannot be your own friend; give the name of somebody else".to_owned()),
        false => Ok(()),
    }
}

fn reject_too_soon(sender: &str, to: &str, TooSoon { retry_after }: TooSoon) -> Decision {
    // Rounded up, or trying again on time would be too soon once more.
    let retry_after_s = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    let reason = format!("that is too many requests; try again in {}", in_words(retry_after_s));
    reject(sender, to, reason, Some(retry_after_s))
}

fn reject(sender: &str, to: &str, mut reason: String, retry_after_s: Option<u64>) -> Decision {
    // Some reasons quote what was wrong, however long it is.
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    let body = Body::RequestRejected { to: to.to_owned(), reason, retry_after_s };
    Decision::Reject { sender: sender.to_owned(), body }
}

fn in_words(seconds: u64) -> String {
    const MINUTE: u64 = Duration::from_secs(60).as_secs();
    match seconds {
        1 => "1 second".to_owned(),
        2..=MINUTE => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(MINUTE)),
    }
}

#[cfg(test)]
mod tests {
    use shared::topology::{friend_queue_name, reply_queue_name};

    use super::*;
    use crate::limits::{Rate, Settings};

    fn limits() -> Limits {
        let once = Rate { burst: 1, every: Duration::from_millis(89_500) };
        Limits::new(Settings {
            requests_per_sender: Rate { burst: 2, ..once },
            requests_per_pair: once,
            hellos_per_sender: once,
            buckets_max: 100,
        })
    }

    fn from_alice(body: Body) -> Envelope {
        Envelope { user_id: Some("alice".to_owned()), ..Envelope::new(body) }
    }

    fn asking(to: &str) -> Envelope {
        let (to, note) = (to.to_owned(), "hi".to_owned());
        from_alice(Body::FriendRequest { to, note }).with_reply_to(friend_queue_name())
    }

    fn decided(envelope: &Envelope, limits: &mut Limits) -> Decision {
        decide(Request { envelope, redelivered: false }, Instant::now(), limits)
    }

    fn rejection(decision: Decision) -> (String, Option<u64>) {
        match decision {
            Decision::Reject { body: Body::RequestRejected { reason, retry_after_s, .. }, sender } => {
                assert_eq!(sender, "alice");
                (reason, retry_after_s)
            }
            other => panic!("not a rejection: {other:?}"),
        }
    }

    #[test]
    fn a_hello_is_welcomed_at_its_reply_queue_and_nowhere_else() {
        let queue = reply_queue_name();
        let hello = from_alice(Body::Hello {}).with_reply_to(queue.clone());
        let welcome = Decision::Welcome { sender: "alice".to_owned(), reply_to: queue };
        let mut limits = limits();
        assert_eq!(decided(&hello, &mut limits), welcome);
        assert!(matches!(decided(&hello, &mut limits), Decision::Ignore(Ignored::TooManyHellos { .. })));
        for elsewhere in [friend_queue_name(), "inbox.x".to_owned(), String::new()] {
            let hello = from_alice(Body::Hello {}).with_reply_to(elsewhere);
            let ignored = decided(&hello, &mut limits);
            assert!(matches!(ignored, Decision::Ignore(Ignored::NoReplyQueue { .. })), "{ignored:?}");
        }
    }

    #[test]
    fn a_friend_request_is_forwarded_with_the_verified_sender() {
        let request = asking("bob");
        let forward = Decision::Forward {
            sender: "alice".to_owned(),
            to: "bob".to_owned(),
            body: Body::IncomingRequest { from: "alice".to_owned(), note: "hi".to_owned() },
            reply_to: request.reply_to.clone(),
        };
        assert_eq!(decided(&request, &mut limits()), forward);
    }

    #[test]
    fn requests_that_cannot_be_are_rejected_with_a_reason_and_cost_nothing() {
        let mut limits = limits();
        let no_queue = Envelope { reply_to: None, ..asking("bob") };
        let wrong_queue = asking("bob").with_reply_to("inbox.somebody");
        for (request, reason) in [
            (asking("alice"), "your own friend"),
            (asking("Bob"), "'B'"),
            (asking(""), "empty"),
            (no_queue, "friend queue"),
            (wrong_queue, "friend queue"),
        ] {
            let (given, retry_after_s) = rejection(decided(&request, &mut limits));
            assert!(given.contains(reason), "{given}");
            assert_eq!(retry_after_s, None);
        }
        assert!(matches!(decided(&asking("bob"), &mut limits), Decision::Forward { .. }));
    }

    #[test]
    fn too_many_requests_are_rejected_with_the_time_to_wait() {
        let mut limits = limits();
        let now = Instant::now();
        let mut ask = |to: &str, later_s| {
            let request = asking(to);
            let request = Request { envelope: &request, redelivered: false };
            decide(request, now + Duration::from_secs(later_s), &mut limits)
        };
        assert!(matches!(ask("bob", 0), Decision::Forward { .. }));
        let (reason, retry_after_s) = rejection(ask("bob", 0));
        assert_eq!(retry_after_s, Some(90), "rounded up");
        assert!(reason.contains("in 2 minutes"), "{reason}");
        assert!(matches!(ask("bob", 90), Decision::Forward { .. }));
    }

    #[test]
    fn a_redelivery_is_not_counted_twice_but_a_repetition_is() {
        let mut limits = limits();
        let request = asking("bob");
        assert!(matches!(decided(&request, &mut limits), Decision::Forward { .. }));
        for _ in 0..3 {
            let again = Request { envelope: &request, redelivered: true };
            let decision = decide(again, Instant::now(), &mut limits);
            assert!(matches!(decision, Decision::Forward { .. }), "{decision:?}");
        }
        rejection(decided(&request, &mut limits));
    }

    #[test]
    fn a_withdrawal_is_forwarded() {
        let request_id = Uuid::new_v4();
        let withdraw = |to: &str| from_alice(Body::Withdraw { to: to.to_owned(), request_id });
        let mut limits = limits();
        let forward = Decision::Forward {
            sender: "alice".to_owned(),
            to: "bob".to_owned(),
            body: Body::Withdrawn { from: "alice".to_owned(), request_id },
            reply_to: None,
        };
        assert_eq!(decided(&withdraw("bob"), &mut limits), forward);
        assert_eq!(decided(&withdraw("bob"), &mut limits), forward);
        let (_, retry_after_s) = rejection(decided(&withdraw("bob"), &mut limits));
        assert!(retry_after_s.is_some());
        rejection(decided(&withdraw("alice"), &mut limits));
    }

    #[test]
    fn what_cannot_be_answered_is_ignored() {
        let mut limits = limits();
        let nobody = Envelope { user_id: None, ..asking("bob") };
        let odd = Envelope { user_id: Some("Al ice".to_owned()), ..asking("bob") };
        let future = from_alice(Body::Unknown { version: 2, kind: "friend-request".to_owned() });
        for (envelope, ignored) in [
            (nobody, Ignored::NoSender),
            (odd, Ignored::SenderName("Al ice".to_owned())),
            (
                future,
                Ignored::Unknown {
                    sender: "alice".to_owned(),
                    kind: "friend-request".to_owned(),
                    version: 2,
                },
            ),
            (
                from_alice(Body::Accept {}),
                Ignored::NotForUs { sender: "alice".to_owned(), kind: "accept".to_owned() },
            ),
        ] {
            assert_eq!(decided(&envelope, &mut limits), Decision::Ignore(ignored));
        }
    }

    #[test]
    fn unreadable_requests_are_answered_if_the_sender_is_known_and_patient() {
        let (mut limits, now) = (limits(), Instant::now());
        let error = DecodeError::Json("EOF".to_owned());
        let mut decide = |sender, kind| {
            let id = Some(Uuid::new_v4());
            decide_undecodable(error.clone(), sender, kind, id, now, &mut limits)
        };
        let ignored = |sender: Option<&str>| {
            let sender = sender.map(str::to_owned);
            Decision::Ignore(Ignored::Undecodable { sender, error: error.clone() })
        };
        assert_eq!(decide(None, Some("friend-request")), ignored(None));
        assert_eq!(decide(Some("alice"), Some("message")), ignored(Some("alice")));
        assert_eq!(decide(Some("alice"), None), ignored(Some("alice")));
        assert!(rejection(decide(Some("alice"), Some("friend-request"))).0.contains("EOF"));
        rejection(decide(Some("alice"), Some("withdraw")));
        assert_eq!(decide(Some("alice"), Some("withdraw")), ignored(Some("alice")), "too many");

        let long = DecodeError::Json("é".repeat(REASON_BYTES_MAX));
        let id = Some(Uuid::new_v4());
        let decision =
            decide_undecodable(long, Some("alice"), Some("withdraw"), id, now, &mut super::tests::limits());
        assert!(rejection(decision).0.len() <= REASON_BYTES_MAX);
    }
}
