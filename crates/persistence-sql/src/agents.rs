//! Agents.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fusion_core::{Agent, AgentId, AgentState, ProjectId, RunId, Workspace};
use fusion_persistence::{AgentReader, Error, Result};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};
use serde_json::json;

use crate::error::{corrupt, trying, unreadable};
use crate::store::{SqlStore, expect_one, signed, unsigned};
use crate::workspaces;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "agents")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub state: String,
        pub created_at: DateTimeUtc,
        pub updated_at: DateTimeUtc,
        pub last_heartbeat: Option<DateTimeUtc>,
        pub workspace_path: String,
        pub provider: String,
        pub model_name: String,
        pub capabilities: Json,
        pub metadata: Json,
        pub message_subscriptions: Json,
        pub project_id: Option<Uuid>,
        pub run_id: Option<Uuid>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn to_row(agent: Agent) -> table::Model {
    table::Model {
        id: agent.id.uuid(),
        name: agent.name,
        state: agent.state.as_str().to_owned(),
        created_at: agent.created_at,
        updated_at: agent.updated_at,
        last_heartbeat: agent.last_heartbeat,
        workspace_path: agent.workspace_path,
        provider: agent.provider,
        model_name: agent.model_name,
        capabilities: json!(agent.capabilities),
        metadata: agent.metadata,
        message_subscriptions: json!(agent.message_subscriptions),
        project_id: agent.project_id.map(ProjectId::uuid),
        run_id: agent.run_id.map(RunId::uuid),
        version: 1,
    }
}

fn from_row(row: table::Model) -> Result<Agent> {
    Ok(Agent {
        id: AgentId::from_uuid(row.id),
        name: row.name,
        state: AgentState::from_text(&row.state).ok_or_else(|| corrupt("agent state"))?,
        created_at: row.created_at,
        updated_at: row.updated_at,
        last_heartbeat: row.last_heartbeat,
        workspace_path: row.workspace_path,
        provider: row.provider,
        model_name: row.model_name,
        capabilities: serde_json::from_value(row.capabilities)
            .map_err(unreadable("agent capabilities"))?,
        metadata: row.metadata,
        message_subscriptions: serde_json::from_value(row.message_subscriptions)
            .map_err(unreadable("agent subscriptions"))?,
        project_id: row.project_id.map(ProjectId::from_uuid),
        run_id: row.run_id.map(RunId::from_uuid),
        version: unsigned(row.version, "agent row version")?,
    })
}

pub(crate) async fn create(conn: &impl ConnectionTrait, agent: Agent) -> Result<()> {
    let row: table::ActiveModel = to_row(agent).into();
    table::Entity::insert(row)
        .exec_without_returning(conn)
        .await
        .map_err(trying("store an agent"))?;
    Ok(())
}

pub(crate) async fn update(conn: &impl ConnectionTrait, agent: Agent) -> Result<()> {
    let (id, read_at) = (agent.id, signed(agent.version));
    let change = table::ActiveModel {
        name: Set(agent.name),
        state: Set(agent.state.as_str().to_owned()),
        updated_at: Set(agent.updated_at),
        last_heartbeat: Set(agent.last_heartbeat),
        provider: Set(agent.provider),
        model_name: Set(agent.model_name),
        capabilities: Set(json!(agent.capabilities)),
        metadata: Set(agent.metadata),
        message_subscriptions: Set(json!(agent.message_subscriptions)),
        version: Set(read_at + 1),
        ..Default::default()
    };
    let written = table::Entity::update_many()
        .set(change)
        .filter(table::Column::Id.eq(id.uuid()))
        .filter(table::Column::Version.eq(read_at))
        .exec(conn)
        .await
        .map_err(trying("update an agent"))?;
    expect_one(written.rows_affected, "agent", &id)
}

pub(crate) async fn read(conn: &impl ConnectionTrait, id: AgentId) -> Result<Agent> {
    table::Entity::find_by_id(id.uuid())
        .one(conn)
        .await
        .map_err(trying("read an agent"))?
        .map_or_else(
            || {
                Err(Error::NotFound {
                    entity: "agent",
                    id: id.to_string(),
                })
            },
            from_row,
        )
}

#[async_trait]
impl AgentReader for SqlStore {
    async fn agents_of_run(&self, run: RunId) -> Result<Vec<(Agent, Workspace)>> {
        let rows = table::Entity::find()
            .filter(table::Column::RunId.eq(run.uuid()))
            .order_by_asc(table::Column::Name)
            .all(self.reader())
            .await
            .map_err(trying("list agents"))?;
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut workspaces = workspaces::of_agents(self.reader(), ids).await?;
        let mut agents = Vec::with_capacity(rows.len());
        for row in rows {
            let agent = from_row(row)?;
            let workspace = workspaces
                .remove(&agent.id)
                .ok_or_else(|| corrupt("workspace of an agent"))?;
            agents.push((agent, workspace));
        }
        Ok(agents)
    }

    async fn used_process_uids(&self) -> Result<BTreeSet<u32>> {
        workspaces::used_uids(self.reader()).await
    }
}
