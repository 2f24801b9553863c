//! Headers exchanges: the message's headers against the binding's arguments (AMQP 0-9-1 §3.1.3.4).

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::InvalidBinding;
use crate::amqp::{FieldTable, FieldValue, FieldView, TableView};

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
                        "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
                        match &*String::from_utf8_lossy(other) {
                            "" => "<<>>".to_owned(),
                            text => format!("<<\"{text}\">>"),
                        }
                    )));
                }
            },
            Some(other) => {
                return Err(InvalidBinding(format!(
                    "Invalid x-match field type {} (value {}); expected longstr",
                    other.type_name(),
                    match (other, other.as_i64()) {
                        (_, Some(number)) => number.to_string(),
                        (FieldValue::Boolean(flag), _) => flag.to_string(),
                        (FieldValue::Void, _) => "undefined".to_owned(),
                        _ => format!("{other:?}"),
                    }
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

    pub fn matches(&self, headers: &TableView<'_>) -> bool {
        let mut each = self.wanted.iter().map(|(name, wanted)| {
            headers.get(name).is_some_and(|value| *wanted == FieldValue::Void || same(wanted, value))
        });
        if self.any { each.any(|matched| matched) } else { each.all(|matched| matched) }
    }
}

/// As RabbitMQ compares: numbers and times by value, whatever their type; octets whether they are text or not; what is
/// empty of arrays and tables.
fn same(wanted: &FieldValue, value: &FieldView<'_>) -> bool {
    match value {
        FieldView::LongString(octets) => octets_of(wanted).is_some_and(|wanted| wanted == *octets),
        FieldView::Other(value) => {
            value == wanted
                || Number::of(value).is_some_and(|number| Some(number) == Number::of(wanted))
                || octets_of(value).is_some_and(|octets| Some(octets) == octets_of(wanted))
                || (is_empty(value) && is_empty(wanted))
        }
    }
}

fn octets_of(value: &FieldValue) -> Option<&[u8]> {
    match value {
        FieldValue::LongString(octets) | FieldValue::ByteArray(octets) => Some(octets),
        _ => None,
    }
}

fn is_empty(value: &FieldValue) -> bool {
    value.as_array().is_some_and(<[_]>::is_empty) || value.as_table().is_some_and(FieldTable::is_empty)
}

/// In one form, however it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Number {
    Whole(i128),
    Other(f64),
}

impl Number {
    fn of(value: &FieldValue) -> Option<Number> {
        let float = match *value {
            FieldValue::F32(number) => f64::from(number),
            FieldValue::F64(number) => number,
            FieldValue::Timestamp(seconds) => return Some(Number::Whole(seconds.into())),
            _ => return value.as_i64().map(|number| Number::Whole(number.into())),
        };
        // Beyond that the cast would not give the number back.
        let is_whole = float.fract() == 0.0 && float.abs() < 1e38;
        Some(if is_whole { Number::Whole(float as i128) } else { Number::Other(float) })
    }
}

impl Hash for Number {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        match self {
            Number::Whole(number) => number.hash(hasher),
            Number::Other(number) => number.to_bits().hash(hasher),
        }
    }
}

/// Bindings by a header that a message must have for them, so that a message is compared with few of many.
pub struct Headers<D> {
    hash: DefaultHashBuilder,
    by_header: HashMap<u64, Vec<Binding<D>>>,
    /// Those that need no certain header.
    others: Vec<Binding<D>>,
}

type Binding<D> = (HeaderMatch, D);

impl<D> Default for Headers<D> {
    fn default() -> Headers<D> {
        Headers { hash: DefaultHashBuilder::default(), by_header: HashMap::new(), others: Vec::new() }
    }
}

impl<D: Clone + Eq> Headers<D> {
    pub fn bind(&mut self, header_match: HeaderMatch, destination: D) {
        let keys = self.keys(&header_match);
        let len = |key: &u64| self.by_header.get(key).map_or(0, Vec::len);
        let chosen = match header_match.any {
            true => keys,
            // One of them is enough: the one that tells most.
            false => keys.into_iter().min_by_key(len).into_iter().collect(),
        };
        if chosen.is_empty() {
            return self.others.push((header_match, destination));
        }
        for key in chosen {
            self.by_header.entry(key).or_default().push((header_match.clone(), destination.clone()));
        }
    }

    pub fn unbind(&mut self, header_match: &HeaderMatch, destination: &D) {
        let is_it = |(wanted, to): &Binding<D>| wanted == header_match && to == destination;
        if let Some(at) = self.others.iter().position(is_it) {
            self.others.remove(at);
        }
        for key in self.keys(header_match) {
            let Some(bindings) = self.by_header.get_mut(&key) else { continue };
            if let Some(at) = bindings.iter().position(is_it) {
                bindings.remove(at);
            }
            if bindings.is_empty() {
                self.by_header.remove(&key);
            }
        }
    }

    /// Destinations; one may come up more than once.
    pub fn route<'h>(&'h self, headers: &'h TableView<'h>) -> impl Iterator<Item = &'h D> {
        let with_header = headers.0.iter().filter_map(|(name, value)| {
            (!self.by_header.is_empty()).then(|| self.by_header.get(&self.key(name, value)))?
        });
        let candidates = self.others.iter().chain(with_header.flatten());
        candidates.filter(move |(wanted, _)| wanted.matches(headers)).map(|(_, d)| d)
    }

    /// Of the headers that a message must have with their values: of each of them, or with `any` of one of them.
    /// None if another message might match, too.
    fn keys(&self, header_match: &HeaderMatch) -> Vec<u64> {
        let HeaderMatch { any, wanted } = header_match;
        if *any && wanted.iter().any(|(_, value)| *value == FieldValue::Void) {
            return Vec::new();
        }
        let certain = wanted.iter().filter(|(_, value)| *value != FieldValue::Void);
        let mut keys: Vec<u64> = certain.map(|(name, value)| self.key(name, &value.into())).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The same for values that are the same.
    fn key(&self, name: &str, value: &FieldView<'_>) -> u64 {
        let mut hasher = self.hash.build_hasher();
        name.hash(&mut hasher);
        match value {
            FieldView::LongString(octets) => octets.hash(&mut hasher),
            FieldView::Other(FieldValue::ByteArray(octets)) => octets.hash(&mut hasher),
            // The others have their name alone in common: few bindings are by them.
            FieldView::Other(value) => Number::of(value).hash(&mut hasher),
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            assert_eq!(header_match.matches(&(&headers).into()), *expected, "{arguments:?}");
        }
    }

    #[test]
    fn values_of_different_types_are_the_same_as_in_rabbitmq() {
        let ones = [
            FieldValue::I8(1),
            FieldValue::U8(1),
            FieldValue::I16(1),
            FieldValue::U16(1),
            FieldValue::I32(1),
            FieldValue::U32(1),
            FieldValue::I64(1),
            FieldValue::F32(1.0),
            FieldValue::F64(1.0),
            FieldValue::Timestamp(1),
        ];
        let texts = [text("1"), FieldValue::ByteArray((*b"1").into())];
        let empty = [FieldValue::Array(Vec::new()), FieldValue::Table(FieldTable::default())];
        let alone = [
            FieldValue::Boolean(true),
            FieldValue::Decimal { scale: 0, value: 1 },
            FieldValue::I64(i64::MAX),
            FieldValue::F64(i64::MAX as f64),
            FieldValue::Timestamp(u64::MAX),
            FieldValue::F64(0.1),
            FieldValue::F32(0.1),
            FieldValue::F64(f64::INFINITY),
        ];
        let mut kinds = vec![ones.to_vec(), texts.to_vec(), empty.to_vec()];
        kinds.extend(alone.map(|value| vec![value]));
        for (at, wanted) in kinds.iter().enumerate() {
            for wanted in wanted {
                let mut router = Headers::default();
                router.bind(HeaderMatch::parse(&table(&[("h", wanted.clone())])).unwrap(), ());
                for (other, values) in kinds.iter().enumerate() {
                    for value in values {
                        let headers = table(&[("h", value.clone())]);
                        let found = router.route(&(&headers).into()).count();
                        assert_eq!(found, usize::from(at == other), "{wanted:?} and {value:?}");
                    }
                }
            }
        }
    }

    /// A few values that are the same in different forms, or nearly.
    fn value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            (0..3i32).prop_map(FieldValue::I32),
            (0..3i64).prop_map(FieldValue::I64),
            "[a-c]".prop_map(|text| FieldValue::LongString(text.into_bytes().into())),
            Just(FieldValue::F64(0.0)),
            Just(FieldValue::F64(-0.0)),
            Just(FieldValue::F32(1.0)),
            Just(FieldValue::F32(0.5)),
            Just(FieldValue::F64(0.5)),
            Just(FieldValue::Timestamp(1)),
            Just(FieldValue::ByteArray((*b"a").into())),
            Just(FieldValue::Array(Vec::new())),
            Just(FieldValue::Table(FieldTable::default())),
            Just(FieldValue::Boolean(true)),
            Just(FieldValue::Void),
        ]
    }

    fn some_headers() -> impl Strategy<Value = FieldTable> {
        prop::collection::vec(("[a-c]", value()), 0..4).prop_map(|headers| {
            let mut table = FieldTable::default();
            headers.into_iter().for_each(|(name, value)| table.insert(name, value));
            table
        })
    }

    fn some_binding() -> impl Strategy<Value = HeaderMatch> {
        (any::<bool>(), some_headers()).prop_map(|(any, mut arguments)| {
            if any {
                arguments.insert("x-match", text("any"));
            }
            HeaderMatch::parse(&arguments).unwrap()
        })
    }

    proptest! {
        #[test]
        fn finds_what_comparing_with_every_binding_finds(
            bindings in prop::collection::vec(some_binding(), 0..12),
            gone in prop::collection::vec(any::<bool>(), 12),
            headers in some_headers(),
        ) {
            let mut router = Headers::default();
            for (at, binding) in bindings.iter().enumerate() {
                router.bind(binding.clone(), at);
            }
            let mut expected = Vec::new();
            for (at, binding) in bindings.iter().enumerate() {
                if gone[at] {
                    router.unbind(binding, &at);
                } else if binding.matches(&(&headers).into()) {
                    expected.push(at);
                }
            }
            let mut found: Vec<usize> = router.route(&(&headers).into()).copied().collect();
            found.sort_unstable();
            found.dedup();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn nothing_is_left_of_bindings_that_are_gone() {
        let arguments = [("a", text("1")), ("b", text("2"))];
        let mut router = Headers::default();
        for mode in ["all", "any"] {
            let mut arguments = table(&arguments);
            arguments.insert("x-match", text(mode));
            let binding = HeaderMatch::parse(&arguments).unwrap();
            router.bind(binding.clone(), 1);
            let headers = table(&[("a", text("1")), ("b", text("2"))]);
            assert_eq!(router.route(&(&headers).into()).next(), Some(&1));
            router.unbind(&binding, &1);
            assert!(router.by_header.is_empty() && router.others.is_empty());
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
        let error = HeaderMatch::parse(&table(&[("x-match", FieldValue::Boolean(true))])).unwrap_err();
        assert_eq!(error.0, "Invalid x-match field type bool (value true); expected longstr");
        let error = HeaderMatch::parse(&table(&[("x-match", text(""))])).unwrap_err();
        assert!(error.0.starts_with("Invalid x-match field value <<>>;"), "{}", error.0);
    }
}
