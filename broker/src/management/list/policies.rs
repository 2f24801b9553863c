//! `list_policies`, `list_operator_policies`

use std::sync::Arc;

use serde_json::{Value, json};

use crate::policy::Policy;
use crate::vhost::Vhost;

use super::{Column, Table, column};

pub struct Row {
    vhost: Arc<str>,
    policy: Policy,
}

pub const TABLE: Table<Row> =
    Table { columns: &COLUMNS, usual: &["vhost", "name", "pattern", "apply-to", "definition", "priority"] };

const COLUMNS: [Column<Row>; 6] = [
    column("vhost", |row| json!(&*row.vhost)),
    column("name", |row| json!(row.policy.name)),
    column("pattern", |row| json!(row.policy.pattern.text())),
    column("apply-to", |row| json!(row.policy.apply_to.to_string())),
    column("definition", |row| Value::Object(row.policy.definition.object().clone())),
    column("priority", |row| json!(row.policy.priority)),
];

impl Row {
    pub fn name(&self) -> &str {
        &self.policy.name
    }
}

pub fn rows(vhost: &Vhost, is_operator: bool) -> impl Iterator<Item = Row> + use<> {
    let policies: Vec<Policy> =
        vhost.policies().iter().filter(|policy| policy.is_operator == is_operator).cloned().collect();
    let vhost = vhost.name.clone();
    policies.into_iter().map(move |policy| Row { vhost: vhost.clone(), policy })
}
