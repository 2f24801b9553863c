//! What stands behind the `?` of a request's address. Pure.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

pub struct Query<'a>(Option<&'a str>);

impl<'a> Query<'a> {
    pub fn of(query: Option<&'a str>) -> Query<'a> {
        Query(query)
    }

    /// Decoded; the first of several counts.
    pub fn get(&self, name: &str) -> Option<String> {
        let pair = self.0?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        let text: Cow<'_, str> = if pair.contains('+') { pair.replace('+', " ").into() } else { pair.into() };
        Some(percent_decode_str(&text).decode_utf8_lossy().into_owned())
    }

    /// Whether it is said to be true.
    pub fn is(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "true")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = Query::of(Some("names=x&name=a%2Cb+c&name=z&if-unused=true&empty="));
        assert_eq!(query.get("name").as_deref(), Some("a,b c"));
        assert_eq!(query.get("empty").as_deref(), Some(""));
        assert!(query.is("if-unused") && !query.is("if-empty") && !query.is("name"));
        assert_eq!(Query::of(None).get("name"), None);
    }
}
