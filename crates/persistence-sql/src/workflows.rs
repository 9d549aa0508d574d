//! Workflow definitions.

use async_trait::async_trait;
use fusion_core::{ProjectId, Workflow, WorkflowId, WorkflowState};
use fusion_persistence::{Error, Result, WorkflowReader};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::error::{corrupt, trying, unreadable};
use crate::store::SqlStore;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "workflows")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub description: String,
        pub definition: Json,
        pub source: String,
        pub base_dir: String,
        pub state: String,
        pub created_at: DateTimeUtc,
        pub project_id: Option<Uuid>,
        pub definition_version: i32,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn to_row(workflow: Workflow) -> Result<table::Model> {
    Ok(table::Model {
        id: workflow.id.uuid(),
        name: workflow.name,
        description: workflow.description,
        definition: serde_json::to_value(workflow.definition)
            .map_err(unreadable("workflow definition"))?,
        source: workflow.source,
        base_dir: workflow.base_dir,
        state: workflow.state.as_str().to_owned(),
        created_at: workflow.created_at,
        project_id: workflow.project_id.map(ProjectId::uuid),
        definition_version: i32::try_from(workflow.definition_version)
            .map_err(|_| corrupt("workflow version"))?,
        version: 1,
    })
}

fn from_row(row: table::Model) -> Result<Workflow> {
    Ok(Workflow {
        id: WorkflowId::from_uuid(row.id),
        name: row.name,
        description: row.description,
        definition: serde_json::from_value(row.definition)
            .map_err(unreadable("workflow definition"))?,
        source: row.source,
        base_dir: row.base_dir,
        state: WorkflowState::from_text(&row.state).ok_or_else(|| corrupt("workflow state"))?,
        created_at: row.created_at,
        project_id: row.project_id.map(ProjectId::from_uuid),
        definition_version: u32::try_from(row.definition_version)
            .map_err(|_| corrupt("workflow version"))?,
        version: crate::store::unsigned(row.version, "workflow row version")?,
    })
}

pub(crate) async fn create(conn: &impl ConnectionTrait, workflow: Workflow) -> Result<()> {
    let row: table::ActiveModel = to_row(workflow)?.into();
    table::Entity::insert(row)
        .exec_without_returning(conn)
        .await
        .map_err(trying("store a workflow"))?;
    Ok(())
}

#[async_trait]
impl WorkflowReader for SqlStore {
    async fn workflow(&self, id: WorkflowId) -> Result<Workflow> {
        table::Entity::find_by_id(id.uuid())
            .one(self.reader())
            .await
            .map_err(trying("read a workflow"))?
            .map_or_else(
                || {
                    Err(Error::NotFound {
                        entity: "workflow",
                        id: id.to_string(),
                    })
                },
                from_row,
            )
    }

    async fn latest_workflow(&self, name: &str) -> Result<Option<Workflow>> {
        table::Entity::find()
            .filter(table::Column::Name.eq(name))
            .order_by_desc(table::Column::DefinitionVersion)
            .one(self.reader())
            .await
            .map_err(trying("read a workflow"))?
            .map(from_row)
            .transpose()
    }
}
