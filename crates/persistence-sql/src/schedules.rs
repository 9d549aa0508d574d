//! Schedules.

use fusion_core::{Overlap, RunId, Schedule, ScheduleId};
use fusion_persistence::{Result, ScheduleFilter};
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, Condition};

use crate::error::corrupt;
use crate::json;
use crate::store::unsigned;
use crate::table::{Col, Stored, Versioned, exactly};
use crate::workflows;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "schedules")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub workflow: String,
        #[sea_orm(column_type = "Text")]
        pub inputs: String,
        pub cron: String,
        pub timezone: String,
        pub overlap: String,
        pub paused: bool,
        pub next_at: Option<DateTimeUtc>,
        pub last_at: Option<DateTimeUtc>,
        pub last_run: Option<Uuid>,
        #[sea_orm(column_type = "Text", nullable)]
        pub last_error: Option<String>,
        pub created_at: DateTimeUtc,
        pub updated_at: DateTimeUtc,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Schedule {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[table::Column::CreatedAt];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            workflow: self.workflow.clone(),
            inputs: json::to_text("schedule inputs", &self.inputs)?,
            cron: self.cron.clone(),
            timezone: self.timezone.clone(),
            overlap: self.overlap.as_str().to_owned(),
            paused: self.is_paused,
            next_at: self.next_at,
            last_at: self.last_at,
            last_run: self.last_run.map(RunId::uuid),
            last_error: self.last_error.clone(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: ScheduleId::from_uuid(row.id),
            name: row.name,
            workflow: row.workflow,
            inputs: json::from_text("schedule inputs", &row.inputs)?,
            cron: row.cron,
            timezone: row.timezone,
            overlap: Overlap::from_text(&row.overlap).ok_or_else(|| corrupt("schedule overlap"))?,
            is_paused: row.paused,
            next_at: row.next_at,
            last_at: row.last_at,
            last_run: row.last_run.map(RunId::from_uuid),
            last_error: row.last_error,
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: unsigned(row.version, "schedule row version")?,
        })
    }

    fn condition(filter: &ScheduleFilter) -> Condition {
        let condition = exactly(Condition::all(), table::Column::Name, filter.name.clone());
        let condition = exactly(condition, table::Column::Workflow, filter.workflow.clone());
        let condition = exactly(condition, table::Column::Paused, filter.paused);
        let names = filter.project.map(workflows::named_by_newest_of);
        condition.add_option(names.map(|names| table::Column::Workflow.in_subquery(names)))
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        self.name.clone()
    }
}

impl Versioned for Schedule {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }
}
