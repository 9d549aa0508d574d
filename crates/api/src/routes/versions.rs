//! New versions of workflows, and versions that go away.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::api::{self, NextVersion};
use fusion_coordination::{Error as EngineError, NewDefinition, Version};
use fusion_core::{TokenScope, Workflow, WorkflowId};
use fusion_persistence::{Error as StoreError, Repository};

use super::path::Id;
use super::path::folder;
use super::records;
use super::workflows::{checked, fits};
use crate::idempotency::Asked;
use crate::input::{Input, MAX_BODY};
use crate::parameters::Trying;
use crate::precondition::{check_strictly, resource};
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(put, delete))
}

/// Stores the next version of a workflow. The path names its newest version, and `If-Match` the `ETag`
/// that was read with it: who has read an older one is refused.
#[utoipa::path(put, path = "/workflows/{id}", tag = "workflows", request_body = NextVersion,
    params(("id" = String, Path, description = "UUID of the newest version.")),
    responses(
        (status = 200, description = "The newest version now.", body = api::Workflow),
        (status = 428, description = "`If-Match` is missing."),
    ))]
async fn put(
    State(app): State<App>,
    Id(id): Id<WorkflowId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["source", "base_dir"]);
    if !fields.has("source") {
        fields.add("source", "is required");
    }
    let source = fields
        .text("source", MAX_BODY)
        .unwrap_or_default()
        .to_owned();
    let base_dir = fields.read("base_dir", folder);
    fields.finish()?;
    if base_dir.is_some() && asked.entrant.scope < TokenScope::Admin {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "naming a folder of the server needs the scope 'admin'",
        ));
    }
    let row: Workflow = app.reader().get(id).await?;
    check_strictly(&headers, row.version)?;
    let definition = checked(&source)?;
    if definition.name != row.name {
        let message = format!("must have the name of the workflow, '{}'", row.name);
        return Err(Refusal::fault("/source", message));
    }
    fits(&app, &definition, &source).await?;
    let new = NewDefinition {
        definition,
        source,
        base_dir: base_dir.map_or(row.base_dir, |folder| folder.display().to_string()),
        project_id: row.project_id,
        after: Some(id),
    };
    match app
        .coordinator()
        .store_workflow(new, |_| asked.plain())
        .await
    {
        Ok(Version::New(row) | Version::Same(row)) => {
            let version = row.version;
            resource(&HeaderMap::new(), version, &views::workflow(*row, true))
        }
        Err(EngineError::Store(StoreError::Conflict { .. })) => Err(Refusal::new(
            StatusCode::PRECONDITION_FAILED,
            "changed",
            "there is a newer version: read it first",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Takes a version away that no run refers to.
#[utoipa::path(delete, path = "/workflows/{id}", tag = "workflows",
    params(("id" = String, Path, description = "UUID of the version."), Trying),
    responses((status = 204, description = "It is gone.")))]
async fn delete(
    State(app): State<App>,
    Id(id): Id<WorkflowId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let row: Workflow = records::to_change(&app, id, &headers).await?;
    records::removed(&app, (&asked, dry_run), &row).await
}
