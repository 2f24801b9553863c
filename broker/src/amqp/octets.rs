//! Octets as RabbitMQ shows them in its reply texts, which clients and their users know.

use std::fmt::{self, Display, Write};

/// Displays octets in Erlang's notation: `<<"abc">>` when all are printable, else `<<0,90,0,10>>`.
#[derive(Debug, Clone, Copy)]
pub struct Octets<'a>(pub &'a [u8]);

impl Display for Octets<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("<<>>");
        }
        if self.0.iter().all(|octet| matches!(octet, b' '..=b'~')) {
            return write_text(self.0, f);
        }
        for (i, octet) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "<<" } else { "," })?;
            write!(f, "{octet}")?;
        }
        f.write_str(">>")
    }
}

fn write_text(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("<<\"")?;
    for &octet in octets {
        if matches!(octet, b'"' | b'\\') {
            f.write_char('\\')?;
        }
        f.write_char(char::from(octet))?;
    }
    f.write_str("\">>")
}

/// The start of a payload, small enough to live in an error. Displays as `all octets = <<...>>`, or as
/// `first 16 octets = <<...>>` when there are more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    octets: [u8; Preview::SIZE],
    len: u8,
    complete: bool,
}

impl Preview {
    const SIZE: usize = 16;

    pub fn new(payload: &[u8]) -> Preview {
        let start = &payload[..payload.len().min(Preview::SIZE)];
        let mut octets = [0; Preview::SIZE];
        octets[..start.len()].copy_from_slice(start);
        Preview { octets, len: start.len() as u8, complete: payload.len() <= Preview::SIZE }
    }
}

impl Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = Octets(&self.octets[..usize::from(self.len)]);
        if self.complete {
            write!(f, "all octets = {octets}")
        } else {
            write!(f, "first {} octets = {octets}", Preview::SIZE)
        }
    }
}
