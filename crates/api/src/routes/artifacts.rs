//! The kept files of steps.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream;
use tokio::io::AsyncReadExt;

use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1_024;

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(get))
}

/// A file that a step made, by the SHA-256 of its content.
#[utoipa::path(get, path = "/artifacts/{sha256}", tag = "artifacts",
    params(("sha256" = String, Path, description = "SHA-256 of the content, 64 hexadecimal digits.")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream")))]
async fn get(State(app): State<App>, Path(sha256): Path<String>, query: Query) -> Result<Response> {
    query.none()?;
    let found = app.coordinator().artifact(sha256.clone()).await?;
    let Some(file) = found else {
        let shown: String = sha256.chars().take(64).collect();
        return Err(Refusal::not_found("artifact", shown));
    };
    let length = file
        .metadata()
        .map_err(|error| Refusal::internal(&error.to_string()))?
        .len();
    // What has this name never changes.
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (
            CACHE_CONTROL,
            "private, immutable, max-age=31536000".to_owned(),
        ),
    ];
    let file = tokio::fs::File::from_std(file);
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE];
        let count = file.read(&mut piece).await?;
        piece.truncate(count);
        Ok::<_, std::io::Error>((count > 0).then_some((piece, file)))
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}
