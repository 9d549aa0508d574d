//! All tables, to be counted, emptied and copied from one database to another.

use std::collections::BTreeMap;

use fusion_persistence::Result;
use futures::TryStreamExt;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel,
    QueryTrait,
};

use super::door;
use crate::dialect::Dialect;
use crate::error::trying;
use crate::store::unsigned;
use crate::table::clean;
use crate::{
    accounts, agents, approvals, capabilities, deletions, deliveries, events, idempotency, journal,
    losses, messages, metrics, migrations, outbox, projects, providers, runs, schedules, snapshots,
    tasks, tokens, webhooks, workflows, workspaces,
};

/// Rows of each table.
pub(super) type Rows = BTreeMap<&'static str, u64>;

/// Rows in one insert: far below SQLite's 32,766 bound values with the widest table.
const CHUNK: usize = 250;

/// The counters of the streams.
mod stream {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "event_streams")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub last_seq: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

macro_rules! tables {
    ($($name:literal = $entity:path,)*) => {
        /// Every table with data of its own, those that are referred to first. Not here: the index
        /// of events, which is made from the events; the writers, who belong to one database.
        pub(super) const NAMES: &[&str] = &[$($name,)*];

        /// Copies every row. The tables of `to` are empty.
        pub(super) async fn copy(from: &DatabaseTransaction, to: &DatabaseTransaction) -> Result<Rows> {
            let mut rows = Rows::new();
            $(rows.insert($name, copy_table::<$entity>(from, to).await?);)*
            Ok(rows)
        }
    };
}

tables! {
    "provider_configs" = providers::table::Entity,
    "projects" = projects::table::Entity,
    "capabilities" = capabilities::table::Entity,
    "workflows" = workflows::table::Entity,
    "runs" = runs::table::Entity,
    "agents" = agents::table::Entity,
    "workspaces" = workspaces::table::Entity,
    "workspace_snapshots" = snapshots::table::Entity,
    "tasks" = tasks::table::Entity,
    "task_dependencies" = tasks::edge::Entity,
    "task_losses" = losses::table::Entity,
    "journal_entries" = journal::table::Entity,
    "approvals" = approvals::table::Entity,
    "messages" = messages::table::Entity,
    "message_recipients" = deliveries::table::Entity,
    "resource_metrics" = metrics::table::Entity,
    "schedules" = schedules::table::Entity,
    "webhooks" = webhooks::table::Entity,
    "webhook_attempts" = webhooks::attempts::table::Entity,
    "accounts" = accounts::table::Entity,
    "account_holds" = accounts::room::Entity,
    "run_deletions" = deletions::table::Entity,
    "past_costs" = deletions::costs::Entity,
    "loose_files" = deletions::files::table::Entity,
    "api_tokens" = tokens::table::Entity,
    "outbox" = outbox::table::Entity,
    "idempotency_keys" = idempotency::table::Entity,
    "events" = events::table::Entity,
    "event_streams" = stream::Entity,
}

async fn copy_table<E>(from: &DatabaseTransaction, to: &DatabaseTransaction) -> Result<u64>
where
    E: EntityTrait<Model: IntoActiveModel<E::ActiveModel> + Send>,
{
    const READ: &str = "read the rows to copy";
    let backend = to.get_database_backend();
    let mut chunks = E::find()
        .stream(from)
        .await
        .map_err(trying(READ))?
        .try_chunks(CHUNK);
    let mut copied = 0;
    while let Some(rows) = chunks
        .try_next()
        .await
        .map_err(|stopped| trying(READ)(stopped.1))?
    {
        let rows = rows
            .into_iter()
            .map(|row| row.into_active_model().reset_all());
        let insert = clean(E::insert_many(rows).build(backend));
        let written = to.execute_raw(insert).await;
        copied += written.map_err(trying("copy rows"))?.rows_affected();
    }
    Ok(copied)
}

/// How many rows each table has that there is.
pub(super) async fn count(conn: &impl ConnectionTrait) -> Result<Rows> {
    let present = migrations::tables(conn).await?;
    let mut rows = Rows::new();
    for name in NAMES.iter().filter(|name| present.contains(**name)) {
        let sql = format!("SELECT count(*) FROM {name}");
        let found: Option<i64> = door::first(conn, &sql).await?;
        rows.insert(name, unsigned(found.unwrap_or(0), "row count")?);
    }
    Ok(rows)
}

/// Whether no table has a row, but for the counters of the streams.
pub(super) async fn are_empty(conn: &impl ConnectionTrait) -> Result<bool> {
    for name in NAMES.iter().filter(|name| **name != "event_streams") {
        let found: Option<i32> =
            door::first(conn, &format!("SELECT 1 FROM {name} LIMIT 1")).await?;
        if found.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes every row out of every table.
pub(super) async fn empty(conn: &impl ConnectionTrait) -> Result<()> {
    let statements = match Dialect::from(conn.get_database_backend()) {
        Dialect::Postgres => vec![format!("TRUNCATE {}", NAMES.join(", "))],
        Dialect::Sqlite => NAMES
            .iter()
            .rev()
            .map(|name| format!("DELETE FROM {name}"))
            .collect(),
    };
    for sql in statements {
        conn.execute_unprepared(&sql)
            .await
            .map_err(trying("empty the database"))?;
    }
    Ok(())
}
