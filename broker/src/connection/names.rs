//! Names that clients leave out or that the server makes up.

use std::borrow::Cow;

use uuid::Uuid;

use crate::error::AmqpError;
use crate::vhost::reply_address;

use super::channel::Channel;

const GENERATED_QUEUE_PREFIX: &str = "amq.gen-";
const GENERATED_CONSUMER_PREFIX: &str = "amq.ctag-";

/// The URL-safe base64 alphabet, as in RabbitMQ's names.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 22 characters that nobody can guess: 128 random bits, as many as a UUID has.
fn random_suffix() -> String {
    let mut bits = Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(64);
    (0..22)
        .map(|_| {
            let character = char::from(ALPHABET[(bits & 63) as usize]);
            bits >>= 6;
            character
        })
        .collect()
}

pub fn generated_queue() -> String {
    format!("{GENERATED_QUEUE_PREFIX}{}", random_suffix())
}

pub fn generated_consumer_tag() -> String {
    format!("{GENERATED_CONSUMER_PREFIX}{}", random_suffix())
}

/// Where a channel gets direct replies: two words in Base64, as some clients' tests expect it of RabbitMQ.
pub fn generated_reply_address() -> Box<str> {
    reply_address(&format!("{}.{}==", random_suffix(), random_suffix()))
}

/// Queue names never hold line breaks; RabbitMQ strips them too.
pub fn without_line_breaks(name: &str) -> Cow<'_, str> {
    match name.contains(['\r', '\n']) {
        true => Cow::Owned(name.replace(['\r', '\n'], "")),
        false => Cow::Borrowed(name),
    }
}

/// An empty queue name stands for the queue declared last on the channel (AMQP 0-9-1 §1.7.2.3).
pub fn queue<'a>(channel: &'a Channel, name: &'a str) -> Result<Cow<'a, str>, AmqpError> {
    let name = without_line_breaks(name);
    if !name.is_empty() {
        return Ok(name);
    }
    match &channel.last_queue {
        Some(name) => Ok(Cow::Owned(name.to_string())),
        None => Err(AmqpError::not_found("no previously declared queue")),
    }
}

/// With queue and key both empty, the key is the queue's name.
pub fn queue_and_key<'a>(
    channel: &'a Channel,
    name: &'a str,
    routing_key: &'a str,
) -> Result<(Cow<'a, str>, Cow<'a, str>), AmqpError> {
    let queue = queue(channel, name)?;
    let key =
        if name.is_empty() && routing_key.is_empty() { queue.clone() } else { Cow::Borrowed(routing_key) };
    Ok((Cow::Owned(queue.into_owned()), Cow::Owned(key.into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_have_22_characters_that_differ() {
        let (a, b) = (generated_queue(), generated_queue());
        assert_ne!(a, b);
        assert_eq!(a.len(), GENERATED_QUEUE_PREFIX.len() + 22);
        assert!(generated_consumer_tag().starts_with("amq.ctag-"));
    }
}
