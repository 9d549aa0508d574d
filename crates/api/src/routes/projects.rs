//! Projects.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::api::{self, NewProject, ProjectChanges, ProjectPage, ProjectSpending};
use fusion_coordination::{Ask, Coordinator};
use fusion_core::{Budget, Project, ProjectId};
use fusion_persistence::{ProjectFilter, Repository};

use super::path::Id;
use super::records;
use crate::dry_run::tried;
use crate::idempotency::Asked;
use crate::input::{Fields, Input, MAX_TEXT, parsed};
use crate::page;
use crate::parameters::{Paging, Trying};
use crate::precondition::{json, resource};
use crate::problem::Result;
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::spending::spending;
use crate::state::App;
use crate::views::{self, or_empty};

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(budgets))
        .routes(routes!(archive))
        .routes(routes!(unarchive))
}

/// The projects, the newest first.
#[utoipa::path(get, path = "/projects", tag = "projects", params(
    ("name" = Option<String>, Query, description = "Only the one of this name."),
    ("archived" = Option<bool>, Query, description = "Only those that take nothing new, or only the others."),
    Paging,
), responses((status = 200, body = ProjectPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["name", "archived", "limit", "cursor"]);
    let filter = ProjectFilter {
        name: query.one("name", parsed),
        archived: query.one("archived", parsed),
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// Makes a project.
#[utoipa::path(post, path = "/projects", tag = "projects", request_body = NewProject,
    responses((status = 201, body = api::Project)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&[
        "name",
        "description",
        "message_queue_config",
        "default_provider_id",
        "budget_usd",
        "budget_tokens",
        "budget_per_day_usd",
        "budget_per_day_tokens",
        "metadata",
    ]);
    let moment = app.moment();
    let row = Project {
        id: ProjectId::from_uuid(moment.ids.uuid()),
        name: fields.needed_name("name"),
        description: fields
            .text("description", MAX_TEXT)
            .unwrap_or_default()
            .to_owned(),
        message_queue_config: or_empty(fields.object("message_queue_config")),
        default_provider_id: fields.read("default_provider_id", parsed),
        budget: Budget {
            usd: fields.read("budget_usd", parsed),
            tokens: fields.number("budget_tokens"),
        },
        budget_per_day: Budget {
            usd: fields.read("budget_per_day_usd", parsed),
            tokens: fields.number("budget_per_day_tokens"),
        },
        archived_at: None,
        created_at: moment.now,
        updated_at: moment.now,
        metadata: or_empty(fields.object("metadata")),
        version: 1,
    };
    fields.finish()?;
    let asked = (&asked, &input);
    records::created(&app, asked, || Ok(row), views::project, |_| {}).await
}

/// One project.
#[utoipa::path(get, path = "/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "UUID of the project.")),
    responses((status = 200, body = api::Project)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    records::shown(&app, id, (&query, &headers), views::project).await
}

/// What was spent of the budgets of a project: in all, today, and by all runs of each workflow that has a
/// budget for them.
#[utoipa::path(get, path = "/projects/{id}/budgets", tag = "projects",
    params(("id" = String, Path, description = "UUID of the project.")),
    responses((status = 200, body = ProjectSpending)))]
async fn budgets(State(app): State<App>, Id(id): Id<ProjectId>, query: Query) -> Result<Response> {
    query.none()?;
    let project = app.reader().get(id).await?;
    let spent = spending(app.reader(), &project, app.moment().now).await?;
    json(StatusCode::OK, &spent)
}

/// Changes what is given of a project.
#[utoipa::path(patch, path = "/projects/{id}", tag = "projects", request_body = ProjectChanges,
    params(("id" = String, Path, description = "UUID of the project."), Trying),
    responses((status = 200, body = api::Project)))]
async fn change(
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let mut row: Project = records::to_change(&app, id, &headers).await?;
    let mut fields = input.fields(&[
        "name",
        "description",
        "message_queue_config",
        "default_provider_id",
        "budget_usd",
        "budget_tokens",
        "budget_per_day_usd",
        "budget_per_day_tokens",
        "metadata",
    ]);
    if fields.has("name") {
        row.name = fields.needed_name("name");
    }
    if let Some(text) = fields.text("description", MAX_TEXT) {
        text.clone_into(&mut row.description);
    }
    if let Some(config) = fields.object("message_queue_config") {
        row.message_queue_config = config;
    }
    if fields.has("default_provider_id") {
        row.default_provider_id = fields.read("default_provider_id", parsed);
    }
    limit(
        &mut row.budget,
        ["budget_usd", "budget_tokens"],
        &mut fields,
    );
    let of_day = ["budget_per_day_usd", "budget_per_day_tokens"];
    limit(&mut row.budget_per_day, of_day, &mut fields);
    if let Some(metadata) = fields.object("metadata") {
        row.metadata = metadata;
    }
    fields.finish()?;
    row.updated_at = app.moment().now;
    if dry_run {
        let trying = |dry: Coordinator| async move { dry.update_record(row, Ask::default()).await };
        return tried(&app, trying).await;
    }
    records::changed(&app, &asked, row, views::project).await
}

/// Sets the limits of a budget that are given.
fn limit(budget: &mut Budget, [usd, tokens]: [&'static str; 2], fields: &mut Fields<'_>) {
    if fields.has(usd) {
        budget.usd = fields.read(usd, parsed);
    }
    if fields.has(tokens) {
        budget.tokens = fields.number(tokens);
    }
}

/// Takes a project away that nothing refers to.
#[utoipa::path(delete, path = "/projects/{id}", tag = "projects",
    params(("id" = String, Path, description = "UUID of the project."), Trying),
    responses((status = 204, description = "It is gone.")))]
async fn delete(
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let row: Project = records::to_change(&app, id, &headers).await?;
    records::removed(&app, (&asked, dry_run), &row).await
}

/// Lets a project take nothing new: no agent, task, run, schedule or version of a workflow. Refused while
/// something of it is open. Archiving it again changes nothing.
#[utoipa::path(post, path = "/projects/{id}/archive", tag = "projects",
    params(("id" = String, Path, description = "UUID of the project."), Trying),
    responses((status = 200, body = api::Project)))]
async fn archive(
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    if query.dry_run()? {
        let ask = |_: &Project| Ask::default();
        let trying = |dry: Coordinator| async move { dry.archive_project(id, true, ask).await };
        return tried(&app, trying).await;
    }
    set_archived(&app, id, &asked, true).await
}

/// Lets a project take new work again. One that does stays as it is.
#[utoipa::path(post, path = "/projects/{id}/unarchive", tag = "projects",
    params(("id" = String, Path, description = "UUID of the project.")),
    responses((status = 200, body = api::Project)))]
async fn unarchive(
    State(app): State<App>,
    Id(id): Id<ProjectId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    query.none()?;
    set_archived(&app, id, &asked, false).await
}

async fn set_archived(
    app: &App,
    id: ProjectId,
    asked: &Asked,
    is_archived: bool,
) -> Result<Response> {
    let project = app
        .coordinator()
        .archive_project(id, is_archived, |_| asked.plain())
        .await?;
    let version = project.version;
    resource(&HeaderMap::new(), version, &views::project(project))
}
