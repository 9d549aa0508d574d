//! The outbox: what waits to be published.

use async_trait::async_trait;
use fusion_core::{NewOutboxEntry, OutboxEntry};
use fusion_persistence::{OutboxReader, Remembered};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::failure::Result;
use crate::session::Session;
use crate::store::{SqlStore, signed, unsigned};
use crate::streams::{self, Stream};
use crate::{idempotency, json, text};

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        pub topic: String,
        #[sea_orm(column_type = "Text")]
        pub payload: String,
        pub created_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Entries in one insert: far below SQLite's 32,766 bound values.
const PER_INSERT: usize = 500;

/// Appends entries.
pub(crate) async fn append(session: &mut impl Session, entries: &[&NewOutboxEntry]) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut seq = streams::take(session, Stream::Outbox, entries.len()).await?;
    for some in entries.chunks(PER_INSERT) {
        let mut rows = Vec::with_capacity(some.len());
        for entry in some {
            rows.push(table::Model {
                seq,
                topic: entry.topic.clone(),
                payload: json::to_text("outbox payload", &entry.payload)?,
                created_at: entry.created_at,
            });
            seq += 1;
        }
        let insert = text::insert::<table::Entity>(session.backend(), &rows);
        session.execute("append to the outbox", insert).await?;
    }
    Ok(())
}

fn from_row(row: table::Model) -> fusion_persistence::Result<OutboxEntry> {
    Ok(OutboxEntry {
        seq: unsigned(row.seq, "outbox seq")?,
        entry: NewOutboxEntry {
            topic: row.topic,
            payload: json::from_text("outbox payload", &row.payload)?,
            created_at: row.created_at,
        },
    })
}

#[async_trait]
impl OutboxReader for SqlStore {
    async fn outbox_after(
        &self,
        after: u64,
        limit: u32,
    ) -> fusion_persistence::Result<Vec<OutboxEntry>> {
        let query = table::Entity::find()
            .filter(table::Column::Seq.gt(signed(after)))
            .order_by_asc(table::Column::Seq)
            .limit(u64::from(limit));
        let rows = self.reader().list("read the outbox", query).await?;
        rows.into_iter().map(from_row).collect()
    }

    async fn remembered(
        &self,
        scope: &str,
        key: &str,
    ) -> fusion_persistence::Result<Option<Remembered>> {
        idempotency::find(self.reader(), scope, key).await
    }
}
