//! Headers exchanges: the message's headers against the binding's arguments (AMQP 0-9-1 §3.1.3.4).

use super::InvalidBinding;
use crate::amqp::{FieldTable, FieldValue};

/// `x-match` and the headers to compare.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderMatch {
    any: bool,
    wanted: Vec<(Box<str>, FieldValue)>,
}

impl HeaderMatch {
    pub fn parse(arguments: &FieldTable) -> Result<HeaderMatch, InvalidBinding> {
        let (any, with_x) = match arguments.get("x-match") {
            None => (false, false),
            Some(FieldValue::LongString(mode)) => match &**mode {
                b"all" => (false, false),
                b"any" => (true, false),
                b"all-with-x" => (false, true),
                b"any-with-x" => (true, true),
                other => {
                    return Err(InvalidBinding(format!(
                        "Invalid x-match field value <<\"{}\">>; expected all, any, all-with-x, or any-with-x",
                        String::from_utf8_lossy(other)
                    )));
                }
            },
            Some(other) => {
                return Err(InvalidBinding(format!(
                    "Invalid x-match field type {} (value {}); expected longstr",
                    other.type_name(),
                    other.as_i64().map_or_else(|| format!("{other:?}"), |number| number.to_string())
                )));
            }
        };
        let wanted = arguments
            .iter()
            .filter(|(name, _)| *name != "x-match" && (with_x || !name.starts_with("x-")))
            .map(|(name, value)| (name.into(), value.clone()))
            .collect();
        Ok(HeaderMatch { any, wanted })
    }

    pub fn matches(&self, headers: &FieldTable) -> bool {
        let mut each = self.wanted.iter().map(|(name, wanted)| {
            headers.get(name).is_some_and(|value| *wanted == FieldValue::Void || same(wanted, value))
        });
        if self.any { each.any(|matched| matched) } else { each.all(|matched| matched) }
    }
}

/// Integers are compared by value, whatever their width.
fn same(a: &FieldValue, b: &FieldValue) -> bool {
    a == b || (a.as_i64().is_some() && a.as_i64() == b.as_i64())
}

pub struct Headers<D> {
    bindings: Vec<(HeaderMatch, D)>,
}

impl<D> Default for Headers<D> {
    fn default() -> Headers<D> {
        Headers { bindings: Vec::new() }
    }
}

impl<D: Eq> Headers<D> {
    pub fn bind(&mut self, header_match: HeaderMatch, destination: D) {
        self.bindings.push((header_match, destination));
    }

    pub fn unbind(&mut self, header_match: &HeaderMatch, destination: &D) {
        if let Some(at) = self.bindings.iter().position(|(m, d)| m == header_match && d == destination) {
            self.bindings.remove(at);
        }
    }

    pub fn route(&self, headers: &FieldTable) -> impl Iterator<Item = &D> {
        self.bindings.iter().filter(move |(wanted, _)| wanted.matches(headers)).map(|(_, d)| d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> FieldValue {
        FieldValue::LongString(value.as_bytes().into())
    }

    fn table(entries: &[(&str, FieldValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in entries {
            table.insert(*name, value.clone());
        }
        table
    }

    #[test]
    fn all_any_and_x_headers() {
        let headers = table(&[("a", text("1")), ("n", FieldValue::I64(5)), ("x-k", text("v"))]);
        let cases: &[(&[(&str, FieldValue)], bool)] = &[
            (&[("a", text("1"))], true),
            (&[("a", text("1")), ("b", text("2"))], false),
            (&[("x-match", text("any")), ("a", text("1")), ("b", text("2"))], true),
            (&[("x-match", text("any")), ("b", text("2"))], false),
            (&[("x-match", text("any"))], false),
            (&[], true),
            (&[("n", FieldValue::I32(5))], true),
            (&[("n", FieldValue::Void)], true),
            (&[("m", FieldValue::Void)], false),
            (&[("x-k", text("other"))], true),
            (&[("x-match", text("all-with-x")), ("x-k", text("other"))], false),
            (&[("x-match", text("any-with-x")), ("x-k", text("v"))], true),
        ];
        for (arguments, expected) in cases {
            let header_match = HeaderMatch::parse(&table(arguments)).unwrap();
            assert_eq!(header_match.matches(&headers), *expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_wrong_x_match_is_named() {
        let error = HeaderMatch::parse(&table(&[("x-match", text("foo"))])).unwrap_err();
        assert_eq!(
            error.0,
            "Invalid x-match field value <<\"foo\">>; expected all, any, all-with-x, or any-with-x"
        );
        let error = HeaderMatch::parse(&table(&[("x-match", FieldValue::I32(1))])).unwrap_err();
        assert_eq!(error.0, "Invalid x-match field type signedint (value 1); expected longstr");
    }
}
