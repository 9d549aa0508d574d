//! The keys that events are found by: their type, their agent, their run, and a severity other than
//! `info`, which most events have.

use std::collections::BTreeSet;

use fusion_core::{AgentId, EventType, RunId, Severity};
use fusion_persistence::{EventFilter, Result};
use sea_orm::prelude::Uuid;
use sea_orm::{DbBackend, Statement, Value};

use super::index::log;
use crate::dialect::Dialect;
use crate::json;

/// The places of one key, in the index whose primary key is the key with the place.
pub(crate) mod entry {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "event_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn of_type(event_type: &str) -> String {
    format!("type {event_type}")
}

fn of_severity(severity: &str) -> Option<String> {
    (severity != Severity::Info.as_str()).then(|| format!("severity {severity}"))
}

fn of_agent(agent: Uuid) -> String {
    format!("agent {}", agent.simple())
}

fn of_run(run: Uuid) -> String {
    format!("run {}", run.simple())
}

/// Every key of an event.
pub(super) fn of(event: &log::Model) -> impl Iterator<Item = String> {
    [
        Some(of_type(&event.event_type)),
        of_severity(&event.severity),
        event.source_agent_id.map(of_agent),
        event.run_id.map(of_run),
    ]
    .into_iter()
    .flatten()
}

/// The keys of the narrowest part of a filter, one of which an event must have; `None` where no part
/// of it has keys. `types` are those that its patterns mean.
pub(super) fn narrowest(filter: &EventFilter, types: &[EventType]) -> Option<Vec<String>> {
    if let Some(run) = filter.run {
        return Some(vec![of_run(RunId::uuid(run))]);
    }
    if !filter.agents.is_empty() {
        let agents = filter.agents.iter().copied().map(AgentId::uuid);
        return Some(agents.map(of_agent).collect());
    }
    let severities = filter.severities.iter();
    let keys: Option<Vec<String>> = severities
        .map(|severity| of_severity(severity.as_str()))
        .collect();
    if let Some(keys) = keys.filter(|keys| !keys.is_empty()) {
        return Some(keys);
    }
    let are_some = !types.is_empty() && types.len() < EventType::ALL.len();
    are_some.then(|| types.iter().map(|kind| of_type(kind.as_str())).collect())
}

/// Adds the keys of events to the index, in its order.
pub(super) fn add(backend: DbBackend, events: &[log::Model]) -> Result<Statement> {
    let mut entries: Vec<(String, i64)> = events
        .iter()
        .flat_map(|event| of(event).map(|key| (key, event.seq)))
        .collect();
    entries.sort_unstable();
    let entries: Value = json::to_text("keys of events", &entries)?.into();
    let sql = match Dialect::from(backend) {
        Dialect::Sqlite => {
            "INSERT INTO event_keys (key, seq)
             SELECT value ->> 0, value ->> 1 FROM json_each($1)"
        }
        Dialect::Postgres => {
            "INSERT INTO event_keys (key, seq)
             SELECT value ->> 0, (value ->> 1)::bigint FROM json_array_elements($1::json) AS new (value)"
        }
    };
    Ok(Statement::from_sql_and_values(backend, sql, [entries]))
}

/// Removes the keys of the events from the index, of which `last` is the last; and of those before, which
/// are gone.
pub(crate) fn remove(backend: DbBackend, events: &[log::Model], last: i64) -> Result<Statement> {
    let keys: BTreeSet<String> = events.iter().flat_map(of).collect();
    let keys: Value = json::to_text("keys of events", &keys)?.into();
    let sql = match Dialect::from(backend) {
        Dialect::Sqlite => {
            "DELETE FROM event_keys WHERE key IN (SELECT value FROM json_each($1)) AND seq <= $2"
        }
        Dialect::Postgres => {
            "DELETE FROM event_keys
             WHERE key = ANY (ARRAY(SELECT json_array_elements_text($1::json))) AND seq <= $2"
        }
    };
    let values = [keys, last.into()];
    Ok(Statement::from_sql_and_values(backend, sql, values))
}
