//! Method arguments: values of the protocol's elementary domains, with runs of bits packed into octets.

use super::error::DecodeError;
use super::reader::{Reader, put_long_str, put_short_str};
use super::table::encode_table;
use super::types::FieldTable;

pub type Bit = bool;
pub type Octet = u8;
pub type Short = u16;
pub type Long = u32;
pub type LongLong = u64;
pub type ShortStr = Box<str>;
pub type LongStr = Box<[u8]>;
pub type Table = FieldTable;

/// A Rust type that stands for an elementary domain.
pub trait Argument: Sized {
    /// The domain's name in the specification.
    const DOMAIN: &'static str;

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<Self, DecodeError>;
    fn write(&self, arguments: &mut ArgumentWriter<'_>);
}

/// Reads arguments in order. Consecutive bits share octets, the first one in the lowest bit (section 4.2.5.2).
pub struct ArgumentReader<'a> {
    reader: Reader<'a>,
    bits: u8,
    bits_left: u8,
}

impl<'a> ArgumentReader<'a> {
    pub fn new(reader: Reader<'a>) -> ArgumentReader<'a> {
        ArgumentReader { reader, bits: 0, bits_left: 0 }
    }

    fn bit(&mut self) -> Result<bool, DecodeError> {
        if self.bits_left == 0 {
            self.bits = self.reader.u8()?;
            self.bits_left = 8;
        }
        let bit = self.bits & 1 != 0;
        self.bits >>= 1;
        self.bits_left -= 1;
        Ok(bit)
    }

    /// For a value that is not a bit, which ends a run of bits.
    fn value(&mut self) -> &mut Reader<'a> {
        self.bits_left = 0;
        &mut self.reader
    }

    /// # Errors
    /// [`DecodeError::TrailingBytes`] if anything is left. RabbitMQ refuses it too.
    pub fn finish(self) -> Result<(), DecodeError> {
        self.reader.finish()
    }
}

/// Appends arguments in order, bits packed as [`ArgumentReader`] reads them.
pub struct ArgumentWriter<'a> {
    out: &'a mut Vec<u8>,
    /// Bits used of the last octet; 0 if the next bit begins one.
    bits_used: u8,
}

impl<'a> ArgumentWriter<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> ArgumentWriter<'a> {
        ArgumentWriter { out, bits_used: 0 }
    }

    fn bit(&mut self, bit: bool) {
        let value = u8::from(bit) << self.bits_used;
        match self.out.last_mut() {
            Some(octet) if self.bits_used != 0 => *octet |= value,
            _ => self.out.push(value),
        }
        self.bits_used = (self.bits_used + 1) % 8;
    }

    /// For a value that is not a bit, which ends a run of bits.
    fn value(&mut self) -> &mut Vec<u8> {
        self.bits_used = 0;
        self.out
    }
}

impl Argument for Bit {
    const DOMAIN: &'static str = "bit";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<bool, DecodeError> {
        arguments.bit()
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        arguments.bit(*self);
    }
}

impl Argument for Octet {
    const DOMAIN: &'static str = "octet";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<u8, DecodeError> {
        arguments.value().u8()
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        arguments.value().push(*self);
    }
}

impl Argument for Short {
    const DOMAIN: &'static str = "short";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<u16, DecodeError> {
        arguments.value().u16()
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        arguments.value().extend_from_slice(&self.to_be_bytes());
    }
}

impl Argument for Long {
    const DOMAIN: &'static str = "long";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<u32, DecodeError> {
        arguments.value().u32()
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        arguments.value().extend_from_slice(&self.to_be_bytes());
    }
}

impl Argument for LongLong {
    const DOMAIN: &'static str = "longlong";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<u64, DecodeError> {
        arguments.value().u64()
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        arguments.value().extend_from_slice(&self.to_be_bytes());
    }
}

impl Argument for ShortStr {
    const DOMAIN: &'static str = "shortstr";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<Box<str>, DecodeError> {
        arguments.value().short_str().map(Box::from)
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        put_short_str(arguments.value(), self);
    }
}

impl Argument for LongStr {
    const DOMAIN: &'static str = "longstr";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<Box<[u8]>, DecodeError> {
        arguments.value().long_str().map(Box::from)
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        put_long_str(arguments.value(), self);
    }
}

impl Argument for Table {
    const DOMAIN: &'static str = "table";

    fn read(arguments: &mut ArgumentReader<'_>) -> Result<FieldTable, DecodeError> {
        arguments.value().table()
    }

    fn write(&self, arguments: &mut ArgumentWriter<'_>) {
        encode_table(self, arguments.value());
    }
}
