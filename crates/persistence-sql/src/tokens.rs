//! Tokens of the API. Only their hashes are stored.

use fusion_core::{ApiToken, ApiTokenId, TokenScope};
use fusion_persistence::{Result, TokenFilter};
use sea_orm::Condition;
use sea_orm::prelude::Uuid;

use crate::error::corrupt;
use crate::store::unsigned;
use crate::table::{Col, Stored, Versioned, exactly};

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "api_tokens")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        pub hash: String,
        pub scope: String,
        pub created_at: DateTimeUtc,
        pub expires_at: Option<DateTimeUtc>,
        pub last_used_at: Option<DateTimeUtc>,
        pub revoked_at: Option<DateTimeUtc>,
        pub issuer: Option<Uuid>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for ApiToken {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[
        table::Column::Hash,
        table::Column::CreatedAt,
        table::Column::Issuer,
    ];

    fn to_row(&self) -> Result<table::Model> {
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            hash: self.hash.clone(),
            scope: self.scope.as_str().to_owned(),
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at,
            revoked_at: self.revoked_at,
            issuer: self.issuer.map(ApiTokenId::uuid),
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        Ok(Self {
            id: ApiTokenId::from_uuid(row.id),
            name: row.name,
            hash: row.hash,
            scope: TokenScope::from_text(&row.scope).ok_or_else(|| corrupt("API token scope"))?,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
            issuer: row.issuer.map(ApiTokenId::from_uuid),
            version: unsigned(row.version, "API token row version")?,
        })
    }

    fn condition(filter: &TokenFilter) -> Condition {
        let condition = exactly(Condition::all(), table::Column::Hash, filter.hash.clone());
        exactly(condition, table::Column::Name, filter.name.clone())
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        self.name.clone()
    }
}

impl Versioned for ApiToken {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }
}
