//! Messages of one connection that have come and are not published: bodies whose last frame is missing, and
//! publishes that wait for `tx.commit`.

use crate::amqp::ReplyCode;
use crate::error::AmqpError;
use crate::message::Resident;

/// Their bytes, bounded for each connection, and part of what the memory alarm looks at.
pub struct Pending {
    resident: Resident,
    bytes_max: u64,
}

impl Pending {
    pub fn new(bytes_max: u64) -> Pending {
        Pending { resident: Resident::default(), bytes_max }
    }

    /// Refused where it would be more than may be.
    pub fn add(&mut self, bytes: u64) -> Result<(), AmqpError> {
        if self.resident.bytes() + bytes > self.bytes_max {
            // "Larger than the server can accept at the present time; the client may retry at a later time."
            return Err(AmqpError::channel(
                ReplyCode::ContentTooLarge,
                format!(
                    "this connection has more than {} bytes of messages that are incomplete or wait for tx.commit; \
                     commit more often, or send fewer large messages at once (limits.pending_bytes_max)",
                    self.bytes_max
                ),
            ));
        }
        self.resident.add(bytes);
        Ok(())
    }

    pub fn remove(&mut self, bytes: u64) {
        self.resident.remove(bytes);
    }

    pub fn is_empty(&self) -> bool {
        self.resident.bytes() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_as_may_be_and_no_more() {
        let mut pending = Pending::new(10);
        assert_eq!(pending.add(10), Ok(()));
        assert!(pending.add(1).unwrap_err().text.contains("more than 10 bytes"));
        pending.remove(10);
        assert!(pending.is_empty());
        assert_eq!(pending.add(10), Ok(()));
    }
}
