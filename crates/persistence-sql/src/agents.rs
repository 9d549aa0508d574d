//! Agents.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fusion_core::{
    Agent, AgentId, AgentState, ProjectId, ProviderId, RunId, StateMachine, Timestamp, Workspace,
};
use fusion_persistence::{AgentFilter, AgentReader, AgentWork, Error, Listeners, Result};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, SelectStatement};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QueryTrait, Statement, Value,
};

use crate::deliveries::places;
use crate::error::corrupt;
use crate::session::Session;
use crate::store::{SqlStore, unsigned};
use crate::table::{Col, Stored, Versioned, any_of, columns, exactly, stored_as};
use crate::{failure, json, projects, tasks, workspaces};

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
        #[sea_orm(column_type = "Text")]
        pub workspace_path: String,
        pub provider: String,
        pub provider_id: Option<Uuid>,
        #[sea_orm(column_type = "Text")]
        pub model_name: String,
        #[sea_orm(column_type = "Text")]
        pub capabilities: String,
        #[sea_orm(column_type = "Text")]
        pub metadata: String,
        #[sea_orm(column_type = "Text")]
        pub message_subscriptions: String,
        pub project_id: Option<Uuid>,
        pub run_id: Option<Uuid>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Agent {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[table::Column::CreatedAt, table::Column::RunId];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            state: self.state.as_str().to_owned(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_heartbeat: self.last_heartbeat,
            workspace_path: self.workspace_path.clone(),
            provider: self.provider.clone(),
            provider_id: self.provider_id.map(ProviderId::uuid),
            model_name: self.model_name.clone(),
            capabilities: json::to_text("agent capabilities", &self.capabilities)?,
            metadata: json::to_text("agent metadata", &self.metadata)?,
            message_subscriptions: json::to_text(
                "agent subscriptions",
                &self.message_subscriptions,
            )?,
            project_id: self.project_id.map(ProjectId::uuid),
            run_id: self.run_id.map(RunId::uuid),
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: AgentId::from_uuid(row.id),
            name: row.name,
            state: AgentState::from_text(&row.state).ok_or_else(|| corrupt("agent state"))?,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_heartbeat: row.last_heartbeat,
            workspace_path: row.workspace_path,
            provider: row.provider,
            provider_id: row.provider_id.map(ProviderId::from_uuid),
            model_name: row.model_name,
            capabilities: json::from_text("agent capabilities", &row.capabilities)?,
            metadata: json::from_text("agent metadata", &row.metadata)?,
            message_subscriptions: json::from_text(
                "agent subscriptions",
                &row.message_subscriptions,
            )?,
            project_id: row.project_id.map(ProjectId::from_uuid),
            run_id: row.run_id.map(RunId::from_uuid),
            version: unsigned(row.version, "agent row version")?,
        })
    }

    fn condition(filter: &AgentFilter) -> Condition {
        let states = filter.states.iter().map(|state| state.as_str());
        let condition = any_of(Condition::all(), table::Column::State, states);
        let project = filter.project.map(ProjectId::uuid);
        let condition = exactly(condition, table::Column::ProjectId, project);
        let condition = exactly(condition, table::Column::RunId, filter.run.map(RunId::uuid));
        let condition = exactly(
            condition,
            table::Column::Name,
            filter.name.as_deref().map(stored_as),
        );
        let condition = if filter.standing {
            condition.add(table::Column::RunId.is_null())
        } else {
            condition
        };
        let provider = filter.provider.map(ProviderId::uuid);
        exactly(condition, table::Column::ProviderId, provider)
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Versioned for Agent {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }

    fn state(&self) -> Option<(Col<Self>, &'static str, Vec<&'static str>)> {
        Some((
            table::Column::State,
            self.state.as_str(),
            self.state.before(),
        ))
    }

    fn requires(&self) -> Vec<SelectStatement> {
        projects::must_exist(self.project_id)
    }
}

/// Runs in one statement: no more than there are jobs in a transaction.
const RUNS_PER_LOOK: usize = 64;

/// Refuses to go on unless just these agents listen in these runs.
pub(crate) async fn expect_listeners(
    session: &mut impl Session,
    expected: &[&Listeners],
) -> failure::Result<()> {
    let runs: BTreeSet<RunId> = expected.iter().map(|one| one.run).collect();
    let runs: Vec<RunId> = runs.into_iter().collect();
    let mut found = Vec::new();
    for some in runs.chunks(RUNS_PER_LOOK) {
        let sql = format!(
            "SELECT {columns} FROM agents WHERE run_id IN ({runs})
               AND message_subscriptions <> '[]' AND state <> 'terminated'",
            columns = columns::<table::Entity>().join(", "),
            runs = places(1, some.len()),
        );
        let values = some.iter().map(|run| Value::from(run.uuid()));
        let look = Statement::from_sql_and_values(session.backend(), sql, values);
        let rows = session
            .rows::<table::Entity>("look for listeners", look)
            .await?;
        for row in rows {
            found.push(Agent::from_row(row)?);
        }
    }
    for one in expected {
        let of_run = found.iter().filter(|agent| agent.run_id == Some(one.run));
        if Listeners::among(one.run, of_run) != **one {
            return Err(Error::Heard { run: one.run }.into());
        }
    }
    Ok(())
}

/// Agents that are neither made nor ended, or held to go on by themselves: `ending` or `restarting` is a key
/// of their metadata then.
pub(crate) fn half_done() -> String {
    let [spawning, paused, error] =
        [AgentState::Spawning, AgentState::Paused, AgentState::Error].map(|it| it.as_str());
    format!(
        "SELECT 1 FROM agents WHERE state IN ('{spawning}', '{paused}', '{error}')
           AND (state = '{spawning}' AND run_id IS NULL OR metadata LIKE '%\"ending\"%'
             OR state = '{paused}' AND metadata LIKE '%\"restarting\"%')"
    )
}

/// Agents in one statement: far below SQLite's 32,766 bound values.
const AGENTS_PER_UPDATE: usize = 500;

/// Writes when agents last got on; their versions stay.
pub(crate) async fn progress(
    session: &mut impl Session,
    agents: &[AgentId],
    at: Timestamp,
) -> failure::Result<()> {
    for some in agents.chunks(AGENTS_PER_UPDATE) {
        let beat = table::Entity::update_many()
            .col_expr(table::Column::LastHeartbeat, Expr::value(at))
            .filter(table::Column::Id.is_in(some.iter().map(|id| id.uuid())))
            .build(session.backend());
        session.execute("note the progress of agents", beat).await?;
    }
    Ok(())
}

#[async_trait]
impl AgentReader for SqlStore {
    async fn agents_of_run(&self, run: RunId) -> Result<Vec<(Agent, Workspace)>> {
        let list = |condition| {
            let query = table::Entity::find()
                .filter(condition)
                .order_by_asc(table::Column::Name);
            self.reader().rows::<table::Entity>("list agents", query)
        };
        let spawned = table::Column::RunId.eq(run.uuid());
        let mut rows = list(spawned).await?;
        if rows.is_empty() {
            let standing = table::Column::Id.in_subquery(tasks::agents_of(run));
            rows = list(standing).await?;
        }
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let mut workspaces = workspaces::of_agents(self.reader(), ids).await?;
        let mut agents = Vec::with_capacity(rows.len());
        for row in rows {
            let agent = Agent::from_row(row)?;
            let workspace = workspaces
                .remove(&agent.id)
                .ok_or_else(|| corrupt("workspace of an agent"))?;
            agents.push((agent, workspace));
        }
        Ok(agents)
    }

    async fn work_of_agent(&self, agent: AgentId) -> Result<AgentWork> {
        tasks::work::of_agent(self.reader(), agent).await
    }

    async fn used_process_uids(&self) -> Result<BTreeSet<u32>> {
        workspaces::used_uids(self.reader()).await
    }

    async fn process_uids_used_of(&self, uids: &[u32]) -> Result<BTreeSet<u32>> {
        workspaces::used_uids_of(self.reader(), uids).await
    }
}
