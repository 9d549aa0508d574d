//! Workspaces.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{AgentId, Workspace, WorkspaceId};
use fusion_persistence::Result;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
};
use serde_json::json;

use crate::error::{corrupt, trying, unreadable};
use crate::store::{expect_one, signed, unsigned};

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
        pub root_path: String,
        pub projects_path: String,
        pub logs_path: String,
        pub initialized: bool,
        pub initialization_error: Option<String>,
        pub agent_config: Json,
        pub environment_variables: Json,
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

fn uid_to_row(uid: Option<u32>) -> Result<Option<i32>> {
    uid.map(|uid| i32::try_from(uid).map_err(|_| corrupt("workspace uid")))
        .transpose()
}

fn uid_from_row(uid: Option<i32>) -> Result<Option<u32>> {
    uid.map(|uid| u32::try_from(uid).map_err(|_| corrupt("workspace uid")))
        .transpose()
}

fn to_row(workspace: Workspace) -> Result<table::Model> {
    Ok(table::Model {
        id: workspace.id.uuid(),
        agent_id: workspace.agent_id.uuid(),
        root_path: workspace.root_path,
        projects_path: workspace.projects_path,
        logs_path: workspace.logs_path,
        initialized: workspace.initialized,
        initialization_error: workspace.initialization_error,
        agent_config: workspace.agent_config,
        environment_variables: json!(workspace.environment_variables),
        process_uid: uid_to_row(workspace.process_uid)?,
        created_at: workspace.created_at,
        size_bytes: signed(workspace.size_bytes),
        file_count: signed(workspace.file_count),
        version: 1,
    })
}

fn from_row(row: table::Model) -> Result<Workspace> {
    Ok(Workspace {
        id: WorkspaceId::from_uuid(row.id),
        agent_id: AgentId::from_uuid(row.agent_id),
        root_path: row.root_path,
        projects_path: row.projects_path,
        logs_path: row.logs_path,
        initialized: row.initialized,
        initialization_error: row.initialization_error,
        agent_config: row.agent_config,
        environment_variables: serde_json::from_value(row.environment_variables)
            .map_err(unreadable("workspace environment"))?,
        process_uid: uid_from_row(row.process_uid)?,
        created_at: row.created_at,
        size_bytes: unsigned(row.size_bytes, "workspace size")?,
        file_count: unsigned(row.file_count, "workspace file count")?,
        version: unsigned(row.version, "workspace row version")?,
    })
}

pub(crate) async fn create(conn: &impl ConnectionTrait, workspace: Workspace) -> Result<()> {
    let row: table::ActiveModel = to_row(workspace)?.into();
    table::Entity::insert(row)
        .exec_without_returning(conn)
        .await
        .map_err(trying("store a workspace"))?;
    Ok(())
}

pub(crate) async fn update(conn: &impl ConnectionTrait, workspace: Workspace) -> Result<()> {
    let (id, read_at) = (workspace.id, signed(workspace.version));
    let change = table::ActiveModel {
        initialized: Set(workspace.initialized),
        initialization_error: Set(workspace.initialization_error),
        agent_config: Set(workspace.agent_config),
        environment_variables: Set(json!(workspace.environment_variables)),
        process_uid: Set(uid_to_row(workspace.process_uid)?),
        size_bytes: Set(signed(workspace.size_bytes)),
        file_count: Set(signed(workspace.file_count)),
        version: Set(read_at + 1),
        ..Default::default()
    };
    let written = table::Entity::update_many()
        .set(change)
        .filter(table::Column::Id.eq(id.uuid()))
        .filter(table::Column::Version.eq(read_at))
        .exec(conn)
        .await
        .map_err(trying("update a workspace"))?;
    expect_one(written.rows_affected, "workspace", &id)
}

pub(crate) async fn of_agents(
    conn: &impl ConnectionTrait,
    agents: Vec<sea_orm::prelude::Uuid>,
) -> Result<BTreeMap<AgentId, Workspace>> {
    let rows = table::Entity::find()
        .filter(table::Column::AgentId.is_in(agents))
        .all(conn)
        .await
        .map_err(trying("list workspaces"))?;
    rows.into_iter()
        .map(|row| from_row(row).map(|workspace| (workspace.agent_id, workspace)))
        .collect()
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
