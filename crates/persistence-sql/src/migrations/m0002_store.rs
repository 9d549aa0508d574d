//! The rest of the entities, the outbox, idempotency keys, and the indexes for long queues and logs.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, boolean, double, pk_uuid, string, string_null, text, text_null,
    timestamp_with_time_zone, timestamp_with_time_zone_null, uuid, uuid_null,
};

#[derive(Debug)]
pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m0002_store"
    }
}

/// Columns that the first step made as JSON. From here on they are text on both databases:
/// PostgreSQL's JSON refuses a zero character in a string, and reorders keys.
const JSON_COLUMNS: [(&str, &str); 15] = [
    ("workflows", "definition"),
    ("runs", "inputs"),
    ("runs", "outputs"),
    ("agents", "capabilities"),
    ("agents", "metadata"),
    ("agents", "message_subscriptions"),
    ("workspaces", "agent_config"),
    ("workspaces", "environment_variables"),
    ("tasks", "required_capabilities"),
    ("tasks", "dependencies"),
    ("tasks", "input_artifacts"),
    ("tasks", "output_artifacts"),
    ("tasks", "communication_channels"),
    ("journal_entries", "request"),
    ("journal_entries", "outcome"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        manager.alter_table(agents_get_a_provider()).await?;
        for (name, table) in [
            ("tasks_ready", "tasks"),
            ("tasks_by_lease", "tasks"),
            ("events_by_type", "events"),
        ] {
            let drop = Index::drop().name(name).table(table).to_owned();
            manager.drop_index(drop).await?;
        }
        let connection = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            for (table, column) in JSON_COLUMNS.into_iter().chain([("events", "data")]) {
                let sql = format!("ALTER TABLE {table} ALTER COLUMN {column} TYPE text");
                connection.execute_unprepared(&sql).await?;
            }
            connection.execute_unprepared(WORDS_POSTGRES).await?;
        } else {
            connection.execute_unprepared(WORDS_SQLITE).await?;
        }
        for sql in INDEXES {
            connection.execute_unprepared(sql).await?;
        }
        for stream in ["outbox", "words"] {
            let first = Query::insert()
                .into_table("event_streams")
                .columns(["name", "last_seq"])
                .values_panic([stream.into(), 0_i64.into()])
                .to_owned();
            manager.execute(first).await?;
        }
        Ok(())
    }
}

const WORDS_SQLITE: &str = "CREATE VIRTUAL TABLE event_words USING fts5(
  message, content='', contentless_delete=1, detail=none, tokenize=ascii)";

const WORDS_POSTGRES: &str =
    "CREATE TABLE event_words (seq bigint PRIMARY KEY, words tsvector NOT NULL);
     CREATE INDEX event_words_by_word ON event_words USING gin (words)";

/// In plain SQL, which is the same on both databases: the builder has no partial indexes.
const INDEXES: [&str; 32] = [
    // Claims: the first ready task of a run for a set of capabilities, and of an agent's own queue.
    "CREATE INDEX tasks_pooled ON tasks (run_id, capability_key, priority DESC, queued_at, id)
       WHERE state = 'queued' AND unmet_dependencies = 0 AND agent_id IS NULL",
    "CREATE INDEX tasks_own ON tasks (agent_id, priority DESC, queued_at, id)
       WHERE state = 'queued' AND unmet_dependencies = 0",
    "CREATE INDEX tasks_ready ON tasks (run_id)
       WHERE state = 'queued' AND unmet_dependencies = 0",
    "CREATE INDEX tasks_leased ON tasks (lease_until) WHERE state IN ('assigned', 'running')",
    "CREATE INDEX tasks_held ON tasks (lease_owner) WHERE state IN ('assigned', 'running')",
    "CREATE INDEX tasks_by_state ON tasks (state)",
    "CREATE INDEX tasks_by_workflow ON tasks (workflow_id)",
    "CREATE INDEX tasks_by_priority ON tasks (priority DESC, queued_at)",
    "CREATE INDEX task_dependencies_by_task ON task_dependencies (task_id)",
    "CREATE INDEX runs_by_workflow ON runs (workflow_id)",
    "CREATE INDEX workflows_by_project ON workflows (project_id)",
    "CREATE INDEX workflows_by_state ON workflows (state)",
    "CREATE INDEX agents_by_project ON agents (project_id)",
    "CREATE INDEX agents_by_provider ON agents (provider_id)",
    "CREATE INDEX agents_by_update ON agents (updated_at)",
    "CREATE INDEX projects_by_provider ON projects (default_provider_id)",
    "CREATE INDEX events_by_time ON events (timestamp, seq)",
    "CREATE INDEX events_by_run_and_time ON events (run_id, timestamp, seq)",
    "CREATE INDEX events_by_type ON events (event_type, timestamp, seq)",
    "CREATE INDEX events_by_agent ON events (source_agent_id, timestamp, seq)",
    "CREATE INDEX events_by_severity ON events (severity, timestamp, seq)",
    "CREATE INDEX messages_by_time ON messages (timestamp)",
    "CREATE INDEX messages_by_sender ON messages (sender_agent_id)",
    "CREATE INDEX messages_by_topic ON messages (topic)",
    "CREATE INDEX messages_by_status ON messages (delivery_status)",
    "CREATE INDEX message_recipients_by_message ON message_recipients (message_id)",
    "CREATE INDEX metrics_by_agent ON resource_metrics (agent_id, timestamp)",
    "CREATE INDEX metrics_by_time ON resource_metrics (timestamp)",
    "CREATE INDEX approvals_by_state ON approvals (state)",
    "CREATE INDEX approvals_by_task ON approvals (task_id)",
    "CREATE INDEX approvals_by_run ON approvals (run_id)",
    "CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at)",
];

fn tables() -> Vec<TableCreateStatement> {
    vec![
        provider_configs(),
        projects(),
        capabilities(),
        messages(),
        message_recipients(),
        resource_metrics(),
        approvals(),
        api_tokens(),
        outbox(),
        idempotency_keys(),
        writers(),
    ]
}

fn key(table: &'static str, column: &'static str, to: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .from(table, column)
        .to(to, "id")
        .to_owned()
}

fn provider_configs() -> TableCreateStatement {
    Table::create()
        .table("provider_configs")
        .col(pk_uuid("id"))
        .col(string("name").unique_key())
        .col(text("api_endpoint"))
        .col(string("auth_type"))
        .col(ColumnDef::new("credentials").blob().null())
        .col(text("model_catalog"))
        .col(text("rate_limits"))
        .col(string("provider_type"))
        .col(string_null("custom_adapter"))
        .col(timestamp_with_time_zone("created_at"))
        .col(boolean("enabled"))
        .col(text("metadata"))
        .col(big_integer("version"))
        .to_owned()
}

fn projects() -> TableCreateStatement {
    Table::create()
        .table("projects")
        .col(pk_uuid("id"))
        .col(string("name").unique_key())
        .col(text("description"))
        .col(text("message_queue_config"))
        .col(uuid_null("default_provider_id"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("updated_at"))
        .col(text("metadata"))
        .col(big_integer("version"))
        .foreign_key(&mut key(
            "projects",
            "default_provider_id",
            "provider_configs",
        ))
        .to_owned()
}

fn capabilities() -> TableCreateStatement {
    Table::create()
        .table("capabilities")
        .col(pk_uuid("id"))
        .col(string("name").unique_key())
        .col(text("description"))
        .col(string("category"))
        .col(text("metadata"))
        .col(timestamp_with_time_zone("created_at"))
        .col(big_integer("version"))
        .to_owned()
}

fn messages() -> TableCreateStatement {
    Table::create()
        .table("messages")
        .col(pk_uuid("id"))
        .col(timestamp_with_time_zone("timestamp"))
        .col(uuid("sender_agent_id"))
        .col(text_null("recipient_agent_ids"))
        .col(text("topic"))
        .col(text("payload"))
        .col(string("message_type"))
        .col(string("delivery_status"))
        .col(timestamp_with_time_zone_null("delivered_at"))
        .col(timestamp_with_time_zone_null("expiry_at"))
        .col(big_integer("version"))
        .foreign_key(&mut key("messages", "sender_agent_id", "agents"))
        .to_owned()
}

fn message_recipients() -> TableCreateStatement {
    Table::create()
        .table("message_recipients")
        .col(uuid("agent_id"))
        .col(uuid("message_id"))
        .primary_key(Index::create().col("agent_id").col("message_id"))
        .foreign_key(&mut key("message_recipients", "agent_id", "agents"))
        .foreign_key(
            key("message_recipients", "message_id", "messages")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .to_owned()
}

fn resource_metrics() -> TableCreateStatement {
    Table::create()
        .table("resource_metrics")
        .col(pk_uuid("id"))
        .col(uuid("agent_id"))
        .col(timestamp_with_time_zone("timestamp"))
        .col(double("cpu_percent"))
        .col(double("memory_mb"))
        .col(double("disk_io_read_mb"))
        .col(double("disk_io_write_mb"))
        .col(big_integer("api_calls_count"))
        .col(string_null("api_provider"))
        .col(big_integer("api_tokens_used"))
        .col(big_integer("api_cost_picos"))
        .foreign_key(&mut key("resource_metrics", "agent_id", "agents"))
        .to_owned()
}

fn approvals() -> TableCreateStatement {
    Table::create()
        .table("approvals")
        .col(pk_uuid("id"))
        .col(uuid("task_id"))
        .col(uuid_null("run_id"))
        .col(text("question"))
        .col(string("subject_hash"))
        .col(uuid_null("requested_by"))
        .col(string("state"))
        .col(timestamp_with_time_zone("requested_at"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .col(timestamp_with_time_zone_null("resolved_at"))
        .col(text_null("resolved_by"))
        .col(text_null("comment"))
        .col(big_integer("version"))
        .foreign_key(&mut key("approvals", "task_id", "tasks"))
        .foreign_key(&mut key("approvals", "run_id", "runs"))
        .to_owned()
}

fn api_tokens() -> TableCreateStatement {
    Table::create()
        .table("api_tokens")
        .col(pk_uuid("id"))
        .col(string("name").unique_key())
        .col(string("hash").unique_key())
        .col(string("scope"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone_null("expires_at"))
        .col(timestamp_with_time_zone_null("last_used_at"))
        .col(timestamp_with_time_zone_null("revoked_at"))
        .col(big_integer("version"))
        .to_owned()
}

fn outbox() -> TableCreateStatement {
    Table::create()
        .table("outbox")
        .col(big_integer("seq").primary_key())
        .col(string("topic"))
        .col(text("payload"))
        .col(timestamp_with_time_zone("created_at"))
        .to_owned()
}

fn idempotency_keys() -> TableCreateStatement {
    Table::create()
        .table("idempotency_keys")
        .col(string("scope"))
        .col(string("key"))
        .col(string("request_hash"))
        .col(text("answer"))
        .col(timestamp_with_time_zone("created_at"))
        .col(timestamp_with_time_zone("expires_at"))
        .primary_key(Index::create().col("scope").col("key"))
        .to_owned()
}

/// One row for each process that writes: the number of its last commit.
fn writers() -> TableCreateStatement {
    Table::create()
        .table("writers")
        .col(pk_uuid("id"))
        .col(big_integer("last_commit"))
        .col(timestamp_with_time_zone("started_at"))
        .to_owned()
}

fn agents_get_a_provider() -> TableAlterStatement {
    let mut column = ColumnDef::new("provider_id");
    column.uuid().null();
    let reference = "REFERENCES provider_configs (id)";
    column.extra(reference);
    Table::alter().table("agents").add_column(column).to_owned()
}
