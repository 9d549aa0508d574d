//! What a run needs: workflows, runs, agents, workspaces, tasks, journals and the event log.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, integer, integer_null, json_binary, json_binary_null,
    pk_uuid, string, string_null, text, text_null, timestamp_with_time_zone,
    timestamp_with_time_zone_null, uuid, uuid_null,
};

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0001_runs"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            workflows(),
            runs(),
            agents(),
            workspaces(),
            tasks(),
            task_dependencies(),
            journal_entries(),
            events(),
            event_streams(),
        ] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let first = Query::insert()
            .into_table("event_streams")
            .columns(["name", "last_seq"])
            .values_panic(["main".into(), 0_i64.into()])
            .to_owned();
        manager.execute(first).await
    }
}

fn workflows() -> TableCreateStatement {
    Table::create()
        .table("workflows")
        .col(pk_uuid("id"))
        .col(string("name"))
        .col(text("description"))
        .col(json_binary("definition"))
        .col(text("source"))
        .col(text("base_dir"))
        .col(string("state"))
        .col(timestamp_with_time_zone("created_at"))
        .col(uuid_null("project_id"))
        .col(integer("definition_version"))
        .col(big_integer("version"))
        .to_owned()
}

fn runs() -> TableCreateStatement {
    Table::create()
        .table("runs")
        .col(pk_uuid("id"))
        .col(uuid("workflow_id"))
        .col(string("workflow_name"))
        .col(string("state"))
        .col(json_binary("inputs"))
        .col(json_binary_null("outputs"))
        .col(text_null("error_message"))
        .col(integer("total_tasks"))
        .col(integer("open_tasks"))
        .col(big_integer("turns"))
        .col(big_integer("input_tokens"))
        .col(big_integer("output_tokens"))
        .col(big_integer("cost_picos"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("started_at"))
        .col(timestamp_with_time_zone_null("completed_at"))
        .col(big_integer("version"))
        .foreign_key(
            ForeignKey::create()
                .from("runs", "workflow_id")
                .to("workflows", "id"),
        )
        .to_owned()
}

fn agents() -> TableCreateStatement {
    Table::create()
        .table("agents")
        .col(pk_uuid("id"))
        .col(string("name"))
        .col(string("state"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .col(timestamp_with_time_zone_null("last_heartbeat"))
        .col(text("workspace_path").unique_key())
        .col(string("provider"))
        .col(text("model_name"))
        .col(json_binary("capabilities"))
        .col(json_binary("metadata"))
        .col(json_binary("message_subscriptions"))
        .col(uuid_null("project_id"))
        .col(uuid_null("run_id"))
        .col(big_integer("version"))
        .foreign_key(
            ForeignKey::create()
                .from("agents", "run_id")
                .to("runs", "id"),
        )
        .to_owned()
}

fn workspaces() -> TableCreateStatement {
    Table::create()
        .table("workspaces")
        .col(pk_uuid("id"))
        .col(uuid("agent_id").unique_key())
        .col(text("root_path").unique_key())
        .col(text("projects_path"))
        .col(text("logs_path"))
        .col(boolean("initialized"))
        .col(text_null("initialization_error"))
        .col(json_binary("agent_config"))
        .col(json_binary("environment_variables"))
        .col(integer_null("process_uid"))
        .col(timestamp_with_time_zone("created_at"))
        .col(big_integer("size_bytes"))
        .col(big_integer("file_count"))
        .col(big_integer("version"))
        .foreign_key(
            ForeignKey::create()
                .from("workspaces", "agent_id")
                .to("agents", "id"),
        )
        .to_owned()
}

fn tasks() -> TableCreateStatement {
    Table::create()
        .table("tasks")
        .col(pk_uuid("id"))
        .col(string("name"))
        .col(text("description"))
        .col(uuid_null("agent_id"))
        .col(integer("priority"))
        .col(json_binary("required_capabilities"))
        .col(text("capability_key"))
        .col(string("state"))
        .col(timestamp_with_time_zone("queued_at"))
        .col(timestamp_with_time_zone_null("started_at"))
        .col(timestamp_with_time_zone_null("completed_at"))
        .col(json_binary("dependencies"))
        .col(integer("unmet_dependencies"))
        .col(json_binary("input_artifacts"))
        .col(json_binary_null("output_artifacts"))
        .col(text_null("error_message"))
        .col(string_null("cancel_reason"))
        .col(json_binary("communication_channels"))
        .col(uuid_null("workflow_id"))
        .col(uuid("run_id"))
        .col(big_integer("fence"))
        .col(uuid_null("lease_owner"))
        .col(big_integer_null("lease_until"))
        .col(integer("attempts"))
        .col(big_integer("turns"))
        .col(big_integer("input_tokens"))
        .col(big_integer("output_tokens"))
        .col(big_integer("cost_picos"))
        .col(big_integer("version"))
        .foreign_key(
            ForeignKey::create()
                .from("tasks", "run_id")
                .to("runs", "id"),
        )
        .to_owned()
}

fn task_dependencies() -> TableCreateStatement {
    Table::create()
        .table("task_dependencies")
        .col(uuid("task_id"))
        .col(uuid("depends_on"))
        .primary_key(Index::create().col("depends_on").col("task_id"))
        .foreign_key(
            ForeignKey::create()
                .from("task_dependencies", "task_id")
                .to("tasks", "id"),
        )
        .to_owned()
}

fn journal_entries() -> TableCreateStatement {
    Table::create()
        .table("journal_entries")
        .col(pk_uuid("id"))
        .col(uuid("task_id"))
        .col(uuid("run_id"))
        .col(integer("seq"))
        .col(string("kind"))
        .col(text("name"))
        .col(string("effect"))
        .col(string("state"))
        .col(json_binary("request"))
        .col(json_binary_null("outcome"))
        .col(big_integer("turns"))
        .col(big_integer("input_tokens"))
        .col(big_integer("output_tokens"))
        .col(big_integer("cost_picos"))
        .col(integer("attempts"))
        .col(timestamp_with_time_zone("started_at"))
        .col(timestamp_with_time_zone_null("finished_at"))
        .foreign_key(
            ForeignKey::create()
                .from("journal_entries", "task_id")
                .to("tasks", "id"),
        )
        .to_owned()
}

fn events() -> TableCreateStatement {
    Table::create()
        .table("events")
        .col(big_integer("seq").primary_key())
        .col(uuid("id").unique_key())
        .col(timestamp_with_time_zone("timestamp"))
        .col(string("event_type"))
        .col(string("severity"))
        .col(uuid_null("source_agent_id"))
        .col(string("source_component"))
        .col(uuid_null("run_id"))
        .col(json_binary("data"))
        .col(text("message"))
        .col(text_null("message_queue_topic"))
        .to_owned()
}

fn event_streams() -> TableCreateStatement {
    Table::create()
        .table("event_streams")
        .col(string("name").primary_key())
        .col(big_integer("last_seq"))
        .to_owned()
}

fn index(
    table: &'static str,
    name: &'static str,
    columns: &[&'static str],
) -> IndexCreateStatement {
    let mut index = Index::create();
    index.table(table).name(name);
    for column in columns {
        index.col(*column);
    }
    index
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index(
            "workflows",
            "workflows_by_name",
            &["name", "definition_version"],
        )
        .unique()
        .to_owned(),
        index("runs", "runs_by_state", &["state"]),
        index("agents", "agents_by_run", &["run_id"]),
        index("agents", "agents_by_state", &["state"]),
        index("tasks", "tasks_by_run", &["run_id", "name"]),
        index("tasks", "tasks_by_agent", &["agent_id", "state"]),
        index("tasks", "tasks_by_lease", &["lease_owner"]),
        index(
            "tasks",
            "tasks_ready",
            &["state", "unmet_dependencies", "priority", "queued_at"],
        ),
        index("journal_entries", "journal_by_task", &["task_id", "seq"])
            .unique()
            .to_owned(),
        index("journal_entries", "journal_by_run", &["run_id"]),
        index("events", "events_by_run", &["run_id", "seq"]),
        index("events", "events_by_type", &["event_type", "timestamp"]),
    ]
}
