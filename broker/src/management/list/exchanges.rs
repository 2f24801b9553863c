//! `list_exchanges`

use std::sync::Arc;

use serde_json::{Value, json};

use crate::management::show;
use crate::policy::Subject;
use crate::vhost::{ExchangeSpec, Vhost};

use super::{Column, Table, column};

pub struct Row {
    spec: ExchangeSpec,
    vhost: Arc<Vhost>,
}

pub const TABLE: Table<Row> = Table { columns: &COLUMNS, usual: &["name", "type"] };

const COLUMNS: [Column<Row>; 8] = [
    column("name", |row| json!(&*row.spec.name)),
    column("type", |row| json!(row.spec.type_name())),
    column("vhost", |row| json!(&*row.vhost.name)),
    column("durable", |row| json!(row.spec.durable)),
    column("auto_delete", |row| json!(row.spec.auto_delete)),
    column("internal", |row| json!(row.spec.internal)),
    column("arguments", |row| show::table(&row.spec.arguments)),
    column("policy", policy),
];

fn policy(row: &Row) -> Value {
    let policies = row.vhost.policies();
    let matching = policies.matching(Subject::Exchange, &row.spec.name);
    // The default exchange has none.
    let policy = matching.policy.filter(|_| !row.spec.name.is_empty());
    policy.map_or(Value::Null, |policy| json!(policy.name))
}

/// One exchange, if it is there.
pub fn row(vhost: &Arc<Vhost>, name: &str) -> Option<Row> {
    Some(Row { spec: vhost.exchange(name).ok()?, vhost: vhost.clone() })
}

pub fn rows(vhost: &Arc<Vhost>) -> impl Iterator<Item = Row> + use<> {
    let mut specs: Vec<_> = vhost.read().exchanges.values().map(|exchange| exchange.spec.clone()).collect();
    specs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let vhost = vhost.clone();
    specs.into_iter().map(move |spec| Row { spec, vhost: vhost.clone() })
}
