//! The properties of class basic: flags and list as they travel, read in place, and an owned form to build them.

use std::borrow::Cow;

use super::error::DecodeError;
use super::reader::{Reader, put_short_str};
use super::table::{check_table, decode_table, encode_table, view_table};
use super::types::{FieldTable, TableView};

/// A property, numbered in the order of the list; its flag is bit 15 - number of the first flag word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Property {
    ContentType,
    ContentEncoding,
    Headers,
    DeliveryMode,
    Priority,
    CorrelationId,
    ReplyTo,
    Expiration,
    MessageId,
    Timestamp,
    /// The property `type`.
    Kind,
    UserId,
    AppId,
    ClusterId,
}

impl Property {
    pub const ALL: [Property; 14] = [
        Property::ContentType,
        Property::ContentEncoding,
        Property::Headers,
        Property::DeliveryMode,
        Property::Priority,
        Property::CorrelationId,
        Property::ReplyTo,
        Property::Expiration,
        Property::MessageId,
        Property::Timestamp,
        Property::Kind,
        Property::UserId,
        Property::AppId,
        Property::ClusterId,
    ];

    #[inline]
    const fn flag(self) -> u16 {
        0x8000 >> self as u8
    }
}

/// Where the header table begins, if there is one.
#[inline]
fn headers_reader(raw: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader::new(raw);
    let flags = reader.u16().ok()?;
    if flags & Property::Headers.flag() == 0 {
        return None;
    }
    if flags & !DEFINED != 0 {
        skip_flag_words(flags, &mut reader).ok()?;
    }
    for before in [Property::ContentType, Property::ContentEncoding] {
        if flags & before.flag() != 0 {
            skip(before, &mut reader).ok()?;
        }
    }
    Some(reader)
}

/// Set if another word of flags follows.
const CONTINUATION: u16 = 1;
const DEFINED: u16 = !(Property::ClusterId.flag() - 1);

/// A checked property list, borrowed from the bytes of the wire. Making one allocates nothing.
///
/// The strings that the broker acts on (`expiration`, `reply-to`, `user-id`) are known to be UTF-8. The others
/// only pass through, and clients put raw octets into them; they are shown with replacement characters then.
#[derive(Debug, Clone)]
pub struct Properties<'a> {
    raw: &'a [u8],
    /// Where each property begins in `raw`; 0 if it is absent, as the flags are there.
    starts: [u32; Property::ALL.len()],
}

impl<'a> Properties<'a> {
    /// Checks flags and list, `raw` being all that follows the body size in a content header.
    ///
    /// # Errors
    /// If a flag is set that class basic does not define, the list is shorter or longer than the flags say, the
    /// header table is malformed, or one of the strings that must be UTF-8 is not.
    #[inline]
    pub fn parse(raw: &'a [u8]) -> Result<Properties<'a>, DecodeError> {
        let mut reader = Reader::new(raw);
        let flags = reader.u16()?;
        if flags & !DEFINED != 0 {
            skip_flag_words(flags, &mut reader)?;
        }
        let mut starts = [0; Property::ALL.len()];
        let mut pending = flags & DEFINED;
        while pending != 0 {
            let number = pending.leading_zeros() as usize;
            let property = Property::ALL[number];
            pending &= !property.flag();
            starts[number] = (raw.len() - reader.rest().len()) as u32;
            skip(property, &mut reader)?;
        }
        reader.finish()?;
        Ok(Properties { raw, starts })
    }

    /// Flags and list as they were given to [`parse`](Self::parse).
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    #[inline]
    pub fn has(&self, property: Property) -> bool {
        self.starts[property as usize] != 0
    }

    #[inline]
    fn reader(&self, property: Property) -> Option<Reader<'a>> {
        let start = self.starts[property as usize] as usize;
        if start == 0 { None } else { self.raw.get(start..).map(Reader::new) }
    }

    /// A property's octets as they are in the list, lengths of strings and tables included.
    pub fn octets(&self, property: Property) -> Option<&'a [u8]> {
        let mut reader = self.reader(property)?;
        let from = reader.rest();
        skip(property, &mut reader).ok()?;
        Some(&from[..from.len() - reader.rest().len()])
    }

    #[inline]
    fn octet(&self, property: Property) -> Option<u8> {
        self.reader(property)?.u8().ok()
    }

    #[inline]
    fn checked_str(&self, property: Property) -> Option<&'a str> {
        self.reader(property)?.short_str().ok()
    }

    fn text(&self, property: Property) -> Option<Cow<'a, str>> {
        self.reader(property)?.short_bytes().ok().map(String::from_utf8_lossy)
    }

    pub fn content_type(&self) -> Option<Cow<'a, str>> {
        self.text(Property::ContentType)
    }

    pub fn content_encoding(&self) -> Option<Cow<'a, str>> {
        self.text(Property::ContentEncoding)
    }

    /// The header table, decoded now.
    pub fn headers(&self) -> Option<FieldTable> {
        // Parsing has checked the table, so that it cannot fail to decode here.
        decode_table(&mut self.reader(Property::Headers)?).ok()
    }

    /// The header table's octets without its length.
    #[inline]
    pub fn headers_raw(&self) -> Option<&'a [u8]> {
        self.reader(Property::Headers)?.long_str().ok()
    }

    /// The headers to look into, of a list that was checked before.
    pub fn view_headers(raw: &'a [u8]) -> Option<TableView<'a>> {
        view_table(&mut headers_reader(raw)?).ok()
    }

    /// The header table's octets without its length, of a list that was checked before.
    #[inline]
    pub fn headers_octets(raw: &'a [u8]) -> Option<&'a [u8]> {
        headers_reader(raw)?.long_str().ok()
    }

    /// 2 is persistent.
    #[inline]
    pub fn delivery_mode(&self) -> Option<u8> {
        self.octet(Property::DeliveryMode)
    }

    #[inline]
    pub fn priority(&self) -> Option<u8> {
        self.octet(Property::Priority)
    }

    pub fn correlation_id(&self) -> Option<Cow<'a, str>> {
        self.text(Property::CorrelationId)
    }

    #[inline]
    pub fn reply_to(&self) -> Option<&'a str> {
        self.checked_str(Property::ReplyTo)
    }

    /// Milliseconds as decimal digits, unchecked.
    #[inline]
    pub fn expiration(&self) -> Option<&'a str> {
        self.checked_str(Property::Expiration)
    }

    pub fn message_id(&self) -> Option<Cow<'a, str>> {
        self.text(Property::MessageId)
    }

    /// Seconds since 1970-01-01 UTC.
    pub fn timestamp(&self) -> Option<u64> {
        self.reader(Property::Timestamp)?.u64().ok()
    }

    /// The property `type`.
    pub fn kind(&self) -> Option<Cow<'a, str>> {
        self.text(Property::Kind)
    }

    #[inline]
    pub fn user_id(&self) -> Option<&'a str> {
        self.checked_str(Property::UserId)
    }

    pub fn app_id(&self) -> Option<Cow<'a, str>> {
        self.text(Property::AppId)
    }

    pub fn cluster_id(&self) -> Option<Cow<'a, str>> {
        self.text(Property::ClusterId)
    }

    /// Appends flags and list with other headers (none at all if there are none now and were none), and without the
    /// expiration unless it is kept. Everything else keeps its exact octets.
    pub fn encode_with_headers(&self, headers: &FieldTable, keep_expiration: bool, out: &mut Vec<u8>) {
        self.encode_edited(out, |property, octets, out| match property {
            Property::Headers if headers.is_empty() && octets.is_none() => {}
            Property::Headers => encode_table(headers, out),
            Property::Expiration if !keep_expiration => {}
            _ => out.extend_from_slice(octets.unwrap_or_default()),
        });
    }

    /// Appends flags and list with another reply-to. Everything else keeps its exact octets.
    pub fn encode_with_reply_to(&self, reply_to: &str, out: &mut Vec<u8>) {
        self.encode_edited(out, |property, octets, out| match property {
            Property::ReplyTo => put_short_str(out, reply_to),
            _ => out.extend_from_slice(octets.unwrap_or_default()),
        });
    }

    /// Appends flags, and for each property what `put` appends, given the octets that there are.
    fn encode_edited(&self, out: &mut Vec<u8>, mut put: impl FnMut(Property, Option<&[u8]>, &mut Vec<u8>)) {
        let flags_at = out.len();
        let mut flags = 0;
        out.extend_from_slice(&[0; 2]);
        for property in Property::ALL {
            let before = out.len();
            put(property, self.octets(property), out);
            if out.len() > before {
                flags |= property.flag();
            }
        }
        out[flags_at..flags_at + 2].copy_from_slice(&flags.to_be_bytes());
    }

    /// All properties, decoded.
    pub fn to_owned(&self) -> BasicProperties {
        let text = |property| self.text(property).map(|text| Box::from(&*text));
        BasicProperties {
            content_type: text(Property::ContentType),
            content_encoding: text(Property::ContentEncoding),
            headers: self.headers(),
            delivery_mode: self.delivery_mode(),
            priority: self.priority(),
            correlation_id: text(Property::CorrelationId),
            reply_to: text(Property::ReplyTo),
            expiration: text(Property::Expiration),
            message_id: text(Property::MessageId),
            timestamp: self.timestamp(),
            kind: text(Property::Kind),
            user_id: text(Property::UserId),
            app_id: text(Property::AppId),
            cluster_id: text(Property::ClusterId),
        }
    }
}

/// Reads the flag words behind the first. They can only say that nothing is set, as the sizes of properties
/// nobody defined are unknown.
#[cold]
fn skip_flag_words(first: u16, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let mut undefined = first & !DEFINED;
    while undefined & CONTINUATION != 0 && undefined & !CONTINUATION == 0 {
        undefined = reader.u16()?;
    }
    if undefined == 0 { Ok(()) } else { Err(DecodeError::UnknownProperty) }
}

#[inline]
fn skip(property: Property, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    match property {
        Property::DeliveryMode | Property::Priority => reader.u8().map(drop),
        Property::Timestamp => reader.u64().map(drop),
        Property::Headers => check_table(reader),
        Property::Expiration | Property::ReplyTo | Property::UserId => reader.short_str().map(drop),
        _ => reader.short_bytes().map(drop),
    }
}

/// Properties to build a message from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BasicProperties {
    pub content_type: Option<Box<str>>,
    pub content_encoding: Option<Box<str>>,
    pub headers: Option<FieldTable>,
    pub delivery_mode: Option<u8>,
    pub priority: Option<u8>,
    pub correlation_id: Option<Box<str>>,
    pub reply_to: Option<Box<str>>,
    pub expiration: Option<Box<str>>,
    pub message_id: Option<Box<str>>,
    pub timestamp: Option<u64>,
    /// The property `type`.
    pub kind: Option<Box<str>>,
    pub user_id: Option<Box<str>>,
    pub app_id: Option<Box<str>>,
    pub cluster_id: Option<Box<str>>,
}

impl BasicProperties {
    /// Appends flags and list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flags_at = out.len();
        out.extend_from_slice(&[0; 2]);
        let mut list = ListWriter { out, flags: 0 };
        list.text(Property::ContentType, &self.content_type);
        list.text(Property::ContentEncoding, &self.content_encoding);
        if let Some(headers) = &self.headers {
            encode_table(headers, list.property(Property::Headers));
        }
        list.octet(Property::DeliveryMode, self.delivery_mode);
        list.octet(Property::Priority, self.priority);
        list.text(Property::CorrelationId, &self.correlation_id);
        list.text(Property::ReplyTo, &self.reply_to);
        list.text(Property::Expiration, &self.expiration);
        list.text(Property::MessageId, &self.message_id);
        if let Some(seconds) = self.timestamp {
            list.property(Property::Timestamp).extend_from_slice(&seconds.to_be_bytes());
        }
        list.text(Property::Kind, &self.kind);
        list.text(Property::UserId, &self.user_id);
        list.text(Property::AppId, &self.app_id);
        list.text(Property::ClusterId, &self.cluster_id);
        let flags = list.flags.to_be_bytes();
        out[flags_at..flags_at + 2].copy_from_slice(&flags);
    }
}

/// Appends properties and collects their flags.
struct ListWriter<'a> {
    out: &'a mut Vec<u8>,
    flags: u16,
}

impl ListWriter<'_> {
    fn property(&mut self, property: Property) -> &mut Vec<u8> {
        self.flags |= property.flag();
        self.out
    }

    fn octet(&mut self, property: Property, value: Option<u8>) {
        if let Some(value) = value {
            self.property(property).push(value);
        }
    }

    fn text(&mut self, property: Property, value: &Option<Box<str>>) {
        if let Some(value) = value {
            put_short_str(self.property(property), value);
        }
    }
}
