//! Samples of what agents use.

use fusion_core::{AgentId, Cost, MetricsId, ResourceMetrics};
use fusion_persistence::{MetricsFilter, Result};
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, Condition};

use crate::store::{signed, unsigned};
use crate::table::{Col, Stored, exactly};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "resource_metrics")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub agent_id: Uuid,
        pub timestamp: DateTimeUtc,
        pub cpu_percent: f64,
        pub memory_mb: f64,
        pub disk_io_read_mb: f64,
        pub disk_io_write_mb: f64,
        pub api_calls_count: i64,
        pub api_provider: Option<String>,
        pub api_tokens_used: i64,
        pub api_cost_picos: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for ResourceMetrics {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            agent_id: self.agent_id.uuid(),
            timestamp: self.timestamp,
            cpu_percent: self.cpu_percent,
            memory_mb: self.memory_mb,
            disk_io_read_mb: self.disk_io_read_mb,
            disk_io_write_mb: self.disk_io_write_mb,
            api_calls_count: signed(self.api_calls_count),
            api_provider: self.api_provider.clone(),
            api_tokens_used: signed(self.api_tokens_used),
            api_cost_picos: self.api_cost_usd.picos(),
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: MetricsId::from_uuid(row.id),
            agent_id: AgentId::from_uuid(row.agent_id),
            timestamp: row.timestamp,
            cpu_percent: row.cpu_percent,
            memory_mb: row.memory_mb,
            disk_io_read_mb: row.disk_io_read_mb,
            disk_io_write_mb: row.disk_io_write_mb,
            api_calls_count: unsigned(row.api_calls_count, "metrics calls")?,
            api_provider: row.api_provider,
            api_tokens_used: unsigned(row.api_tokens_used, "metrics tokens")?,
            api_cost_usd: Cost::from_picos(row.api_cost_picos),
        })
    }

    fn condition(filter: &MetricsFilter) -> Condition {
        let agent = filter.agent.map(AgentId::uuid);
        exactly(Condition::all(), table::Column::AgentId, agent)
            .add_option(
                filter
                    .since
                    .map(|since| table::Column::Timestamp.gte(since)),
            )
            .add_option(filter.until.map(|until| table::Column::Timestamp.lt(until)))
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }
}
