//! Field tables on the wire (section 4.2.5.5, with the type tags of RabbitMQ's errata).

use super::error::DecodeError;
use super::reader::{Reader, put_long_str, put_short_str};
use super::types::{FieldTable, FieldValue, FieldView, TableView};

/// Tables and arrays may contain one another to this depth, the outermost counted. Decoding recurses, so without
/// a bound a peer could exhaust the stack.
pub const MAX_TABLE_DEPTH: usize = 64;

/// Reads a table with its length.
///
/// # Errors
/// If it is truncated, names a type that does not exist, has a name that is not UTF-8 or is nested too deep.
pub fn decode_table(reader: &mut Reader<'_>) -> Result<FieldTable, DecodeError> {
    read_table(reader, MAX_TABLE_DEPTH)
}

fn read_table(reader: &mut Reader<'_>, depth: usize) -> Result<FieldTable, DecodeError> {
    let (mut fields, depth) = enter(reader, depth)?;
    let mut table = FieldTable::default();
    while !fields.is_empty() {
        let name = fields.short_str()?;
        let value = read_value(&mut fields, depth)?;
        table.0.push((name.into(), value));
    }
    Ok(table)
}

/// Reads a table with its length, and leaves its names and texts where they are. Succeeds exactly when [`decode_table`]
/// would.
///
/// # Errors
/// As [`decode_table`].
pub fn view_table<'a>(reader: &mut Reader<'a>) -> Result<TableView<'a>, DecodeError> {
    let (mut fields, depth) = enter(reader, MAX_TABLE_DEPTH)?;
    let mut table = TableView::default();
    while !fields.is_empty() {
        let name = fields.short_str()?;
        let value = match fields.rest().first() {
            Some(b'S') => {
                fields.u8()?;
                FieldView::LongString(fields.long_str()?)
            }
            _ => FieldView::Other(read_value(&mut fields, depth)?),
        };
        table.0.push((name, value));
    }
    Ok(table)
}

fn read_array(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<FieldValue>, DecodeError> {
    let (mut items, depth) = enter(reader, depth)?;
    let mut values = Vec::new();
    while !items.is_empty() {
        values.push(read_value(&mut items, depth)?);
    }
    Ok(values)
}

/// The content of a table or array, and how deep what is inside may still be.
fn enter<'a>(reader: &mut Reader<'a>, depth: usize) -> Result<(Reader<'a>, usize), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::TooDeep)?;
    Ok((Reader::new(reader.long_str()?), depth))
}

fn read_value(reader: &mut Reader<'_>, depth: usize) -> Result<FieldValue, DecodeError> {
    Ok(match reader.u8()? {
        b'S' => FieldValue::LongString(reader.long_str()?.into()),
        b'T' => FieldValue::Timestamp(reader.u64()?),
        b't' => FieldValue::Boolean(reader.u8()? != 0),
        b'b' => FieldValue::I8(i8::from_be_bytes(reader.array()?)),
        b'B' => FieldValue::U8(reader.u8()?),
        b's' => FieldValue::I16(i16::from_be_bytes(reader.array()?)),
        b'u' => FieldValue::U16(reader.u16()?),
        b'I' => FieldValue::I32(i32::from_be_bytes(reader.array()?)),
        b'i' => FieldValue::U32(reader.u32()?),
        b'l' | b'L' => FieldValue::I64(i64::from_be_bytes(reader.array()?)),
        b'f' => FieldValue::F32(f32::from_be_bytes(reader.array()?)),
        b'd' => FieldValue::F64(f64::from_be_bytes(reader.array()?)),
        b'D' => FieldValue::Decimal { scale: reader.u8()?, value: reader.u32()? },
        b'x' => FieldValue::ByteArray(reader.long_str()?.into()),
        b'A' => FieldValue::Array(read_array(reader, depth)?),
        b'F' => FieldValue::Table(read_table(reader, depth)?),
        b'V' => FieldValue::Void,
        tag => return Err(DecodeError::BadFieldType(tag)),
    })
}

/// Walks over a table without allocating. Succeeds exactly when [`decode_table`] would.
///
/// # Errors
/// As [`decode_table`].
pub fn check_table(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    skip_table(reader, MAX_TABLE_DEPTH)
}

fn skip_table(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    let (mut fields, depth) = enter(reader, depth)?;
    while !fields.is_empty() {
        fields.short_str()?;
        skip_value(&mut fields, depth)?;
    }
    Ok(())
}

fn skip_array(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    let (mut items, depth) = enter(reader, depth)?;
    while !items.is_empty() {
        skip_value(&mut items, depth)?;
    }
    Ok(())
}

fn skip_value(reader: &mut Reader<'_>, depth: usize) -> Result<(), DecodeError> {
    let fixed = match reader.u8()? {
        b'S' | b'x' => return reader.long_str().map(drop),
        b'F' => return skip_table(reader, depth),
        b'A' => return skip_array(reader, depth),
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'l' | b'L' | b'd' | b'T' => 8,
        tag => return Err(DecodeError::BadFieldType(tag)),
    };
    reader.bytes(fixed).map(drop)
}

/// Appends a table with its length.
pub fn encode_table(table: &FieldTable, out: &mut Vec<u8>) {
    with_length(out, |out| {
        for (name, value) in table.iter() {
            put_short_str(out, name);
            encode_value(value, out);
        }
    });
}

/// Appends what `content` writes, behind its length.
fn with_length(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    content(out);
    let len = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
}

fn encode_value(value: &FieldValue, out: &mut Vec<u8>) {
    match value {
        FieldValue::Boolean(value) => put(out, b't', &[u8::from(*value)]),
        FieldValue::I8(n) => put(out, b'b', &n.to_be_bytes()),
        FieldValue::U8(n) => put(out, b'B', &n.to_be_bytes()),
        FieldValue::I16(n) => put(out, b's', &n.to_be_bytes()),
        FieldValue::U16(n) => put(out, b'u', &n.to_be_bytes()),
        FieldValue::I32(n) => put(out, b'I', &n.to_be_bytes()),
        FieldValue::U32(n) => put(out, b'i', &n.to_be_bytes()),
        FieldValue::I64(n) => put(out, b'l', &n.to_be_bytes()),
        FieldValue::F32(n) => put(out, b'f', &n.to_be_bytes()),
        FieldValue::F64(n) => put(out, b'd', &n.to_be_bytes()),
        FieldValue::Timestamp(seconds) => put(out, b'T', &seconds.to_be_bytes()),
        FieldValue::Void => out.push(b'V'),
        FieldValue::Decimal { scale, value } => {
            put(out, b'D', &[*scale]);
            out.extend_from_slice(&value.to_be_bytes());
        }
        FieldValue::LongString(octets) => {
            out.push(b'S');
            put_long_str(out, octets);
        }
        FieldValue::ByteArray(octets) => {
            out.push(b'x');
            put_long_str(out, octets);
        }
        FieldValue::Array(values) => {
            out.push(b'A');
            with_length(out, |out| values.iter().for_each(|value| encode_value(value, out)));
        }
        FieldValue::Table(table) => {
            out.push(b'F');
            encode_table(table, out);
        }
    }
}

fn put(out: &mut Vec<u8>, tag: u8, octets: &[u8]) {
    out.push(tag);
    out.extend_from_slice(octets);
}
