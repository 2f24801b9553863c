//! Values of the broker as JSON.

use serde_json::{Map, Value, json};

use crate::amqp::{FieldTable, FieldValue};

/// A field table as an object; of a name that comes twice, the first counts, as it does for the broker.
pub fn table(table: &FieldTable) -> Value {
    let mut object = Map::new();
    for (name, value) in table.iter() {
        object.entry(name).or_insert_with(|| field(value));
    }
    Value::Object(object)
}

fn field(value: &FieldValue) -> Value {
    match value {
        FieldValue::Boolean(flag) => json!(flag),
        FieldValue::I8(n) => json!(n),
        FieldValue::U8(n) => json!(n),
        FieldValue::I16(n) => json!(n),
        FieldValue::U16(n) => json!(n),
        FieldValue::I32(n) => json!(n),
        FieldValue::U32(n) => json!(n),
        FieldValue::I64(n) => json!(n),
        FieldValue::F32(n) => json!(n),
        FieldValue::F64(n) => json!(n),
        FieldValue::Timestamp(seconds) => json!(seconds),
        FieldValue::Decimal { scale, value } => json!(f64::from(*value) / 10f64.powi(i32::from(*scale))),
        // The protocol allows any octets; what is not UTF-8 is shown with replacement characters.
        FieldValue::LongString(octets) | FieldValue::ByteArray(octets) => {
            json!(String::from_utf8_lossy(octets))
        }
        FieldValue::Array(values) => values.iter().map(field).collect(),
        FieldValue::Table(inner) => table(inner),
        FieldValue::Void => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_objects() {
        let mut inner = FieldTable::default();
        inner.insert("flag", FieldValue::Boolean(true));
        let mut arguments = FieldTable::default();
        arguments.insert("x-message-ttl", FieldValue::I32(5));
        arguments.insert("text", FieldValue::LongString(b"a\xff"[..].into()));
        arguments.insert("nested", FieldValue::Array(vec![FieldValue::Table(inner), FieldValue::Void]));
        arguments.insert("price", FieldValue::Decimal { scale: 2, value: 150 });
        assert_eq!(
            table(&arguments),
            json!({"x-message-ttl": 5, "text": "a\u{fffd}", "nested": [{"flag": true}, null], "price": 1.5})
        );
    }
}
