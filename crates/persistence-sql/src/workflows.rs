//! Workflow definitions.

use async_trait::async_trait;
use fusion_core::{ProjectId, StateMachine, Workflow, WorkflowId, WorkflowState};
use fusion_persistence::{Result, WorkflowFilter, WorkflowReader};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::error::{corrupt, trying};
use crate::store::{SqlStore, unsigned};
use crate::table::{Col, Stored, Versioned, any_of, exactly, stored_as};
use crate::{json, projects};

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
        #[sea_orm(column_type = "Text")]
        pub description: String,
        #[sea_orm(column_type = "Text")]
        pub definition: String,
        #[sea_orm(column_type = "Text")]
        pub source: String,
        #[sea_orm(column_type = "Text")]
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

/// The versions of workflows, without what is in them.
pub(crate) mod versions {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "workflows")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub definition_version: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Workflow {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[
        table::Column::Name,
        table::Column::CreatedAt,
        table::Column::DefinitionVersion,
    ];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            description: self.description.clone(),
            definition: json::to_text("workflow definition", &self.definition)?,
            source: self.source.clone(),
            base_dir: self.base_dir.clone(),
            state: self.state.as_str().to_owned(),
            created_at: self.created_at,
            project_id: self.project_id.map(ProjectId::uuid),
            definition_version: i32::try_from(self.definition_version)
                .map_err(|_| corrupt("workflow version"))?,
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: WorkflowId::from_uuid(row.id),
            name: row.name,
            description: row.description,
            definition: json::from_text("workflow definition", &row.definition)?,
            source: row.source,
            base_dir: row.base_dir,
            state: WorkflowState::from_text(&row.state).ok_or_else(|| corrupt("workflow state"))?,
            created_at: row.created_at,
            project_id: row.project_id.map(ProjectId::from_uuid),
            definition_version: u32::try_from(row.definition_version)
                .map_err(|_| corrupt("workflow version"))?,
            version: unsigned(row.version, "workflow row version")?,
        })
    }

    fn condition(filter: &WorkflowFilter) -> Condition {
        let states = filter.states.iter().map(|state| state.as_str());
        let condition = any_of(Condition::all(), table::Column::State, states);
        let project = filter.project.map(ProjectId::uuid);
        let condition = exactly(condition, table::Column::ProjectId, project);
        exactly(condition, table::Column::Name, filter.name.clone())
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        format!("{} version {}", self.name, self.definition_version)
    }
}

impl Versioned for Workflow {
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

/// The ids of the versions of a project.
pub(crate) fn of_project(project: ProjectId) -> SelectStatement {
    Query::select()
        .column(table::Column::Id)
        .from(table::Entity)
        .and_where(table::Column::ProjectId.eq(project.uuid()))
        .to_owned()
}

/// The names whose newest version is of a project.
pub(crate) fn named_by_newest_of(project: ProjectId) -> SelectStatement {
    let of = |table: &'static str, column| Expr::col((table, column));
    let newer = Query::select()
        .expr(Expr::val(1_i64))
        .from_as(table::Entity, "newer")
        .and_where(of("newer", table::Column::Name).equals((table::Entity, table::Column::Name)))
        .and_where(
            of("newer", table::Column::DefinitionVersion)
                .gt(Expr::col((table::Entity, table::Column::DefinitionVersion))),
        )
        .to_owned();
    Query::select()
        .column(table::Column::Name)
        .from(table::Entity)
        .and_where(table::Column::ProjectId.eq(project.uuid()))
        .and_where(Expr::exists(newer).not())
        .to_owned()
}

#[async_trait]
impl WorkflowReader for SqlStore {
    async fn latest_workflow(&self, name: &str) -> Result<Option<Workflow>> {
        table::Entity::find()
            .filter(table::Column::Name.eq(stored_as(name)))
            .order_by_desc(table::Column::DefinitionVersion)
            .one(self.reader())
            .await
            .map_err(trying("read a workflow"))?
            .map(Workflow::from_row)
            .transpose()
    }

    async fn newest_version(&self, name: &str) -> Result<Option<WorkflowId>> {
        let newest = versions::Entity::find()
            .filter(versions::Column::Name.eq(stored_as(name)))
            .order_by_desc(versions::Column::DefinitionVersion)
            .limit(1);
        let rows = self
            .reader()
            .rows::<versions::Entity>("read a workflow", newest);
        let newest = rows.await?.pop();
        Ok(newest.map(|row| WorkflowId::from_uuid(row.id)))
    }
}
