//! The schema, as numbered steps that only go forward. A step is never edited once released.

mod m0001_runs;
mod m0002_store;
mod m0003_event_indexes;
mod m0004_deliveries;
mod m0005_waits;
mod m0006_courses;
mod m0007_control;
mod m0008_pool;
mod m0009_nodes;
mod m0010_accounts;
mod m0011_lookups;
mod m0012_schedules;
mod m0013_sub_workflows;
mod m0014_issuers;
mod m0015_snapshots;
mod m0016_fewer_indexes;
mod m0017_lost_calls;
mod m0018_log_index;
mod m0019_archived_projects;
mod m0020_webhooks;
mod m0021_imported_runs;
mod m0022_deleted_runs;
mod m0023_notings_and_lives;

use std::collections::BTreeSet;

use fusion_persistence::{Error, Result};
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement};
use sea_orm_migration::prelude::*;

use crate::dialect::Dialect;
use crate::error::trying;

/// Every step, in order.
#[derive(Debug)]
pub(crate) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_runs::Migration),
            Box::new(m0002_store::Migration),
            Box::new(m0003_event_indexes::Migration),
            Box::new(m0004_deliveries::Migration),
            Box::new(m0005_waits::Migration),
            Box::new(m0006_courses::Migration),
            Box::new(m0007_control::Migration),
            Box::new(m0008_pool::Migration),
            Box::new(m0009_nodes::Migration),
            Box::new(m0010_accounts::Migration),
            Box::new(m0011_lookups::Migration),
            Box::new(m0012_schedules::Migration),
            Box::new(m0013_sub_workflows::Migration),
            Box::new(m0014_issuers::Migration),
            Box::new(m0015_snapshots::Migration),
            Box::new(m0016_fewer_indexes::Migration),
            Box::new(m0017_lost_calls::Migration),
            Box::new(m0018_log_index::Migration),
            Box::new(m0019_archived_projects::Migration),
            Box::new(m0020_webhooks::Migration),
            Box::new(m0021_imported_runs::Migration),
            Box::new(m0022_deleted_runs::Migration),
            Box::new(m0023_notings_and_lives::Migration),
        ]
    }
}

/// What a database has of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaState {
    /// The steps that were applied, in order.
    pub applied: Vec<String>,
    /// The steps that this program has and the database lacks, in order.
    pub missing: Vec<String>,
}

/// What a database has of the schema, and what it has beyond it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) state: SchemaState,
    /// Steps that were applied and that this program does not know, in order.
    pub(crate) newer: Vec<String>,
}

impl Steps {
    /// Refuses a database of a newer program.
    pub(crate) fn known(self) -> Result<SchemaState> {
        match self.newer.first() {
            None => Ok(self.state),
            Some(newer) => Err(Error::Unusable {
                reason: format!(
                    "the database was written by a newer fusion-kit (its schema has step {newer}): \
                     use that version, or another --data-dir",
                ),
            }),
        }
    }
}

const ACTION: &str = "read the schema's version";

/// Looks which steps were applied, without writing anything. A database without the table that
/// remembers them has none.
pub(crate) async fn steps(conn: &impl ConnectionTrait) -> Result<Steps> {
    let applied: Vec<String> = if tables(conn).await?.contains("seaql_migrations") {
        texts(
            conn,
            "SELECT version FROM seaql_migrations ORDER BY version",
        )
        .await?
    } else {
        Vec::new()
    };
    let known: Vec<String> = Migrator::migrations()
        .iter()
        .map(|step| step.name().to_owned())
        .collect();
    let is_newer = |step: &&String| !known.contains(step);
    let newer = applied.iter().filter(is_newer).cloned().collect();
    let missing = known.iter().filter(|step| !applied.contains(step));
    let missing = missing.cloned().collect();
    Ok(Steps {
        state: SchemaState { applied, missing },
        newer,
    })
}

/// The names of the tables in a database.
pub(crate) async fn tables(conn: &impl ConnectionTrait) -> Result<BTreeSet<String>> {
    let sql = match Dialect::from(conn.get_database_backend()) {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Dialect::Postgres => {
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"
        }
    };
    Ok(texts(conn, sql).await?.into_iter().collect())
}

async fn texts(conn: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>> {
    let query = Statement::from_string(conn.get_database_backend(), sql);
    let rows = conn.query_all_raw(query).await.map_err(trying(ACTION))?;
    rows.iter()
        .map(|row| row.try_get_by_index(0).map_err(trying(ACTION)))
        .collect()
}

/// Looks which steps were applied; refuses a database of a newer program.
pub(crate) async fn schema_state(conn: &impl ConnectionTrait) -> Result<SchemaState> {
    steps(conn).await?.known()
}

/// Applies the missing steps, or the first few of them; says which. The caller holds the lock and
/// commits.
pub(crate) async fn bring_up_to_date(
    transaction: &DatabaseTransaction,
    at_most: Option<u32>,
) -> Result<Vec<String>> {
    let before = schema_state(transaction).await?;
    if before.missing.is_empty() {
        return Ok(Vec::new());
    }
    Migrator::up(transaction, at_most)
        .await
        .map_err(trying("bring the schema up to date"))?;
    let mut now = schema_state(transaction).await?.applied;
    now.retain(|step| before.missing.contains(step));
    Ok(now)
}
