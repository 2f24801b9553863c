//! Rows as JSON: all of them, made while they are read, or a page of them.

use std::sync::Arc;

use hyper::{Response, StatusCode};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value, json};

use crate::management::list::Column;
use crate::vhost::Vhost;

use super::body::{Body, Pieces};
use super::query::Query;
use super::{json_answer, not_found, refused_as, response};

/// Bytes that are sent together.
const PIECE_BYTES: usize = 64 << 10;

/// As RabbitMQ has them.
const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 500;

/// What to show of which rows.
#[derive(Debug, Default)]
pub struct Wanted {
    /// `?columns=name,messages`; without it, everything.
    columns: Option<Vec<String>>,
    /// As RabbitMQ does here and there; rabbitmqadmin cannot print a null.
    leaves_out_nulls: bool,
    page: Option<Page>,
}

/// `?page=1&page_size=100&name=orders&use_regex=true`
#[derive(Debug)]
struct Page {
    /// From 1 on.
    number: usize,
    size: usize,
    /// Of the names of the rows; cases do not matter.
    name: Option<Regex>,
}

/// Why there is no such page: RabbitMQ's word for it, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct BadPage {
    error: &'static str,
    reason: String,
}

impl BadPage {
    pub fn answer(&self) -> Response<Body> {
        refused_as(StatusCode::BAD_REQUEST, self.error, &self.reason)
    }
}

impl Wanted {
    pub fn of(query: &Query<'_>) -> Result<Wanted, BadPage> {
        let columns = query.get("columns");
        let columns = columns.map(|columns| columns.split(',').map(str::to_owned).collect());
        Ok(Wanted { columns, leaves_out_nulls: false, page: Page::of(query)? })
    }

    pub fn without_nulls(self) -> Wanted {
        Wanted { leaves_out_nulls: true, ..self }
    }
}

impl Page {
    fn of(query: &Query<'_>) -> Result<Option<Page>, BadPage> {
        let Some(page) = query.get("page") else { return Ok(None) };
        let bad = |reason: String| BadPage { error: "invalid_pagination_parameters", reason };
        let number = page.parse().ok().filter(|&number| number > 0);
        let number = number.ok_or_else(|| bad(format!("page is a number from 1 on, not '{page}'")))?;
        let size = match query.get("page_size") {
            None => PAGE_SIZE_DEFAULT,
            Some(size) => {
                let number = size.parse().ok().filter(|size| (1..=PAGE_SIZE_MAX).contains(size));
                number.ok_or_else(|| {
                    bad(format!("page_size is a number from 1 to {PAGE_SIZE_MAX}, not '{size}'"))
                })?
            }
        };
        let name = query.get("name").filter(|name| !name.is_empty());
        let name = name.map(|name| match query.is("use_regex") {
            true => RegexBuilder::new(&name).case_insensitive(true).build(),
            false => RegexBuilder::new(&regex::escape(&name)).case_insensitive(true).build(),
        });
        let name =
            name.transpose().map_err(|error| bad(format!("name is no regular expression: {error}")))?;
        Ok(Some(Page { number, size, name }))
    }

    fn admits<R>(&self, columns: &[Column<R>], row: &R) -> bool {
        let Some(wanted) = &self.name else { return true };
        let name = columns.iter().find(|column| column.name == "name").map(|column| (column.value)(row));
        name.is_some_and(|name| name.as_str().is_some_and(|name| wanted.is_match(name)))
    }

    /// Only the rows of the page are kept.
    fn of_rows<R>(
        &self,
        columns: &[Column<R>],
        wanted: &Wanted,
        rows: impl Iterator<Item = R>,
    ) -> Result<Value, BadPage> {
        let first = (self.number - 1).saturating_mul(self.size);
        let (mut total, mut admitted, mut items) = (0, 0, Vec::new());
        for row in rows {
            total += 1;
            if self.admits(columns, &row) {
                if admitted >= first && items.len() < self.size {
                    items.push(object(columns, wanted, &row));
                }
                admitted += 1;
            }
        }
        if self.number > 1 && first >= admitted {
            let (number, size) = (self.number, self.size);
            let reason = format!("Page out of range, page: {number} page size: {size}, len: {admitted}");
            return Err(BadPage { error: "page_out_of_range", reason });
        }
        Ok(json!({
            "page": self.number,
            "page_size": self.size,
            "page_count": admitted.div_ceil(self.size),
            "total_count": total,
            "filtered_count": admitted,
            "item_count": items.len(),
            "items": items,
        }))
    }
}

fn object<R>(columns: &[Column<R>], wanted: &Wanted, row: &R) -> Value {
    let is_wanted =
        |name: &str| wanted.columns.as_ref().is_none_or(|wanted| wanted.iter().any(|w| w == name));
    let columns = columns.iter().filter(|column| is_wanted(column.name));
    let members = columns.map(|column| (column.name.to_owned(), (column.value)(row)));
    Value::Object(
        members.filter(|(_, value)| !(wanted.leaves_out_nulls && value.is_null())).collect::<Map<_, _>>(),
    )
}

pub fn one<R>(columns: &[Column<R>], wanted: &Wanted, row: Option<&R>) -> Response<Body> {
    match row {
        Some(row) => json_answer(StatusCode::OK, &object(columns, wanted, row)),
        None => not_found(),
    }
}

pub async fn in_each<R: 'static, I: Iterator<Item = R>>(
    columns: &'static [Column<R>],
    wanted: Wanted,
    vhosts: Vec<Arc<Vhost>>,
    rows: impl Fn(&Arc<Vhost>) -> I + Send + 'static,
) -> Response<Body> {
    array(columns, wanted, move || vhosts.into_iter().flat_map(move |vhost| rows(&vhost))).await
}

/// On a thread that may block. A page is whole when it is sent: whether there is one is said first.
pub async fn array<R: 'static, I: Iterator<Item = R>>(
    columns: &'static [Column<R>],
    mut wanted: Wanted,
    rows: impl FnOnce() -> I + Send + 'static,
) -> Response<Body> {
    let Some(page) = wanted.page.take() else {
        return response(
            StatusCode::OK,
            "application/json",
            Body::made_by(move |pieces| write_all(columns, &wanted, rows(), &pieces)),
        );
    };
    match tokio::task::spawn_blocking(move || page.of_rows(columns, &wanted, rows())).await {
        Ok(Ok(page)) => json_answer(StatusCode::OK, &page),
        Ok(Err(bad)) => bad.answer(),
        Err(error) => refused_as(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", &error.to_string()),
    }
}

fn write_all<R>(columns: &[Column<R>], wanted: &Wanted, rows: impl Iterator<Item = R>, pieces: &Pieces) {
    let mut text = "[".to_owned();
    for (at, row) in rows.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(&object(columns, wanted, &row).to_string());
        if text.len() >= PIECE_BYTES && !pieces.send(std::mem::take(&mut text).into_bytes()) {
            return;
        }
    }
    text.push(']');
    pieces.send(text.into_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[Column<&str>] = &[
        Column { name: "name", value: |row| json!(row) },
        Column { name: "size", value: |row| json!(row.len()) },
    ];

    fn page(query: &str) -> Result<Value, BadPage> {
        let wanted = Wanted::of(&Query::of(Some(query)))?;
        let page = wanted.page.as_ref().expect("a page");
        page.of_rows(NAMES, &wanted, ["a", "Ab", "b.c", "bb"].into_iter())
    }

    #[test]
    fn a_page_says_where_it_stands() {
        let second = json!({
            "page": 2, "page_size": 3, "page_count": 2, "total_count": 4, "filtered_count": 4, "item_count": 1,
            "items": [{"name": "bb"}]
        });
        assert_eq!(page("page=2&page_size=3&columns=name"), Ok(second));
    }

    #[test]
    fn names_are_filtered_by_text_or_pattern() {
        let names = |query: &str| {
            let items = page(&format!("page=1&columns=name&{query}")).unwrap()["items"].take();
            items
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("name=A"), ["a", "Ab"], "cases do not matter");
        assert_eq!(names("name=b.c"), ["b.c"]);
        assert_eq!(names("name=b.&use_regex=false"), ["b.c"]);
        assert_eq!(names("name=b.&use_regex=true"), ["b.c", "bb"]);
        assert_eq!(page("page=1&name=none").unwrap()["page_count"], 0);
    }

    #[test]
    fn a_page_that_there_is_not_is_refused() {
        let error = |query: &str| page(query).unwrap_err();
        assert_eq!(error("page=0").reason, "page is a number from 1 on, not '0'");
        assert_eq!(error("page=x").error, "invalid_pagination_parameters");
        assert_eq!(error("page=1&page_size=501").reason, "page_size is a number from 1 to 500, not '501'");
        assert_eq!(error("page=2").error, "page_out_of_range");
        assert_eq!(error("page=18446744073709551615&page_size=500").error, "page_out_of_range");
        assert!(error("page=1&name=(&use_regex=true").reason.starts_with("name is no regular expression"));
    }
}
