//! Configured providers. Their credentials are stored as they come: sealed.

use fusion_core::{AuthType, ProviderConfig, ProviderId, Sealed};
use fusion_persistence::{ProviderFilter, Result};
use sea_orm::Condition;
use sea_orm::prelude::Uuid;

use crate::error::corrupt;
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
    #[sea_orm(table_name = "provider_configs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        #[sea_orm(column_type = "Text")]
        pub api_endpoint: String,
        pub auth_type: String,
        #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
        pub credentials: Option<Vec<u8>>,
        #[sea_orm(column_type = "Text")]
        pub model_catalog: String,
        #[sea_orm(column_type = "Text")]
        pub rate_limits: String,
        pub provider_type: String,
        pub custom_adapter: Option<String>,
        pub created_at: DateTimeUtc,
        pub enabled: bool,
        #[sea_orm(column_type = "Text")]
        pub metadata: String,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for ProviderConfig {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[table::Column::CreatedAt];

    fn to_row(&self) -> Result<table::Model> {
        let credentials = self.credentials.as_ref();
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            api_endpoint: self.api_endpoint.clone(),
            auth_type: self.auth_type.as_str().to_owned(),
            credentials: credentials.map(|sealed| sealed.as_bytes().to_vec()),
            model_catalog: json::to_text("provider model_catalog", &self.model_catalog)?,
            rate_limits: json::to_text("provider rate_limits", &self.rate_limits)?,
            provider_type: self.provider_type.clone(),
            custom_adapter: self.custom_adapter.clone(),
            created_at: self.created_at,
            enabled: self.enabled,
            metadata: json::to_text("provider metadata", &self.metadata)?,
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: ProviderId::from_uuid(row.id),
            name: row.name,
            api_endpoint: row.api_endpoint,
            auth_type: AuthType::from_text(&row.auth_type)
                .ok_or_else(|| corrupt("provider auth_type"))?,
            credentials: row.credentials.map(Sealed::from_bytes),
            model_catalog: json::from_text("provider model_catalog", &row.model_catalog)?,
            rate_limits: json::from_text("provider rate_limits", &row.rate_limits)?,
            provider_type: row.provider_type,
            custom_adapter: row.custom_adapter,
            created_at: row.created_at,
            enabled: row.enabled,
            metadata: json::from_text("provider metadata", &row.metadata)?,
            version: unsigned(row.version, "provider row version")?,
        })
    }

    fn condition(filter: &ProviderFilter) -> Condition {
        let condition = exactly(Condition::all(), table::Column::Name, filter.name.clone());
        let kind = filter.provider_type.clone();
        let condition = exactly(condition, table::Column::ProviderType, kind);
        exactly(condition, table::Column::Enabled, filter.enabled)
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        self.name.clone()
    }
}

impl Versioned for ProviderConfig {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }
}
