//! The listings: a table of columns for each kind of thing, named as `rabbitmqctl` names them.

pub mod bindings;
pub mod channels;
pub mod connections;
pub mod consumers;
pub mod exchanges;
pub mod limits;
pub mod policies;
pub mod queues;
pub mod users;

use std::sync::Arc;

use serde_json::Value;

use crate::broker::Broker;

use super::control_socket::Output;
use super::execute::find_vhost;
use super::reply::{Failure, Line};
use super::request::{Columns, List};

/// Bytes of rows that are sent together.
const CHUNK_BYTES: usize = 64 << 10;

/// One column: its name, and what it shows of a row.
pub struct Column<R: 'static> {
    pub name: &'static str,
    pub value: fn(&R) -> Value,
}

impl<R> Clone for Column<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Column<R> {}

/// A kind of listing.
pub struct Table<R: 'static> {
    /// All columns there are.
    pub columns: &'static [Column<R>],
    /// Those shown when none is asked for.
    pub usual: &'static [&'static str],
}

/// Shorthand for tables.
const fn column<R>(name: &'static str, value: fn(&R) -> Value) -> Column<R> {
    Column { name, value }
}

/// Writes a listing. Blocks while the peer reads slowly.
pub fn run(broker: &Arc<Broker>, vhost: &str, list: &List, output: Output) -> Result<(), Failure> {
    match list {
        List::ListQueues(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            queues::TABLE.write(columns, queues::rows(&vhost), output)
        }
        List::ListExchanges(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            exchanges::TABLE.write(columns, exchanges::rows(&vhost), output)
        }
        List::ListBindings(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            bindings::TABLE.write(columns, bindings::rows(&vhost), output)
        }
        List::ListConsumers(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            consumers::TABLE.write(columns, consumers::rows(&vhost), output)
        }
        List::ListConnections(columns) => {
            connections::TABLE.write(columns, connections::rows(broker), output)
        }
        List::ListChannels(columns) => channels::TABLE.write(columns, channels::rows(broker), output),
        List::ListUsers(columns) => users::USERS.write(columns, users::users(broker), output),
        List::ListVhosts(columns) => users::VHOSTS.write(columns, users::vhosts(broker), output),
        List::ListPermissions(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            users::PERMISSIONS.write(columns, users::permissions_in(broker, &vhost.name), output)
        }
        List::ListUserPermissions { user, columns } => {
            let rows = users::permissions_of(broker, user)?;
            users::USER_PERMISSIONS.write(columns, rows, output)
        }
        List::ListTopicPermissions(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            let rows = limits::topics(broker, |row| *row.vhost == *vhost.name);
            limits::TOPICS.write(columns, rows, output)
        }
        List::ListUserTopicPermissions { user, columns } => {
            users::find(broker, user)?;
            let rows = limits::topics(broker, |row| row.user == *user);
            limits::USER_TOPICS.write(columns, rows, output)
        }
        List::ListPolicies(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            policies::TABLE.write(columns, policies::rows(&vhost, false), output)
        }
        List::ListOperatorPolicies(columns) => {
            let vhost = find_vhost(broker, vhost)?;
            policies::TABLE.write(columns, policies::rows(&vhost, true), output)
        }
        List::ListVhostLimits { global, columns } => {
            find_vhost(broker, vhost)?;
            let rows = limits::vhosts(broker, (!global).then_some(vhost));
            limits::VHOST_LIMITS.write(columns, rows, output)
        }
        List::ListUserLimits { user, columns } => {
            if let Some(user) = user {
                users::find(broker, user)?;
            }
            limits::USER_LIMITS.write(columns, limits::users(broker, user.as_deref()), output)
        }
    }
}

impl<R: 'static> Table<R> {
    fn write(&self, asked: &Columns, rows: impl Iterator<Item = R>, output: Output) -> Result<(), Failure> {
        let columns = self.pick(&asked.columns)?;
        let names = columns.iter().map(|column| column.name.to_owned()).collect();
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + (CHUNK_BYTES >> 3));
        push(&mut chunk, &Line::Columns(names))?;
        for row in rows {
            let values = columns.iter().map(|column| (column.value)(&row)).collect();
            push(&mut chunk, &Line::Row(values))?;
            if chunk.len() >= CHUNK_BYTES && !output.blocking_chunk(std::mem::take(&mut chunk)) {
                return Ok(());
            }
        }
        output.blocking_chunk(chunk);
        Ok(())
    }

    /// The columns of these names; the usual ones for none.
    fn pick(&self, names: &[String]) -> Result<Vec<&'static Column<R>>, Failure> {
        let find = |name: &str| {
            self.columns.iter().find(|column| column.name == name).ok_or_else(|| self.unknown(name))
        };
        // As in list_queues name,messages
        let names: Vec<&str> =
            names.iter().flat_map(|name| name.split(',')).filter(|name| !name.is_empty()).collect();
        match names.is_empty() {
            true => self.usual.iter().map(|name| find(name)).collect(),
            false => names.into_iter().map(find).collect(),
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let known: Vec<_> = self.columns.iter().map(|column| column.name).collect();
        Failure::new(format!("there is no column '{name}'; there are {}", known.join(", ")))
    }
}

fn push(chunk: &mut Vec<u8>, line: &Line) -> Result<(), Failure> {
    serde_json::to_writer(&mut *chunk, line).map_err(Failure::new)?;
    chunk.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<R>(table: &Table<R>) {
        assert!(table.pick(&[]).is_ok_and(|columns| columns.len() == table.usual.len()));
        let all: Vec<String> = table.columns.iter().map(|column| column.name.to_owned()).collect();
        assert!(table.pick(&all).is_ok_and(|columns| columns.len() == all.len()));
        for (at, name) in all.iter().enumerate() {
            assert!(!all[..at].contains(name), "{name} comes twice");
        }
        let error = table.pick(&["colour".to_owned()]).err().expect("no such column").reason;
        assert!(error.starts_with("there is no column 'colour'; there are "), "{error}");
        assert!(error.contains(all[0].as_str()), "{error}");
    }

    #[test]
    fn every_table_has_its_usual_columns_and_names_all_when_asked_for_another() {
        check(&queues::TABLE);
        check(&exchanges::TABLE);
        check(&bindings::TABLE);
        check(&consumers::TABLE);
        check(&connections::TABLE);
        check(&channels::TABLE);
        check(&users::USERS);
        check(&users::VHOSTS);
        check(&users::PERMISSIONS);
        check(&users::USER_PERMISSIONS);
        check(&policies::TABLE);
        check(&limits::TOPICS);
        check(&limits::USER_TOPICS);
        check(&limits::VHOST_LIMITS);
        check(&limits::USER_LIMITS);
    }
}
