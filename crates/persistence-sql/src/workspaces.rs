//! Workspaces.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{AgentId, Workspace, WorkspaceId};
use fusion_persistence::{Result, WorkspaceFilter};
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::error::{corrupt, trying};
use crate::json;
use crate::readers::Readers;
use crate::store::{signed, unsigned};
use crate::table::{Col, Stored, Versioned, exactly};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "workspaces")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub agent_id: Uuid,
        #[sea_orm(column_type = "Text")]
        pub root_path: String,
        #[sea_orm(column_type = "Text")]
        pub projects_path: String,
        #[sea_orm(column_type = "Text")]
        pub logs_path: String,
        pub initialized: bool,
        #[sea_orm(column_type = "Text", nullable)]
        pub initialization_error: Option<String>,
        #[sea_orm(column_type = "Text")]
        pub agent_config: String,
        #[sea_orm(column_type = "Text")]
        pub environment_variables: String,
        pub process_uid: Option<i32>,
        pub created_at: DateTimeUtc,
        pub size_bytes: i64,
        pub file_count: i64,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Agents in one query: far below SQLite's 32,766 bound values.
const AGENTS_PER_QUERY: usize = 500;

fn uid_to_row(uid: Option<u32>) -> Result<Option<i32>> {
    uid.map(|uid| i32::try_from(uid).map_err(|_| corrupt("workspace uid")))
        .transpose()
}

fn uid_from_row(uid: Option<i32>) -> Result<Option<u32>> {
    uid.map(|uid| u32::try_from(uid).map_err(|_| corrupt("workspace uid")))
        .transpose()
}

impl Stored for Workspace {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[table::Column::AgentId, table::Column::CreatedAt];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            agent_id: self.agent_id.uuid(),
            root_path: self.root_path.clone(),
            projects_path: self.projects_path.clone(),
            logs_path: self.logs_path.clone(),
            initialized: self.initialized,
            initialization_error: self.initialization_error.clone(),
            agent_config: json::to_text("workspace agent_config", &self.agent_config)?,
            environment_variables: json::to_text(
                "workspace environment",
                &self.environment_variables,
            )?,
            process_uid: uid_to_row(self.process_uid)?,
            created_at: self.created_at,
            size_bytes: signed(self.size_bytes),
            file_count: signed(self.file_count),
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: WorkspaceId::from_uuid(row.id),
            agent_id: AgentId::from_uuid(row.agent_id),
            root_path: row.root_path,
            projects_path: row.projects_path,
            logs_path: row.logs_path,
            initialized: row.initialized,
            initialization_error: row.initialization_error,
            agent_config: json::from_text("workspace agent_config", &row.agent_config)?,
            environment_variables: json::from_text(
                "workspace environment",
                &row.environment_variables,
            )?,
            process_uid: uid_from_row(row.process_uid)?,
            created_at: row.created_at,
            size_bytes: unsigned(row.size_bytes, "workspace size")?,
            file_count: unsigned(row.file_count, "workspace file count")?,
            version: unsigned(row.version, "workspace row version")?,
        })
    }

    fn condition(filter: &WorkspaceFilter) -> Condition {
        let agent = filter.agent.map(AgentId::uuid);
        exactly(Condition::all(), table::Column::AgentId, agent)
    }

    fn is_selected_by_key(filter: &WorkspaceFilter) -> bool {
        filter.agent.is_some()
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        self.root_path.clone()
    }
}

impl Versioned for Workspace {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }
}

pub(crate) async fn of_agents(
    readers: &Readers,
    agents: Vec<Uuid>,
) -> Result<BTreeMap<AgentId, Workspace>> {
    let mut found = BTreeMap::new();
    for some in agents.chunks(AGENTS_PER_QUERY) {
        let query =
            table::Entity::find().filter(table::Column::AgentId.is_in(some.iter().copied()));
        for row in readers
            .rows::<table::Entity>("list workspaces", query)
            .await?
        {
            let workspace = Workspace::from_row(row)?;
            found.insert(workspace.agent_id, workspace);
        }
    }
    Ok(found)
}

pub(crate) async fn used_uids_of(readers: &Readers, uids: &[u32]) -> Result<BTreeSet<u32>> {
    let mut used = BTreeSet::new();
    for some in uids.chunks(AGENTS_PER_QUERY) {
        // What does not fit into the column is in no row.
        let some = some.iter().filter_map(|uid| i32::try_from(*uid).ok());
        let query = table::Entity::find().filter(table::Column::ProcessUid.is_in(some));
        for row in readers
            .rows::<table::Entity>("look user ids up", query)
            .await?
        {
            used.extend(uid_from_row(row.process_uid)?);
        }
    }
    Ok(used)
}

pub(crate) async fn used_uids(conn: &impl ConnectionTrait) -> Result<BTreeSet<u32>> {
    let uids: Vec<Option<i32>> = table::Entity::find()
        .select_only()
        .column(table::Column::ProcessUid)
        .filter(table::Column::ProcessUid.is_not_null())
        .into_tuple()
        .all(conn)
        .await
        .map_err(trying("list the uids in use"))?;
    uids.into_iter()
        .filter_map(|uid| uid_from_row(uid).transpose())
        .collect()
}
