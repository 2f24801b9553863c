//! Field tables: the ordered name/value lists of arguments, headers and peer properties.

/// One value of a field table or array. The types and tags are those that RabbitMQ reads and writes (the errata
/// of AMQP 0-9-1), which differ from the specification's own list.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// `t`
    Boolean(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`; `L` is read as the same.
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`.
    Decimal { scale: u8, value: u32 },
    /// `S`: usually text, but the protocol allows any octets.
    LongString(Box<[u8]>),
    /// `x`
    ByteArray(Box<[u8]>),
    /// `A`
    Array(Vec<FieldValue>),
    /// `T`: seconds since 1970-01-01 UTC.
    Timestamp(u64),
    /// `F`
    Table(FieldTable),
    /// `V`
    Void,
}

impl FieldValue {
    /// The name RabbitMQ gives the type in its reply texts, such as `longstr`.
    pub fn type_name(&self) -> &'static str {
        match self {
            FieldValue::Boolean(_) => "bool",
            FieldValue::I8(_) => "byte",
            FieldValue::U8(_) => "unsignedbyte",
            FieldValue::I16(_) => "short",
            FieldValue::U16(_) => "unsignedshort",
            FieldValue::I32(_) => "signedint",
            FieldValue::U32(_) => "unsignedint",
            FieldValue::I64(_) => "long",
            FieldValue::F32(_) => "float",
            FieldValue::F64(_) => "double",
            FieldValue::Decimal { .. } => "decimal",
            FieldValue::LongString(_) => "longstr",
            FieldValue::ByteArray(_) => "binary",
            FieldValue::Array(_) => "array",
            FieldValue::Timestamp(_) => "timestamp",
            FieldValue::Table(_) => "table",
            FieldValue::Void => "void",
        }
    }

    /// The number of any integer type. A timestamp is not an integer.
    pub fn as_i64(&self) -> Option<i64> {
        match *self {
            FieldValue::I8(n) => Some(i64::from(n)),
            FieldValue::U8(n) => Some(i64::from(n)),
            FieldValue::I16(n) => Some(i64::from(n)),
            FieldValue::U16(n) => Some(i64::from(n)),
            FieldValue::I32(n) => Some(i64::from(n)),
            FieldValue::U32(n) => Some(i64::from(n)),
            FieldValue::I64(n) => Some(n),
            _ => None,
        }
    }

    /// The text of a long string, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            FieldValue::LongString(octets) => std::str::from_utf8(octets).ok(),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match *self {
            FieldValue::Boolean(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_table(&self) -> Option<&FieldTable> {
        match self {
            FieldValue::Table(table) => Some(table),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[FieldValue]> {
        match self {
            FieldValue::Array(values) => Some(values),
            _ => None,
        }
    }
}

impl From<bool> for FieldValue {
    fn from(value: bool) -> FieldValue {
        FieldValue::Boolean(value)
    }
}

impl From<i32> for FieldValue {
    fn from(value: i32) -> FieldValue {
        FieldValue::I32(value)
    }
}

impl From<i64> for FieldValue {
    fn from(value: i64) -> FieldValue {
        FieldValue::I64(value)
    }
}

impl From<&str> for FieldValue {
    fn from(text: &str) -> FieldValue {
        FieldValue::LongString(text.as_bytes().into())
    }
}

impl From<String> for FieldValue {
    fn from(text: String) -> FieldValue {
        FieldValue::LongString(text.into_bytes().into())
    }
}

impl From<FieldTable> for FieldValue {
    fn from(table: FieldTable) -> FieldValue {
        FieldValue::Table(table)
    }
}

impl From<Vec<FieldValue>> for FieldValue {
    fn from(values: Vec<FieldValue>) -> FieldValue {
        FieldValue::Array(values)
    }
}

/// Names and values in the order of the wire. A name may occur twice; the first one counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldTable(pub Vec<(Box<str>, FieldValue)>);

impl FieldTable {
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &FieldValue)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Sets the value of `name`, in place if it is there already, else at the end. A name is a short string: at
    /// most 255 octets.
    pub fn insert(&mut self, name: impl Into<Box<str>>, value: impl Into<FieldValue>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes every entry called `name` out and returns the value that counted.
    pub fn remove(&mut self, name: &str) -> Option<FieldValue> {
        let first = self.0.iter().position(|(key, _)| &**key == name)?;
        let (_, value) = self.0.remove(first);
        self.0.retain(|(key, _)| &**key != name);
        Some(value)
    }
}

/// One value of a [`TableView`].
#[derive(Debug, Clone, PartialEq)]
pub enum FieldView<'a> {
    /// As most are: not copied.
    LongString(&'a [u8]),
    /// Never a long string.
    Other(FieldValue),
}

impl FieldView<'_> {
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            FieldView::LongString(_) => None,
            FieldView::Other(value) => value.as_i64(),
        }
    }

    /// The text of a long string, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            FieldView::LongString(octets) => std::str::from_utf8(octets).ok(),
            FieldView::Other(_) => None,
        }
    }

    /// Whether it is the same value, of the same type.
    pub fn is(&self, owned: &FieldValue) -> bool {
        match (self, owned) {
            (FieldView::LongString(octets), FieldValue::LongString(others)) => **octets == **others,
            (FieldView::LongString(_), _) => false,
            (FieldView::Other(value), owned) => value == owned,
        }
    }
}

impl<'a> From<&'a FieldValue> for FieldView<'a> {
    fn from(value: &'a FieldValue) -> FieldView<'a> {
        match value {
            FieldValue::LongString(octets) => FieldView::LongString(octets),
            other => FieldView::Other(other.clone()),
        }
    }
}

/// A [`FieldTable`] to look into, with names and texts where they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableView<'a>(pub Vec<(&'a str, FieldView<'a>)>);

impl<'a> TableView<'a> {
    pub fn get(&self, name: &str) -> Option<&FieldView<'a>> {
        self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

impl<'a> From<&'a FieldTable> for TableView<'a> {
    fn from(table: &'a FieldTable) -> TableView<'a> {
        TableView(table.iter().map(|(name, value)| (name, value.into())).collect())
    }
}

impl<N: Into<Box<str>>, V: Into<FieldValue>> FromIterator<(N, V)> for FieldTable {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> FieldTable {
        FieldTable(entries.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<N: Into<Box<str>>, V: Into<FieldValue>, const LEN: usize> From<[(N, V); LEN]> for FieldTable {
    fn from(entries: [(N, V); LEN]) -> FieldTable {
        entries.into_iter().collect()
    }
}
