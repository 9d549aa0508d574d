//! `ETag`, `If-Match` and `If-None-Match`: a client writes what it has read, or not at all.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::{Refusal, Result};

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response> {
    Ok(json_text(status, text_of(body)?))
}

/// What is answered, as JSON.
pub(crate) fn text_of(body: &impl Serialize) -> Result<String> {
    serde_json::to_string(body)
        .map_err(|error| Refusal::internal(&format!("an answer is no JSON: {error}")))
}

/// An answer that is JSON already.
pub(crate) fn json_text(status: StatusCode, text: impl IntoResponse) -> Response {
    let content = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    (status, [content], text).into_response()
}

/// One resource with its version.
pub(crate) fn resource(
    headers: &HeaderMap,
    version: u64,
    body: &impl Serialize,
) -> Result<Response> {
    Ok(resource_text(headers, version, text_of(body)?))
}

/// The same for one that is JSON already.
pub(crate) fn resource_text(
    headers: &HeaderMap,
    version: u64,
    text: impl IntoResponse,
) -> Response {
    let tag = tag(version);
    let mut response = if names(headers, &header::IF_NONE_MATCH, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json_text(StatusCode::OK, text)
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Refuses a change of a resource that is not the one that the client has read.
pub(crate) fn check(headers: &HeaderMap, version: u64) -> Result<()> {
    if !headers.contains_key(header::IF_MATCH) || names(headers, &header::IF_MATCH, &tag(version)) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::PRECONDITION_FAILED,
        "changed",
        "the resource has changed since it was read: read it again",
    ))
}

/// The same for a resource that is changed only by who has read it: without `If-Match` it is refused.
pub(crate) fn check_strictly(headers: &HeaderMap, version: u64) -> Result<()> {
    if headers.contains_key(header::IF_MATCH) {
        return check(headers, version);
    }
    Err(Refusal::new(
        StatusCode::PRECONDITION_REQUIRED,
        "precondition_required",
        "send If-Match with the ETag of what was read",
    ))
}

fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

fn names(headers: &HeaderMap, name: &HeaderName, tag: &str) -> bool {
    let lists = headers.get_all(name).iter();
    let mut tags = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"));
    tags.any(|named| named == "*" || named == tag)
}
