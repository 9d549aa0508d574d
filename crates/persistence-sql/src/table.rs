//! How entities are kept in tables: the same few statements for all of them.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use fusion_persistence::{Entity, Error, Find, Page, Result, Seen};
use sea_orm::StatementBuilder;
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::SelectStatement;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityName, EntityTrait, IdenStatic,
    IntoActiveModel, Iterable, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Statement, Value,
};

use crate::failure::{self, Failure};
use crate::session::{Readable, Session};
use crate::sqlite::Decoded;
use crate::store::{SqlStore, signed};
use crate::tasks::is_fence_off;
use crate::text::{self, Text};

/// Rows of a page at most.
const PAGE_LIMIT: u32 = 10_000;

/// An entity and its table.
pub(crate) trait Stored: Entity<Id: Into<Uuid>> {
    /// The table.
    type Table: Readable<
        Model: IntoActiveModel<<Self::Table as EntityTrait>::ActiveModel> + PartialEq + Sync,
    >;

    /// The column of the id.
    const ID: <Self::Table as EntityTrait>::Column;

    /// The columns that an update leaves as they are: what never changes, and what is counted by
    /// relative changes.
    const KEPT: &'static [<Self::Table as EntityTrait>::Column];

    /// As it is stored; a new row has version 1.
    fn to_row(&self) -> Result<<Self::Table as EntityTrait>::Model>;

    /// As it was stored.
    fn from_row(row: <Self::Table as EntityTrait>::Model) -> Result<Self>;

    /// What a filter means.
    fn condition(filter: &Self::Filter) -> Condition;

    /// Whether what a filter selects is few rows, found by a key.
    fn is_selected_by_key(_filter: &Self::Filter) -> bool {
        false
    }

    /// Its id.
    fn key(&self) -> Uuid;

    /// What it is called in an error: its name when that is unique, else its id.
    fn label(&self) -> String {
        self.key().to_string()
    }

    /// Rows of other tables that are written with a new row.
    fn attached(&self, _backend: DbBackend) -> Vec<Statement> {
        Vec::new()
    }
}

/// A column of a table.
pub(crate) type Col<T> = <<T as Stored>::Table as EntityTrait>::Column;

/// An entity whose rows are updated.
pub(crate) trait Versioned: Stored {
    /// The column of the row version.
    const VERSION: Col<Self>;

    /// The version that the value was read at.
    fn version(&self) -> u64;

    /// The column of the state, the state, and the states that it may have come from.
    fn state(&self) -> Option<(Col<Self>, &'static str, Vec<&'static str>)> {
        None
    }

    /// Selects of rows that must be there for this one to be written.
    fn requires(&self) -> Vec<SelectStatement> {
        Vec::new()
    }

    /// Selects of rows that refer to a row, so that it can't be deleted.
    fn users(_id: Uuid) -> Vec<SelectStatement> {
        Vec::new()
    }
}

/// PostgreSQL and SQLite have no zero character in texts: it is shown as the replacement character.
pub(crate) fn clean(mut statement: Statement) -> Statement {
    for value in statement.values.iter_mut().flat_map(|values| &mut values.0) {
        clean_value(value);
    }
    statement
}

pub(crate) fn clean_value(value: &mut Value) {
    if let Value::String(Some(text)) = value
        && let Cow::Owned(clean) = cleaned(text)
    {
        *text = clean;
    }
}

/// A text as [`clean`] stores it.
pub(crate) fn cleaned(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// A text to look for, as [`clean`] stores it.
pub(crate) fn stored_as(text: &str) -> Value {
    cleaned(text).into_owned().into()
}

async fn must_be_there<T: Versioned>(
    session: &mut impl Session,
    entity: &T,
) -> failure::Result<()> {
    for mut select in entity.requires() {
        // Held until the commit, so that nobody deletes it meanwhile. SQLite has one writer anyway.
        select.lock_shared();
        let statement = build(session.backend(), &select);
        if session.number("look up a row", statement).await?.is_none() {
            return Err(missing::<T>(entity.label()).into());
        }
    }
    Ok(())
}

/// What a broken rule of the schema means for a row that is written.
pub(crate) fn refused<T: Stored>(failure: Failure, entity: &T) -> Failure {
    failure
        .unique_as(|| Error::Exists {
            entity: T::NAME,
            name: entity.label(),
        })
        .reference_as(|| missing::<T>(entity.label()))
}

fn missing<T: Entity>(id: String) -> Error {
    Error::Missing {
        entity: T::NAME,
        id,
    }
}

fn build(backend: DbBackend, select: &SelectStatement) -> Statement {
    StatementBuilder::build(select, &backend)
}

/// Writes a new row, and what is attached to it.
pub(crate) async fn create<T: Stored>(
    session: &mut impl Session,
    entity: &T,
) -> failure::Result<()> {
    const ACTION: &str = "store a row";
    let backend = session.backend();
    let mut statements = vec![text::insert::<T::Table>(backend, [&entity.to_row()?])];
    statements.extend(entity.attached(backend));
    for statement in statements {
        session
            .execute(ACTION, statement)
            .await
            .map_err(|failure| refused(failure, entity))?;
    }
    Ok(())
}

/// Writes a new row of an entity that refers to others without a key of the schema.
pub(crate) async fn create_checked<T: Versioned>(
    session: &mut impl Session,
    entity: &T,
) -> failure::Result<()> {
    must_be_there(session, entity).await?;
    create(session, entity).await
}

/// Writes a row that is at the version it was read at, and in a state with a move to the new one.
pub(crate) async fn update<T: Versioned>(
    session: &mut impl Session,
    entity: &T,
) -> failure::Result<()> {
    update_if(session, entity, &[], |text| text).await
}

/// The same, for a row that meets another condition too, and without some more columns: SQLite writes
/// every index anew that has a column of the update, also where its value is the same.
pub(crate) async fn update_if<T: Versioned>(
    session: &mut impl Session,
    entity: &T,
    same: &[Col<T>],
    also: impl FnOnce(Text) -> Text,
) -> failure::Result<()> {
    must_be_there(session, entity).await?;
    let row = entity.to_row()?;
    let read_at = signed(entity.version());
    let kept = T::KEPT.iter().chain(same).copied();
    let kept: Vec<Col<T>> = kept.chain([T::ID, T::VERSION]).collect();
    let mut text = text::update::<T::Table>(&row, &kept)
        .words(", ")
        .column(&T::VERSION)
        .words(" = ")
        .value(read_at + 1)
        .words(" WHERE ")
        .column(&T::ID)
        .words(" = ")
        .value(entity.key());
    let state = entity.state();
    if !is_fence_off() {
        text = text.words(" AND ").column(&T::VERSION).words(" = ");
        text = also(text.value(read_at));
        if let Some((column, _, before)) = &state {
            let before = before.iter().map(|state| Value::from(*state));
            text = text.words(" AND ").column(column).words(" IN (");
            text = text.values(before).words(")");
        }
    }
    let statement = text.statement(session.backend());
    let written = session
        .execute("update a row", statement)
        .await
        .map_err(|failure| refused(failure, entity))?;
    if written == 1 {
        return Ok(());
    }
    let untouched = is_at_version::<T>(session, entity.key(), read_at).await?;
    Err(match state {
        Some((_, to, _)) if untouched => Error::Refused {
            entity: T::NAME,
            id: entity.key().to_string(),
            to,
        },
        _ => conflict::<T>(entity.key()),
    }
    .into())
}

/// Deletes a row that is at the version it was read at and that no other refers to.
pub(crate) async fn delete<T: Versioned>(
    session: &mut impl Session,
    id: Uuid,
    version: u64,
) -> failure::Result<()> {
    let in_use = || Error::InUse {
        entity: T::NAME,
        id: id.to_string(),
    };
    let backend = session.backend();
    let query = T::Table::delete_many()
        .filter(T::ID.eq(id))
        .filter(T::VERSION.eq(signed(version)));
    let deleted = session
        .execute("delete a row", query.build(backend))
        .await
        .map_err(|failure| failure.reference_as(in_use))?;
    if deleted == 0 {
        return Err(conflict::<T>(id).into());
    }
    // Looked at after the delete: who adds a reference meanwhile waits for the row and misses it.
    for select in T::users(id) {
        let statement = build(backend, &select);
        if session
            .number("look for users of a row", statement)
            .await?
            .is_some()
        {
            return Err(in_use().into());
        }
    }
    Ok(())
}

async fn is_at_version<T: Versioned>(
    session: &mut impl Session,
    id: Uuid,
    version: i64,
) -> failure::Result<bool> {
    let look = T::Table::find()
        .select_only()
        .column(T::VERSION)
        .filter(T::ID.eq(id))
        .build(session.backend());
    let found = session.number("read a row's version", look).await?;
    Ok(found == Some(version))
}

fn conflict<T: Entity>(id: Uuid) -> Error {
    Error::Conflict {
        entity: T::NAME,
        id: id.to_string(),
    }
}

/// The row with an id, in plain SQL: building it by the builder takes about as long as reading the row.
fn by_id<T: Stored>() -> String {
    let columns = <T::Table as EntityTrait>::Model::LIST;
    let (table, id) = (T::Table::default(), T::ID);
    let (table, id) = (table.table_name(), id.as_str());
    format!("SELECT {columns} FROM \"{table}\" WHERE \"{id}\" = $1")
}

/// The rows of a page.
async fn listed<T: Stored>(
    store: &SqlStore,
    filter: &T::Filter,
    page: Page<T::Id>,
) -> Result<Vec<<T::Table as EntityTrait>::Model>> {
    let mut query = T::Table::find().filter(T::condition(filter));
    if let Some(after) = page.after {
        let after: Uuid = after.into();
        query = query.filter(T::ID.lt(after));
    }
    let query = query
        .order_by_desc(T::ID)
        .limit(u64::from(page.limit.min(PAGE_LIMIT)));
    if T::is_selected_by_key(filter) {
        store.reader().rows::<T::Table>("list rows", query).await
    } else {
        store.reader().list::<T::Table>("list rows", query).await
    }
}

#[async_trait]
impl<T: Stored> Find<T> for SqlStore
where
    <T::Table as EntityTrait>::Model: sea_orm::FromQueryResult + Send + Sync,
{
    async fn find(&self, id: T::Id) -> Result<Option<T>> {
        let id: Uuid = id.into();
        let backend = self.reader().get_database_backend();
        let statement = Statement::from_sql_and_values(backend, by_id::<T>(), [id.into()]);
        let rows = self.reader().rows_by::<T::Table>("read a row", statement);
        rows.await?.into_iter().next().map(T::from_row).transpose()
    }

    async fn page(&self, filter: &T::Filter, page: Page<T::Id>) -> Result<Vec<T>> {
        let rows = listed::<T>(self, filter, page).await?;
        rows.into_iter().map(T::from_row).collect()
    }

    async fn page_seen(&self, filter: &T::Filter, page: Page<T::Id>) -> Result<Vec<Arc<Seen<T>>>> {
        self.recent()
            .seen::<T>(listed::<T>(self, filter, page).await?)
    }

    async fn count_rows(&self, filter: &T::Filter) -> Result<u64> {
        let query = T::Table::find().filter(T::condition(filter));
        self.reader().count("count rows", query, T::ID).await
    }
}

/// Adds `column IN (values)` when there are any.
pub(crate) fn any_of<C: ColumnTrait>(
    condition: Condition,
    column: C,
    texts: impl IntoIterator<Item = &'static str>,
) -> Condition {
    let mut texts = texts.into_iter().peekable();
    if texts.peek().is_none() {
        return condition;
    }
    condition.add(column.is_in(texts))
}

/// Adds `column = value` when there is one.
pub(crate) fn exactly<C: ColumnTrait, V: Into<Value>>(
    condition: Condition,
    column: C,
    value: Option<V>,
) -> Condition {
    condition.add_option(value.map(|value| {
        let mut value = value.into();
        clean_value(&mut value);
        column.eq(value)
    }))
}

/// Every column of a table, for statements in plain SQL.
pub(crate) fn columns<E: EntityTrait<Column: Iterable>>() -> Vec<String> {
    E::Column::iter()
        .map(|column| column.as_str().to_owned())
        .collect()
}
