//! Answers on the terminal. Pure but for the writer.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Values separated by tabs.
    Table {
        headers: bool,
    },
    Json,
    /// Every text between quotation marks, separated by commas.
    Csv {
        headers: bool,
    },
}

/// Field tables, which `rabbitmqctl` prints as Erlang terms where it prints a table. Other objects are JSON there too.
const FIELD_TABLES: &[&str] = &["arguments", "client_properties", "effective_policy_definition"];

pub struct Printer<W> {
    out: W,
    format: Format,
    columns: Vec<String>,
    rows: usize,
    in_table: bool,
}

impl<W: Write> Printer<W> {
    pub fn new(out: W, format: Format) -> Printer<W> {
        Printer { out, format, columns: Vec::new(), rows: 0, in_table: false }
    }

    pub fn columns(&mut self, columns: Vec<String>) -> io::Result<()> {
        self.in_table = true;
        match self.format {
            Format::Table { headers: true } => writeln!(self.out, "{}", columns.join("\t"))?,
            Format::Csv { headers: true } => {
                let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
                writeln!(self.out, "{}", names.join(","))?;
            }
            Format::Table { headers: false } | Format::Csv { headers: false } => {}
            Format::Json => self.out.write_all(b"[")?,
        }
        self.columns = columns;
        Ok(())
    }

    pub fn row(&mut self, values: &[Value]) -> io::Result<()> {
        match self.format {
            Format::Table { .. } => {
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        self.out.write_all(b"\t")?;
                    }
                    self.out.write_all(self.cell_at(at, value).as_bytes())?;
                }
                self.out.write_all(b"\n")?;
            }
            Format::Csv { .. } => {
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        self.out.write_all(b",")?;
                    }
                    let text = self.cell_at(at, value);
                    let text = if value.is_number() || value.is_boolean() { text } else { quoted(&text) };
                    self.out.write_all(text.as_bytes())?;
                }
                self.out.write_all(b"\n")?;
            }
            Format::Json => {
                self.out.write_all(if self.rows == 0 { b"\n{" } else { b",\n{" })?;
                let columns = std::mem::take(&mut self.columns);
                self.members(columns.iter().map(String::as_str).zip(values))?;
                self.columns = columns;
                self.out.write_all(b"}")?;
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// A value in the column of that number.
    fn cell_at(&self, at: usize, value: &Value) -> String {
        match self.columns.get(at) {
            Some(name) if FIELD_TABLES.contains(&name.as_str()) && value.is_object() => term(value),
            _ => cell(value),
        }
    }

    pub fn facts(&mut self, facts: &[(String, Value)]) -> io::Result<()> {
        if self.format == Format::Json {
            self.out.write_all(b"{")?;
            self.members(facts.iter().map(|(name, value)| (name.as_str(), value)))?;
            return self.out.write_all(b"}\n");
        }
        let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in facts {
            writeln!(self.out, "{name:width$}  {}", cell(value))?;
        }
        Ok(())
    }

    /// Of a JSON object, in this order.
    fn members<'v>(&mut self, members: impl Iterator<Item = (&'v str, &'v Value)>) -> io::Result<()> {
        for (at, (name, value)) in members.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(self.out, "{comma}{}:{}", json(&Value::from(name)), json(value))?;
        }
        Ok(())
    }

    /// Ends a listing.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.in_table && self.format == Format::Json {
            self.out.write_all(if self.rows == 0 { b"]\n" } else { b"\n]\n" })?;
        }
        self.in_table = false;
        self.out.flush()
    }
}

/// One value between tabs.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => harmless(text).into_owned(),
        Value::Array(values) => {
            let cells: Vec<String> = values.iter().map(cell).collect();
            format!("[{}]", cells.join(", "))
        }
        Value::Object(object) if object.is_empty() => "[]".to_owned(),
        other => json(other),
    }
}

/// A value as an Erlang term, as `rabbitmqctl` shows it.
fn term(value: &Value) -> String {
    match value {
        Value::Null => "undefined".to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(term).collect::<Vec<_>>().join(",")),
        Value::Object(object) => {
            let pair = |(name, value): (&String, &Value)| {
                format!("{{{},{}}}", json(&Value::from(name.as_str())), term(value))
            };
            format!("[{}]", object.iter().map(pair).collect::<Vec<_>>().join(","))
        }
        other => json(other),
    }
}

/// Between quotation marks, for CSV.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// JSON in which nothing is left that a terminal obeys: the escapes of JSON itself do for it.
fn json(value: &Value) -> String {
    let text = value.to_string();
    if !text.chars().any(is_harmful) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_harmful(character) {
            // Outside of strings JSON is ASCII, so this is inside of one. None of them is beyond the BMP.
            true => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            false => escaped.push(character),
        }
    }
    escaped
}

/// A text from somewhere else on one line of a terminal: what the terminal would obey is shown as an escape.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match is_harmful(character) {
            true => escaped.extend(character.escape_default()),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Control characters, and those that turn the direction of writing or break the line.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(format: Format, rows: &[Vec<Value>]) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format);
        printer.columns(vec!["name".to_owned(), "arguments".to_owned()]).expect("memory");
        for row in rows {
            printer.row(row).expect("memory");
        }
        printer.finish().expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_table_has_tabs_and_a_header_that_can_be_left_out() {
        let rows = [vec![json!("q"), json!({})], vec![json!("r"), json!({"x-max-length": 5})]];
        let with = printed(Format::Table { headers: true }, &rows);
        assert_eq!(with, "name\targuments\nq\t[]\nr\t[{\"x-max-length\",5}]\n");
        let without = printed(Format::Table { headers: false }, &rows);
        assert_eq!(without, "q\t[]\nr\t[{\"x-max-length\",5}]\n");
    }

    #[test]
    fn json_is_an_array_of_objects_in_the_order_of_the_columns() {
        assert_eq!(printed(Format::Json, &[]), "[]\n");
        let text = printed(Format::Json, &[vec![json!("q"), Value::Null], vec![json!("r"), json!([1])]]);
        assert_eq!(text, "[\n{\"name\":\"q\",\"arguments\":null},\n{\"name\":\"r\",\"arguments\":[1]}\n]\n");
    }

    #[test]
    fn field_tables_are_printed_as_rabbitmqctl_prints_them() {
        let arguments = json!({"x-max-length": 9, "nested": {"a": [true, null, "t\"x"]}});
        let rows =
            [vec![json!("q"), arguments.clone()], vec![json!("r"), json!({})], vec![arguments, Value::Null]];
        assert_eq!(
            printed(Format::Table { headers: false }, &rows[..2]),
            "q\t[{\"nested\",[{\"a\",[true,undefined,\"t\\\"x\"]}]},{\"x-max-length\",9}]\nr\t[]\n"
        );
        assert!(printed(Format::Table { headers: false }, &rows[2..]).starts_with("{\"nested\":"));
    }

    #[test]
    fn csv_is_quoted() {
        let rows = [vec![json!("a\"b,c"), json!({"k": "v"})], vec![json!(5), Value::Null]];
        assert_eq!(
            printed(Format::Csv { headers: true }, &rows),
            "\"name\",\"arguments\"\n\"a\"\"b,c\",\"[{\"\"k\"\",\"\"v\"\"}]\"\n5,\"\"\n"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let nasty = "a\x1b[2J\tb\nc\u{9b}d\u{202e}e";
        let rows = [vec![json!(nasty), json!({ "k": nasty })]];
        for format in [Format::Table { headers: true }, Format::Json] {
            let text = printed(format, &rows);
            assert!(!text.contains(['\x1b', '\u{9b}', '\u{202e}']), "{text:?}");
        }
        assert_eq!(harmless(nasty), r"a\u{1b}[2J\tb\nc\u{9b}d\u{202e}e");
        let text = printed(Format::Json, &rows);
        let read: Value = serde_json::from_str(&text).expect("still JSON");
        assert_eq!(read[0]["name"], nasty, "and nothing is lost");
        assert_eq!(harmless("zoë ✓"), "zoë ✓");
    }
}
