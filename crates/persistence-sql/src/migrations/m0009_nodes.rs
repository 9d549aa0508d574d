//! Processes that share the work: who they are, which runs they drive, and which tasks they lost.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, pk_uuid, string, text, uuid, uuid_null};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0009_nodes"
    }
}

const INDEXES: [&str; 3] = [
    "CREATE INDEX run_leases_by_owner ON run_leases (owner) WHERE owner IS NOT NULL",
    "CREATE UNIQUE INDEX nodes_by_epoch ON nodes (epoch)",
    "CREATE INDEX nodes_at_work ON nodes (epoch) WHERE state <> 'down'",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [nodes(), run_leases(), task_losses()] {
            manager.create_table(table).await?;
        }
        let connection = manager.get_connection();
        for sql in INDEXES {
            connection.execute_unprepared(sql).await?;
        }
        let first = Query::insert()
            .into_table("event_streams")
            .columns(["name", "last_seq"])
            .values_panic(["nodes".into(), 0_i64.into()])
            .to_owned();
        manager.execute(first).await
    }
}

fn nodes() -> TableCreateStatement {
    Table::create()
        .table("nodes")
        .col(pk_uuid("id"))
        .col(big_integer("epoch"))
        .col(text("name"))
        .col(string("version"))
        .col(string("roles"))
        .col(integer("capacity"))
        .col(string("state"))
        .col(big_integer("started_at"))
        .col(big_integer("last_seen"))
        .to_owned()
}

/// Without a reference to the runs: a restore replaces these, and leases mean nothing then.
fn run_leases() -> TableCreateStatement {
    Table::create()
        .table("run_leases")
        .col(pk_uuid("run_id"))
        .col(uuid_null("owner"))
        .col(big_integer("fence"))
        .col(big_integer("lease_until"))
        .to_owned()
}

/// Leases that ran out before their worker was done.
fn task_losses() -> TableCreateStatement {
    Table::create()
        .table("task_losses")
        .col(uuid("task_id"))
        .col(big_integer("fence"))
        .col(uuid_null("node"))
        .col(big_integer("at"))
        .primary_key(Index::create().col("task_id").col("fence"))
        .foreign_key(
            ForeignKey::create()
                .from("task_losses", "task_id")
                .to("tasks", "id"),
        )
        .to_owned()
}
