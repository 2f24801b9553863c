//! The elementary values of the wire (section 4.2.5): integers in network order and the two kinds of strings.

use super::error::DecodeError;
use super::table;
use super::types::FieldTable;

/// A cursor over octets. Reading past the end is [`DecodeError::Truncated`] and moves nothing.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader { rest: octets }
    }

    /// Everything that has not been read yet.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`] if anything is left.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::TrailingBytes) }
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (octets, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*octets)
    }

    #[inline]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (octets, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(octets)
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A short string whose characters do not matter: up to 255 octets.
    #[inline]
    pub fn short_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let (&len, rest) = self.rest.split_first().ok_or(DecodeError::Truncated)?;
        let (octets, rest) = rest.split_at_checked(usize::from(len)).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(octets)
    }

    /// A short string: up to 255 octets of UTF-8.
    #[inline]
    pub fn short_str(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.short_bytes()?).map_err(|_| DecodeError::BadString)
    }

    /// A long string: any octets.
    #[inline]
    pub fn long_str(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.rest.first_chunk::<4>().ok_or(DecodeError::Truncated)?;
        let len = u32::from_be_bytes(*len) as usize;
        let octets = self.rest[4..].get(..len).ok_or(DecodeError::Truncated)?;
        self.rest = &self.rest[4 + len..];
        Ok(octets)
    }

    /// A field table.
    pub fn table(&mut self) -> Result<FieldTable, DecodeError> {
        table::decode_table(self)
    }
}

/// The longest prefix that fits a short string and ends at a character.
pub fn short_prefix(text: &str) -> &str {
    &text[..text.floor_char_boundary(usize::from(u8::MAX))]
}

/// Appends a short string. One of more than 255 octets cannot exist on the wire; it is cut at a character, and
/// whoever makes names or texts has to keep them shorter.
#[inline]
pub fn put_short_str(out: &mut Vec<u8>, text: &str) {
    let text = if text.len() > usize::from(u8::MAX) { short_prefix(text) } else { text };
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// Appends what is known to be a short string: at most 255 octets.
#[inline]
pub(super) fn put_short_octets(out: &mut Vec<u8>, octets: &[u8]) {
    debug_assert!(octets.len() <= usize::from(u8::MAX));
    out.push(octets.len() as u8);
    out.extend_from_slice(octets);
}

/// Appends a long string.
#[inline]
pub fn put_long_str(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(&(octets.len() as u32).to_be_bytes());
    out.extend_from_slice(octets);
}
