//! `list_exchanges`

use serde_json::json;

use crate::management::show;
use crate::vhost::{ExchangeSpec, Vhost};

use super::{Column, Table, column};

pub struct Row {
    spec: ExchangeSpec,
    vhost: std::sync::Arc<str>,
}

pub const TABLE: Table<Row> = Table { columns: &COLUMNS, usual: &["name", "type"] };

const COLUMNS: [Column<Row>; 7] = [
    column("name", |row| json!(&*row.spec.name)),
    column("type", |row| json!(row.spec.kind.name())),
    column("vhost", |row| json!(&*row.vhost)),
    column("durable", |row| json!(row.spec.durable)),
    column("auto_delete", |row| json!(row.spec.auto_delete)),
    column("internal", |row| json!(row.spec.internal)),
    column("arguments", |row| show::table(&row.spec.arguments)),
];

pub fn rows(vhost: &Vhost) -> impl Iterator<Item = Row> + use<> {
    let mut specs: Vec<_> = vhost.read().exchanges.values().map(|exchange| exchange.spec.clone()).collect();
    specs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let vhost = vhost.name.clone();
    specs.into_iter().map(move |spec| Row { spec, vhost: vhost.clone() })
}
