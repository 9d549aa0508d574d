//! Runs as files, to be handed to others and read elsewhere.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use fusion_api_types::RunImported;
use fusion_coordination::{Error as EngineError, Import, Origin, RunFile, RunFileFault};
use fusion_core::RunId;
use fusion_workspaces::{ARTIFACT_LIMIT, Spool, Spooled};
use futures::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::path::Id;
use crate::download;
use crate::idempotency::{Asked, made, replayed};
use crate::input::check_type;
use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::run_views::imported;
use crate::state::App;

/// What a run file is sent as.
const OCTETS: &str = "application/octet-stream";

/// Where a file is sent to.
pub(crate) const IMPORT: &str = "/api/v1/runs/import";

/// How long nothing of a file may come.
const SILENCE: Duration = Duration::from_secs(60);

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
        check_type(request.headers(), OCTETS, "the file itself")?;
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
    while let Some(piece) = timeout(SILENCE, pieces.next())
        .await
        .map_err(|_| silent())?
    {
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

fn silent() -> Refusal {
    let text = format!("nothing more of the body came for {} s", SILENCE.as_secs());
    Refusal::fault("", text)
}

fn too_long() -> Refusal {
    let text = format!(
        "the file has more than {} MiB, which is the limit",
        ARTIFACT_LIMIT >> 20
    );
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", text)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use fusion_workspaces::Spool;
    use futures::{StreamExt as _, stream};

    use super::received;

    /// Each piece has its time, and none holds the only place for ever.
    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_long_while_something_comes() {
        let folder = tempfile::tempdir().unwrap();
        let spool = || Spool::within(folder.path()).unwrap();
        let slowly = stream::iter(0..10).then(|_| async {
            tokio::time::sleep(super::SILENCE / 2).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
        });
        let whole = received(Body::from_stream(slowly), spool()).await.unwrap();
        assert_eq!(whole.finish().unwrap().bytes, 10);
        let never = stream::pending::<Result<Bytes, std::io::Error>>();
        let silent = received(Body::from_stream(never), spool()).await;
        let told = format!("{:?}", silent.err().unwrap());
        assert!(told.contains("nothing more of the body came"), "{told}");
    }
}
