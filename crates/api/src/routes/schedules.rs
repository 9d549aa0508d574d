//! Schedules: workflows that are started by the clock.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fusion_api_types::api::{self, NewSchedule as Wanted, ScheduleChanges, SchedulePage};
use fusion_coordination::{MAX_SCHEDULES, NewSchedule, RecurrenceFault, expect_own, held};
use fusion_core::{Overlap, Schedule, ScheduleId, Workflow};
use fusion_persistence::{Repository, ScheduleFilter};

use super::path::Id;
use super::records;
use super::workflows::input_fault;
use crate::idempotency::{Asked, replayed};
use crate::input::{Fields, Input, parsed};
use crate::page;
use crate::parameters::{Paging, Trying};
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::views;

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
}

/// The schedules, the newest first.
#[utoipa::path(get, path = "/schedules", tag = "schedules", params(
    ("name" = Option<String>, Query, description = "Only the one of this name."),
    ("workflow" = Option<String>, Query, description = "Only those that start the workflow of this name."),
    ("paused" = Option<bool>, Query, description = "Only those that a person holds, or only the others."),
    Paging,
), responses((status = 200, body = SchedulePage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["name", "workflow", "paused", "limit", "cursor"]);
    let filter = ScheduleFilter {
        name: query.one("name", parsed),
        workflow: query.one("workflow", parsed),
        paused: query.one("paused", parsed),
        project: None,
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// Makes a schedule. The newest version of its workflow is started at each occurrence; what each run is
/// given is checked now and at each start.
#[utoipa::path(post, path = "/schedules", tag = "schedules", request_body = Wanted,
    responses((status = 201, body = api::Schedule)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&["name", "workflow", "inputs", "cron", "timezone", "overlap"]);
    let row = read(&app, &mut fields);
    fields.finish()?;
    if let Some(answer) = asked.remembered(&app, &input.bytes).await? {
        return replayed(StatusCode::CREATED, &answer);
    }
    let row = row.ok_or_else(|| Refusal::internal("a schedule was neither read nor refused"))?;
    check(&app, &row).await?;
    let asked = (&asked, &input);
    let made = records::created(&app, asked, || Ok(row), views::schedule, |_| {}).await;
    app.coordinator().hint_schedules();
    made
}

/// The row that is asked for; `None` where the fields say what is wrong.
fn read(app: &App, fields: &mut Fields<'_>) -> Option<Schedule> {
    let moment = app.moment();
    let own = |text: &str| Ok(text.to_owned());
    let overlap = |text: &str| {
        Overlap::from_text(text).ok_or_else(|| "must be one of: skip, queue".to_owned())
    };
    let inputs = fields.object("inputs");
    let inputs = inputs.and_then(|inputs| inputs.as_object().cloned());
    let timezone: Option<String> = fields.read("timezone", own);
    let new = NewSchedule {
        name: fields.needed_name("name"),
        workflow: fields.needed_name("workflow"),
        inputs: inputs.unwrap_or_default(),
        overlap: fields.read("overlap", overlap).unwrap_or(Overlap::Skip),
        timezone: timezone.unwrap_or_else(|| "UTC".to_owned()),
        cron: fields.needed("cron", own)?,
    };
    let id = ScheduleId::from_uuid(moment.ids.uuid());
    let faults = match new.row(id, moment.now) {
        Ok(row) => return Some(row),
        Err(faults) => faults,
    };
    for fault in faults {
        let field = match &fault {
            RecurrenceFault::Cron { .. } | RecurrenceFault::Never { .. } => "cron",
            RecurrenceFault::Zone(_) => "timezone",
        };
        fields.add(field, fault.to_string());
    }
    None
}

/// Whether its workflow is there and takes what it is to be given, and one more may be made.
async fn check(app: &App, row: &Schedule) -> Result<()> {
    let found: Option<Workflow> = app.reader().latest_workflow(&row.workflow).await?;
    let Some(workflow) = found else {
        return Err(Refusal::fault("/workflow", "there is no such workflow"));
    };
    expect_own(&workflow.name)?;
    if let Err(faults) = workflow.definition.resolve_inputs(&row.inputs) {
        return Err(Refusal::invalid(faults.iter().map(input_fault).collect()));
    }
    let count = app.reader().count(&ScheduleFilter::default()).await?;
    if count >= u64::from(MAX_SCHEDULES) {
        let message = format!("there are {MAX_SCHEDULES} schedules already, and no more may be");
        return Err(Refusal::fault("", message));
    }
    Ok(())
}

/// One schedule.
#[utoipa::path(get, path = "/schedules/{id}", tag = "schedules",
    params(("id" = String, Path, description = "UUID of the schedule.")),
    responses((status = 200, body = api::Schedule)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<ScheduleId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    records::shown(&app, id, (&query, &headers), views::schedule).await
}

/// Pauses a schedule, or lets it go on with the next occurrence.
#[utoipa::path(patch, path = "/schedules/{id}", tag = "schedules", request_body = ScheduleChanges,
    params(("id" = String, Path, description = "UUID of the schedule.")),
    responses((status = 200, body = api::Schedule)))]
async fn change(
    State(app): State<App>,
    Id(id): Id<ScheduleId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    query.none()?;
    let row: Schedule = records::to_change(&app, id, &headers).await?;
    let mut fields = input.fields(&["paused"]);
    let wanted = fields.flag("paused");
    if wanted.is_none() {
        fields.add("paused", "is required");
    }
    fields.finish()?;
    let row = held(row, wanted.unwrap_or_default(), app.moment().now);
    let changed = records::changed(&app, &asked, row, views::schedule).await;
    app.coordinator().hint_schedules();
    changed
}

/// Takes a schedule away; its runs stay.
#[utoipa::path(delete, path = "/schedules/{id}", tag = "schedules",
    params(("id" = String, Path, description = "UUID of the schedule."), Trying),
    responses((status = 204, description = "It is gone.")))]
async fn delete(
    State(app): State<App>,
    Id(id): Id<ScheduleId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let row: Schedule = records::to_change(&app, id, &headers).await?;
    records::removed(&app, (&asked, dry_run), &row).await
}
