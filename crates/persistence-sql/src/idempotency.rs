//! Idempotency keys: the answers of requests that may be sent again.

use fusion_persistence::{Error, Idempotency, Remembered};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryTrait};

use crate::error::{corrupt, trying};
use crate::failure::Result;
use crate::json;
use crate::readers::Readers;
use crate::session::Session;
use crate::table::{clean, stored_as};

pub(crate) mod table {
    #![expect(unreachable_pub, reason = "the shape is sea-orm's")]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub scope: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        pub request_hash: String,
        #[sea_orm(column_type = "Text")]
        pub answer: String,
        pub created_at: DateTimeUtc,
        pub expires_at: DateTimeUtc,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn of(scope: &str, key: &str) -> Condition {
    Condition::all()
        .add(table::Column::Scope.eq(stored_as(scope)))
        .add(table::Column::Key.eq(stored_as(key)))
}

/// Keeps a key and its answer; refuses the batch when the key is known.
pub(crate) async fn remember(session: &mut impl Session, asked: &Idempotency) -> Result<()> {
    const ACTION: &str = "remember a request";
    let backend = session.backend();
    let row = table::ActiveModel {
        scope: Set(asked.scope.clone()),
        key: Set(asked.key.clone()),
        request_hash: Set(asked.request_hash.clone()),
        answer: Set(json::to_text("remembered answer", &asked.answer)?),
        created_at: Set(asked.created_at),
        expires_at: Set(asked.expires_at),
    };
    let forget = table::Entity::delete_many()
        .filter(of(&asked.scope, &asked.key))
        .filter(table::Column::ExpiresAt.lte(asked.created_at));
    session
        .execute(ACTION, clean(forget.build(backend)))
        .await?;
    let known = [table::Column::Scope, table::Column::Key];
    let insert = table::Entity::insert(row)
        .on_conflict(OnConflict::columns(known).do_nothing().to_owned())
        .build(backend);
    if session.execute(ACTION, clean(insert)).await? == 1 {
        return Ok(());
    }
    let look = table::Entity::find().filter(of(&asked.scope, &asked.key));
    let rows = session
        .rows::<table::Entity>(ACTION, clean(look.build(backend)))
        .await?;
    let found = rows
        .into_iter()
        .next()
        .ok_or_else(|| corrupt("idempotency key"))?;
    if found.request_hash != asked.request_hash {
        return Err(Error::KeyReused {
            key: asked.key.clone(),
        }
        .into());
    }
    Err(Error::Repeated(Box::new(from_row(found)?)).into())
}

fn from_row(row: table::Model) -> fusion_persistence::Result<Remembered> {
    Ok(Remembered {
        answer: json::from_text("remembered answer", &row.answer)?,
        request_hash: row.request_hash,
    })
}

pub(crate) async fn find(
    readers: &Readers,
    scope: &str,
    key: &str,
) -> fusion_persistence::Result<Option<Remembered>> {
    table::Entity::find()
        .filter(of(scope, key))
        .one(readers)
        .await
        .map_err(trying("look up a request"))?
        .map(from_row)
        .transpose()
}
