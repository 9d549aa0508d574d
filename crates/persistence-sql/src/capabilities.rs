//! The capability registry.

use fusion_core::{Capability, CapabilityId};
use fusion_persistence::{CapabilityFilter, Result};
use sea_orm::Condition;
use sea_orm::prelude::Uuid;

use crate::json;
use crate::store::unsigned;
use crate::table::{Col, Stored, Versioned, exactly};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "capabilities")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        #[sea_orm(column_type = "Text")]
        pub description: String,
        pub category: String,
        #[sea_orm(column_type = "Text")]
        pub metadata: String,
        pub created_at: DateTimeUtc,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Capability {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[table::Column::CreatedAt];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            description: self.description.clone(),
            category: self.category.clone(),
            metadata: json::to_text("capability metadata", &self.metadata)?,
            created_at: self.created_at,
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: CapabilityId::from_uuid(row.id),
            name: row.name,
            description: row.description,
            category: row.category,
            metadata: json::from_text("capability metadata", &row.metadata)?,
            created_at: row.created_at,
            version: unsigned(row.version, "capability row version")?,
        })
    }

    fn condition(filter: &CapabilityFilter) -> Condition {
        let condition = exactly(Condition::all(), table::Column::Name, filter.name.clone());
        exactly(condition, table::Column::Category, filter.category.clone())
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        self.name.clone()
    }
}

impl Versioned for Capability {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }
}
