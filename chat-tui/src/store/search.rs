//! Full-text search over all history.

use rusqlite::{params_from_iter, types::Value};

use super::messages::{COLUMNS, JOIN_ANSWERED, read_message};
use super::{Store, StoreError};
use crate::session::api::Message;

const HITS_MAX: usize = 500;
/// What is beyond this in a query is not looked for.
const WORDS_MAX: usize = 16;

/// What a query asks for.
#[derive(Debug, Default, PartialEq)]
struct Query {
    /// For FTS5: all of these words, each as it is or as the beginning of one.
    words: String,
    /// Parts of writing that has no spaces between words, which the index knows only by the beginning of a line: texts must
    /// contain them.
    parts: Vec<String>,
}

impl Query {
    fn parse(text: &str) -> Query {
        let mut query = Query::default();
        for word in text.split_whitespace().take(WORDS_MAX) {
            if word.chars().any(is_unspaced) {
                query.parts.push(word.to_owned());
            } else if word.chars().any(char::is_alphanumeric) {
                // Quoted, so that nothing in it is an operator.
                query.words.push_str(&format!("\"{}\"* ", word.replace('"', "\"\"")));
            } else {
                query.parts.push(word.to_owned());
            }
        }
        query
    }
}

/// Of a script that is written without spaces between words.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

impl Store {
    /// Messages that contain all words of `text`, newest first, and whether there are more. The last letters of words may be
    /// left out.
    pub fn search(
        &self,
        text: &str,
        friend: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<(Vec<Message>, bool), StoreError> {
        let (query, limit) = (Query::parse(text), limit.clamp(1, HITS_MAX));
        if query == Query::default() {
            return Ok((Vec::new(), false));
        }
        let mut sql = format!("SELECT {COLUMNS} FROM ");
        let mut values: Vec<Value> = Vec::new();
        let mut place = |value: Value| {
            values.push(value);
            format!("?{}", values.len())
        };
        let row = if query.words.is_empty() {
            sql.push_str("message m");
            "m.row"
        } else {
            sql.push_str("message_text JOIN message m ON m.row = message_text.rowid");
            "message_text.rowid"
        };
        sql.push_str(&format!(" JOIN peer p ON p.id = m.peer {JOIN_ANSWERED} WHERE NOT m.deleted"));
        if !query.words.is_empty() {
            sql.push_str(&format!(" AND message_text MATCH {}", place(query.words.into())));
        }
        for part in query.parts {
            sql.push_str(&format!(" AND instr(m.text, {}) > 0", place(part.into())));
        }
        if let Some(friend) = friend {
            sql.push_str(&format!(" AND p.name = {}", place(friend.to_owned().into())));
        }
        if let Some(before) = before {
            sql.push_str(&format!(" AND {row} < {}", place(before.into())));
        }
        sql.push_str(&format!(" ORDER BY {row} DESC LIMIT {}", place((limit as i64 + 1).into())));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), read_message)?;
        let mut found = rows.collect::<Result<Vec<_>, _>>()?;
        let more = found.len() > limit;
        found.truncate(limit);
        Ok((found, more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_words_and_never_operators() {
        let words = |text: &str| Query::parse(text).words;
        assert_eq!(words("lunch AND (noon"), "\"lunch\"* \"AND\"* \"(noon\"* ");
        assert_eq!(words("a\"b"), "\"a\"\"b\"* ");
        assert_eq!(
            Query::parse("日本 10:00"),
            Query { words: "\"10:00\"* ".into(), parts: vec!["日本".into()] }
        );
        assert_eq!(Query::parse(" \n").words, "");
        assert_eq!(Query::parse("👍").parts, ["👍"]);
    }
}
