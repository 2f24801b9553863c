//! Full-text search over all history.

use rusqlite::{params_from_iter, types::Value};

use super::messages::{COLUMNS, JOIN_ANSWERED, read_message};
use super::signs::{is_unspaced, signs};
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
    /// Parts of writing that has no spaces between words: texts must contain them.
    parts: Vec<String>,
}

impl Query {
    /// For FTS5: the signs of each part, in their order. Texts that contain the parts have them, and a few others.
    fn signs(&self) -> String {
        let phrases = self.parts.iter().map(|part| signs(part)).filter(|signs| !signs.is_empty());
        phrases.map(|signs| format!("\"{signs}\" ")).collect()
    }

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
        let (mut query, limit) = (Query::parse(text), limit.clamp(1, HITS_MAX));
        if query == Query::default() {
            return Ok((Vec::new(), false));
        }
        let mut sql = format!("SELECT {COLUMNS} FROM ");
        let mut values: Vec<Value> = Vec::new();
        let mut place = |value: Value| {
            values.push(value);
            format!("?{}", values.len())
        };
        // The one index or the other finds them; what it finds is looked at for the rest.
        let (index, wanted) = match (query.words.is_empty(), query.signs()) {
            (false, _) => ("message_text", std::mem::take(&mut query.words)),
            (true, signs) => ("message_signs", signs),
        };
        let row = if wanted.is_empty() {
            sql.push_str("message m");
            "m.row".to_owned()
        } else {
            sql.push_str(&format!("{index} JOIN message m ON m.row = {index}.rowid"));
            format!("{index}.rowid")
        };
        sql.push_str(&format!(" JOIN peer p ON p.id = m.peer {JOIN_ANSWERED} WHERE NOT m.deleted"));
        if !wanted.is_empty() {
            sql.push_str(&format!(" AND {index} MATCH {}", place(wanted.into())));
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
