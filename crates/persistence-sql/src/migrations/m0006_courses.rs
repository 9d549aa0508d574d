//! Tasks that are done for one entry of a list each, and where a task stands in the course of its
//! step.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{integer_null, text_null, uuid_null};

#[derive(Debug)]
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0006_courses"
    }
}

/// The items of a fan-out by their state, and those that wait for the end of another, in order.
const INDEXES: [&str; 2] = [
    "CREATE INDEX tasks_items ON tasks (fan_out_id, state) WHERE fan_out_id IS NOT NULL",
    "CREATE INDEX tasks_gated ON tasks (fan_out_id, item_index)
       WHERE fan_out_id IS NOT NULL AND state = 'queued' AND unmet_dependencies > 0",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            uuid_null("fan_out_id"),
            integer_null("item_index"),
            text_null("course"),
        ];
        for column in columns {
            let add = Table::alter().table("tasks").add_column(column).to_owned();
            manager.alter_table(add).await?;
        }
        for create in INDEXES {
            manager.get_connection().execute_unprepared(create).await?;
        }
        Ok(())
    }
}
