//! Projects.

mod archive;

pub(crate) use archive::{expect_open, expect_open_again, update};

use fusion_core::{Project, ProjectId, ProviderId};
use fusion_persistence::{ProjectFilter, Result};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{ColumnTrait, Condition};

use crate::store::unsigned;
use crate::table::{Col, Stored, Versioned, exactly};
use crate::{agents, json, webhooks, workflows};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "projects")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        #[sea_orm(column_type = "Text")]
        pub description: String,
        #[sea_orm(column_type = "Text")]
        pub message_queue_config: String,
        pub default_provider_id: Option<Uuid>,
        pub created_at: DateTimeUtc,
        pub updated_at: DateTimeUtc,
        #[sea_orm(column_type = "Text")]
        pub metadata: String,
        pub version: i64,
        #[sea_orm(column_type = "Text")]
        pub budget: String,
        #[sea_orm(column_type = "Text")]
        pub budget_per_day: String,
        pub archived_at: Option<DateTimeUtc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Project {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[table::Column::CreatedAt];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            description: self.description.clone(),
            message_queue_config: json::to_text(
                "project message_queue_config",
                &self.message_queue_config,
            )?,
            default_provider_id: self.default_provider_id.map(ProviderId::uuid),
            created_at: self.created_at,
            updated_at: self.updated_at,
            metadata: json::to_text("project metadata", &self.metadata)?,
            version: 1,
            budget: json::to_text("project budget", &self.budget)?,
            budget_per_day: json::to_text("project budget_per_day", &self.budget_per_day)?,
            archived_at: self.archived_at,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: ProjectId::from_uuid(row.id),
            name: row.name,
            description: row.description,
            message_queue_config: json::from_text(
                "project message_queue_config",
                &row.message_queue_config,
            )?,
            default_provider_id: row.default_provider_id.map(ProviderId::from_uuid),
            budget: json::from_text("project budget", &row.budget)?,
            budget_per_day: json::from_text("project budget_per_day", &row.budget_per_day)?,
            archived_at: row.archived_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            metadata: json::from_text("project metadata", &row.metadata)?,
            version: unsigned(row.version, "project row version")?,
        })
    }

    fn condition(filter: &ProjectFilter) -> Condition {
        let condition = exactly(Condition::all(), table::Column::Name, filter.name.clone());
        condition.add_option(filter.archived.map(|archived| match archived {
            true => table::Column::ArchivedAt.is_not_null(),
            false => table::Column::ArchivedAt.is_null(),
        }))
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        self.name.clone()
    }
}

impl Versioned for Project {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }

    fn users(id: Uuid) -> Vec<SelectStatement> {
        let agents = Query::select()
            .expr(Expr::val(1_i64))
            .from(agents::table::Entity)
            .and_where(agents::table::Column::ProjectId.eq(id))
            .limit(1)
            .to_owned();
        let workflows = Query::select()
            .expr(Expr::val(1_i64))
            .from(workflows::table::Entity)
            .and_where(workflows::table::Column::ProjectId.eq(id))
            .limit(1)
            .to_owned();
        let webhooks = Query::select()
            .expr(Expr::val(1_i64))
            .from(webhooks::table::Entity)
            .and_where(webhooks::table::Column::ProjectId.eq(id))
            .limit(1)
            .to_owned();
        vec![agents, workflows, webhooks]
    }
}

/// What must be there for a row that names a project. (The first tables were made without a key to
/// it, and SQLite can't add one.)
pub(crate) fn must_exist(project: Option<ProjectId>) -> Vec<SelectStatement> {
    let select = |id: ProjectId| {
        Query::select()
            .expr(Expr::val(1_i64))
            .from(table::Entity)
            .and_where(table::Column::Id.eq(id.uuid()))
            .to_owned()
    };
    project.map(select).into_iter().collect()
}
