//! Reading the entries of a file of definitions: what is wrong is named by where it is, such as `queues[3] ('orders')`.
//! Pure.

use std::cell::RefCell;

use serde_json::{Map, Value};

use crate::amqp::{FieldTable, FieldValue, Reader, decode_table, encode_table};

/// Names travel as short strings.
const NAME_BYTES_MAX: usize = 255;

/// What is wrong with a file, or worth knowing of it.
#[derive(Debug, Default)]
pub struct Findings {
    pub wrong: RefCell<Vec<String>>,
    pub warnings: RefCell<Vec<String>>,
}

impl Findings {
    pub fn wrong(&self, text: impl ToString) {
        self.wrong.borrow_mut().push(text.to_string());
    }

    pub fn warn(&self, text: impl ToString) {
        self.warnings.borrow_mut().push(text.to_string());
    }
}

/// One object of a list in the file.
pub struct Entry<'a> {
    /// How it is called where something about it is said.
    pub place: String,
    object: &'a Map<String, Value>,
    findings: &'a Findings,
    read: RefCell<Vec<&'static str>>,
}

/// The entries of a list; no list at all is an empty one.
pub fn entries<'a>(
    file: &'a Map<String, Value>,
    list: &'static str,
    names: &[&'static str],
    findings: &'a Findings,
) -> Vec<Entry<'a>> {
    let values = match file.get(list) {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(values)) => values,
        Some(other) => {
            findings.wrong(format!("\"{list}\" has to be a list, not {}", shown(other)));
            return Vec::new();
        }
    };
    let mut entries = Vec::new();
    for (at, value) in values.iter().enumerate() {
        let Value::Object(object) = value else {
            findings.wrong(format!("{list}[{at}] has to be an object, not {}", shown(value)));
            continue;
        };
        let named: Vec<&str> = names.iter().filter_map(|name| object.get(*name)?.as_str()).collect();
        let place = match named.is_empty() {
            true => format!("{list}[{at}]"),
            false => format!("{list}[{at}] ('{}')", named.join("', '")),
        };
        entries.push(Entry { place, object, findings, read: RefCell::default() });
    }
    entries
}

impl<'a> Entry<'a> {
    /// One that stands alone.
    pub fn alone(place: &str, object: &'a Map<String, Value>, findings: &'a Findings) -> Entry<'a> {
        Entry { place: place.to_owned(), object, findings, read: RefCell::default() }
    }

    pub fn get(&self, key: &'static str) -> Option<&'a Value> {
        self.read.borrow_mut().push(key);
        self.object.get(key).filter(|value| !value.is_null())
    }

    pub fn wrong(&self, text: impl std::fmt::Display) {
        self.findings.wrong(format!("{}: {text}", self.place));
    }

    pub fn warn(&self, text: impl std::fmt::Display) {
        self.findings.warn(format!("{}: {text}", self.place));
    }

    fn wants<T>(&self, key: &str, what: &str, value: &Value) -> Option<T> {
        self.wrong(format!("\"{key}\" has to be {what}, not {}", shown(value)));
        None
    }

    fn given(&self, key: &'static str) -> Option<&'a Value> {
        let value = self.get(key);
        if value.is_none() {
            self.wrong(format!("\"{key}\" is missing"));
        }
        value
    }

    pub fn text_if_given(&self, key: &'static str) -> Option<&'a str> {
        let value = self.get(key)?;
        value.as_str().or_else(|| self.wants(key, "a text", value))
    }

    pub fn text(&self, key: &'static str) -> Option<&'a str> {
        let value = self.given(key)?;
        value.as_str().or_else(|| self.wants(key, "a text", value))
    }

    /// Of an exchange or queue, or a routing key.
    pub fn name(&self, key: &'static str) -> Option<&'a str> {
        let text = self.text(key)?;
        if text.len() > NAME_BYTES_MAX {
            self.wrong(format!("\"{key}\" has {} bytes, more than {NAME_BYTES_MAX}", text.len()));
            return None;
        }
        Some(text)
    }

    pub fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.given(key)?;
        value.as_bool().or_else(|| self.wants(key, "true or false", value))
    }

    pub fn flag_or(&self, key: &'static str, missing: bool) -> Option<bool> {
        match self.get(key) {
            Some(value) => value.as_bool().or_else(|| self.wants(key, "true or false", value)),
            None => Some(missing),
        }
    }

    pub fn number_or(&self, key: &'static str, missing: i64) -> Option<i64> {
        match self.get(key) {
            Some(value) => value.as_i64().or_else(|| self.wants(key, "a whole number", value)),
            None => Some(missing),
        }
    }

    /// An object; RabbitMQ writes some as lists of pairs, and empty ones as empty lists.
    pub fn object(&self, key: &'static str) -> Option<Map<String, Value>> {
        let value = self.get(key)?;
        object_of(value).or_else(|| self.wants(key, "an object", value))
    }

    /// A list of words; RabbitMQ before 3.9 has them in one text, separated by commas.
    pub fn tags(&self, key: &'static str) -> Option<Vec<String>> {
        match self.get(key) {
            Some(value) => tags_of(value).or_else(|| self.wants(key, "a list of texts", value)),
            None => Some(Vec::new()),
        }
    }

    /// Arguments as a client would have sent them.
    pub fn arguments(&self) -> Option<FieldTable> {
        self.table("arguments")
    }

    /// Empty if it is not there.
    pub fn table(&self, key: &'static str) -> Option<FieldTable> {
        let Some(value) = self.get(key) else { return Some(FieldTable::default()) };
        let Some(object) = object_of(value) else { return self.wants(key, "an object", value) };
        let table = match table(&object) {
            Ok(table) => table,
            Err(why) => {
                self.wrong(format!("\"{key}\": {why}"));
                return None;
            }
        };
        // They are stored as on the wire, and have to be read again.
        let mut encoded = Vec::new();
        encode_table(&table, &mut encoded);
        match decode_table(&mut Reader::new(&encoded)) {
            Ok(_) => Some(table),
            Err(error) => {
                self.wrong(format!("\"{key}\": {error}"));
                None
            }
        }
    }

    /// Says which fields nobody has asked for.
    pub fn warn_of_unknown(&self) {
        let read = self.read.borrow();
        let unknown: Vec<&str> =
            self.object.keys().map(String::as_str).filter(|key| !read.contains(key)).collect();
        if !unknown.is_empty() {
            self.warn(format!("left out what is not known here: \"{}\"", unknown.join("\", \"")));
        }
    }
}

pub fn object_of(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object.clone()),
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([Value::String(key), value]) => Some((key.clone(), value.clone())),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

pub fn tags_of(value: &Value) -> Option<Vec<String>> {
    let tags: Vec<String> = match value {
        Value::String(text) => text.split(',').map(|tag| tag.trim().to_owned()).collect(),
        Value::Array(values) => {
            values.iter().map(|tag| tag.as_str().map(str::to_owned)).collect::<Option<_>>()?
        }
        _ => return None,
    };
    Some(tags.into_iter().filter(|tag| !tag.is_empty()).collect())
}

fn table(object: &Map<String, Value>) -> Result<FieldTable, String> {
    let mut table = FieldTable::default();
    for (name, value) in object {
        if name.len() > NAME_BYTES_MAX {
            return Err(format!("the name '{name}' has more than {NAME_BYTES_MAX} bytes"));
        }
        let value = field(value).map_err(|why| format!("'{name}' {why}"))?;
        table.0.push((name.as_str().into(), value));
    }
    Ok(table)
}

/// Numbers get the widest type, as with RabbitMQ; where arguments are compared, the type of a number does not count.
fn field(value: &Value) -> Result<FieldValue, String> {
    Ok(match value {
        Value::Null => FieldValue::Void,
        Value::Bool(flag) => FieldValue::Boolean(*flag),
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => values.iter().map(field).collect::<Result<Vec<_>, _>>()?.into(),
        Value::Object(object) => table(object)?.into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => FieldValue::I64(whole),
            (None, Some(float)) if number.is_f64() => FieldValue::F64(float),
            _ => return Err(format!("is a number that is too large: {number}")),
        },
    })
}

/// Not more of it than a line bears.
fn shown(value: &Value) -> String {
    const CHARS_MAX: usize = 60;
    let text = value.to_string();
    match text.chars().count() > CHARS_MAX {
        true => format!("{}...", text.chars().take(CHARS_MAX).collect::<String>()),
        false => text,
    }
}
