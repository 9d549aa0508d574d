//! Runs as files, to be handed to others and read elsewhere.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use fusion_api_types::RunImported;
use fusion_coordination::{Error as EngineError, Import, Origin, RunFile, RunFileFault};
use fusion_core::RunId;
use fusion_workspaces::{ARTIFACT_LIMIT, Spool, Spooled};
use futures::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::path::Id;
use crate::download;
use crate::idempotency::{Asked, made, replayed};
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::run_views::imported;
use crate::state::App;

/// What a run file is sent as.
const OCTETS: &str = "application/octet-stream";

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(export)).routes(routes!(import))
}

/// A run that has ended, with all runs below it, as one file (a tar within zstd): what was done and said,
/// and the kept files that results name. No credential is in it. Of an imported run it is the file that it
/// came with.
#[utoipa::path(get, path = "/runs/{id}/export", tag = "runs",
    params(("id" = String, Path, description = "UUID of the run, which is no step of another one.")),
    responses(
        (status = 200, description = "The file; an answer that is cut off is not whole.",
            body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 409, description = "It has not ended, or is a step of another run.",
            body = fusion_api_types::api::ProblemBody, content_type = "application/problem+json"),
    ))]
async fn export(State(app): State<App>, Id(run): Id<RunId>, query: Query) -> Result<Response> {
    query.none()?;
    let place = download::place(&app)?;
    let origin = Origin {
        machine: app.options.machine.clone(),
        program: app.options.version.clone(),
    };
    let kept = app.coordinator().kept();
    let at = (&origin, app.moment().now);
    let file = RunFile::collect(app.reader(), &kept, run, at, &app.options.data_dir).await?;
    let body = download::body(place, move |to| file.write(to));
    let headers = [
        (CONTENT_TYPE, OCTETS.to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"run-{run}.tar.zst\""),
        ),
    ];
    Ok((headers, body).into_response())
}

/// Reads a file that an export gave, and stores its run and the runs below it, marked as imported. The
/// whole file is checked before anything is stored; the same file again stores nothing.
#[utoipa::path(post, path = "/runs/import", tag = "runs",
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The file, of at most 256 MiB."),
    responses(
        (status = 200, body = RunImported),
        (status = 413, description = "The file is longer than 256 MiB.",
            body = fusion_api_types::api::ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "The body is not said to be `application/octet-stream`.",
            body = fusion_api_types::api::ProblemBody, content_type = "application/problem+json"),
    ))]
async fn import(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    Sent { file, place }: Sent,
) -> Result<Response> {
    query.none()?;
    if let Some(answer) = asked.remembered(&app, file.sha256.as_bytes()).await? {
        return replayed(StatusCode::OK, &answer);
    }
    let coordinator = app.coordinator().clone();
    let now = app.moment().now;
    let work = async move {
        let _place = place;
        let Spooled { file, sha256, .. } = file;
        let ask = |import: &Import| asked.ask(now, sha256.as_bytes(), || imported(import));
        match coordinator.import_run(file, ask).await {
            Ok(import) => made(Ok(()), StatusCode::OK, &imported(&import)),
            Err(error) => made(Err(error), StatusCode::OK, &()),
        }
    };
    app.to_the_end(work).await
}

/// A body that was put on the disk: it may be long.
struct Sent {
    file: Spooled,
    place: OwnedSemaphorePermit,
}

impl FromRequest<App> for Sent {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        check_type(request.headers())?;
        let place = Arc::clone(&app.imports).try_acquire_owned();
        let place = place.map_err(|_| {
            let busy = "another run is being imported";
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "limited", busy);
            refusal.retry_after(Duration::from_secs(1))
        })?;
        let failed = |source| Refusal::from(EngineError::from(RunFileFault::Disk { source }));
        let mut spool = Spool::within(&app.options.data_dir).map_err(failed)?;
        spool = received(request.into_body(), spool).await?;
        let finished = tokio::task::spawn_blocking(move || spool.finish()).await;
        let finished = finished.map_err(|error| Refusal::internal(&error.to_string()))?;
        let file = finished.map_err(failed)?;
        Ok(Self { file, place })
    }
}

/// Writes a body to the disk, a piece at a time.
async fn received(body: Body, mut spool: Spool) -> Result<Spool> {
    let failed = |source| Refusal::from(EngineError::from(RunFileFault::Disk { source }));
    let mut pieces = body.into_data_stream();
    let mut room = ARTIFACT_LIMIT;
    while let Some(piece) = pieces.next().await {
        let cut = |_| Refusal::fault("", "the body ended before it was whole");
        let piece = piece.map_err(cut)?;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        room = room.checked_sub(length).ok_or_else(too_long)?;
        let written = tokio::task::spawn_blocking(move || {
            let written = spool.write_all(&piece);
            (spool, written)
        });
        let (back, written) = written
            .await
            .map_err(|error| Refusal::internal(&error.to_string()))?;
        written.map_err(failed)?;
        spool = back;
    }
    Ok(spool)
}

fn too_long() -> Refusal {
    let text = format!(
        "the file has more than {} MiB, which is the limit",
        ARTIFACT_LIMIT >> 20
    );
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", text)
}

/// A form of a web page can't send this type without being asked.
fn check_type(headers: &HeaderMap) -> Result<()> {
    let given = headers.get(CONTENT_TYPE);
    let given = given.and_then(|given| given.to_str().ok());
    if given.is_some_and(|given| given.trim().eq_ignore_ascii_case(OCTETS)) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("the body must be the file itself: send the header Content-Type: {OCTETS}"),
    ))
}
