//! What the routes of projects, capabilities and providers have in common: rows that people keep.

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fusion_coordination::{Ask, Coordinator, Record};
use fusion_persistence::{Entity, Find, Identifies, Reader, Repository};
use serde::Serialize;

use crate::dry_run::tried;
use crate::idempotency::{Asked, made, replayed};
use crate::input::Input;
use crate::precondition::{check, resource};
use crate::problem::Result;
use crate::query::Query;
use crate::state::App;

/// One row, as `view` shows it.
pub(super) async fn shown<I, V>(
    app: &App,
    id: I,
    (query, headers): (&Query, &HeaderMap),
    view: impl Fn(I::Entity) -> V,
) -> Result<Response>
where
    I: Identifies,
    I::Entity: Record,
    V: Serialize,
    dyn Reader: Find<I::Entity>,
{
    query.none()?;
    let row = app.reader().get(id).await?;
    let (_, version) = row.place();
    resource(headers, version, &view(row))
}

/// A row that is to be changed, as its client has read it.
pub(super) async fn to_change<I>(app: &App, id: I, headers: &HeaderMap) -> Result<I::Entity>
where
    I: Identifies,
    I::Entity: Record,
    dyn Reader: Find<I::Entity>,
{
    let row = app.reader().get(id).await?;
    check(headers, row.place().1)?;
    Ok(row)
}

/// Makes a row, once for a key; `row` is made only where that was not done before.
pub(super) async fn created<T, V>(
    app: &App,
    (asked, input): (&Asked, &Input),
    row: impl FnOnce() -> Result<T> + Send,
    view: impl Fn(T) -> V + Send,
    kept: impl FnOnce(&T) + Send,
) -> Result<Response>
where
    T: Record + Clone,
    V: Serialize + Send + Sync,
{
    if let Some(answer) = asked.remembered(app, &input.bytes).await? {
        return replayed(StatusCode::CREATED, &answer);
    }
    let row = row()?;
    let answer = view(row.clone());
    let ask = asked.ask(app.moment().now, &input.bytes, || &answer);
    let stored = app.coordinator().create_record(row.clone(), ask).await;
    if stored.is_ok() {
        kept(&row);
    }
    made(stored, StatusCode::CREATED, &answer)
}

/// Writes a row that was changed; gives it as it is stored then.
pub(super) async fn changed<T, V>(
    app: &App,
    asked: &Asked,
    row: T,
    view: impl Fn(T) -> V,
) -> Result<Response>
where
    T: Record + Clone,
    V: Serialize,
{
    let (_, version) = row.place();
    app.coordinator()
        .update_record(row.clone(), asked.plain())
        .await?;
    resource(&HeaderMap::new(), version + 1, &view(row))
}

/// Takes a row away; in a dry run says so.
pub(super) async fn removed<T: Record + Entity>(
    app: &App,
    (asked, dry_run): (&Asked, bool),
    row: &T,
) -> Result<Response> {
    if dry_run {
        let trying = |dry: Coordinator| async move { dry.delete_record(row, Ask::default()).await };
        return tried(app, trying).await;
    }
    app.coordinator().delete_record(row, asked.plain()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
