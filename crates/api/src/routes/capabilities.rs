//! The capability registry.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use fusion_api_types::api::{self, CapabilityChanges, CapabilityPage, NewCapability};
use fusion_core::{Capability, CapabilityId};
use fusion_persistence::CapabilityFilter;

use super::path::Id;
use super::records;
use crate::idempotency::Asked;
use crate::input::{Input, MAX_NAME, MAX_TEXT, parsed};
use crate::page;
use crate::parameters::{Paging, Trying};
use crate::problem::Result;
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views::{self, or_empty};

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
}

/// The capabilities, the newest first.
#[utoipa::path(get, path = "/capabilities", tag = "capabilities", params(
    ("name" = Option<String>, Query, description = "Only the one of this name."),
    ("category" = Option<String>, Query, description = "Only those of this category."),
    Paging,
), responses((status = 200, body = CapabilityPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["name", "category", "limit", "cursor"]);
    let filter = CapabilityFilter {
        name: query.one("name", parsed),
        category: query.one("category", parsed),
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// Makes a capability.
#[utoipa::path(post, path = "/capabilities", tag = "capabilities", request_body = NewCapability,
    responses((status = 201, body = api::Capability)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["name", "description", "category", "metadata"]);
    let moment = app.moment();
    let row = Capability {
        id: CapabilityId::from_uuid(moment.ids.uuid()),
        name: fields.needed_name("name"),
        description: fields
            .text("description", MAX_TEXT)
            .unwrap_or_default()
            .to_owned(),
        category: fields
            .text("category", MAX_NAME)
            .unwrap_or_default()
            .to_owned(),
        metadata: or_empty(fields.object("metadata")),
        created_at: moment.now,
        version: 1,
    };
    fields.finish()?;
    let asked = (&asked, &input);
    records::created(&app, asked, || Ok(row), views::capability, |_| {}).await
}

/// One capability.
#[utoipa::path(get, path = "/capabilities/{id}", tag = "capabilities",
    params(("id" = String, Path, description = "UUID of the capability.")),
    responses((status = 200, body = api::Capability)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<CapabilityId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    records::shown(&app, id, (&query, &headers), views::capability).await
}

/// Changes what is given of a capability.
#[utoipa::path(patch, path = "/capabilities/{id}", tag = "capabilities",
    request_body = CapabilityChanges,
    params(("id" = String, Path, description = "UUID of the capability.")),
    responses((status = 200, body = api::Capability)))]
async fn change(
    State(app): State<App>,
    Id(id): Id<CapabilityId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut row: Capability = records::to_change(&app, id, &headers).await?;
    let mut fields = input.fields(&["description", "category", "metadata"]);
    if let Some(text) = fields.text("description", MAX_TEXT) {
        text.clone_into(&mut row.description);
    }
    if let Some(text) = fields.text("category", MAX_NAME) {
        text.clone_into(&mut row.category);
    }
    if let Some(metadata) = fields.object("metadata") {
        row.metadata = metadata;
    }
    fields.finish()?;
    records::changed(&app, &asked, row, views::capability).await
}

/// Takes a capability out of the registry.
#[utoipa::path(delete, path = "/capabilities/{id}", tag = "capabilities",
    params(("id" = String, Path, description = "UUID of the capability."), Trying),
    responses((status = 204, description = "It is gone.")))]
async fn delete(
    State(app): State<App>,
    Id(id): Id<CapabilityId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let row: Capability = records::to_change(&app, id, &headers).await?;
    records::removed(&app, (&asked, dry_run), &row).await
}
