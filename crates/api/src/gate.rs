//! The outermost layer: what holds for every answer, whoever gives it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;

use crate::problem::{Refusal, Result};
use crate::routes::IMPORT;
use crate::state::App;

/// How long a request may take before its answer begins; above the longest `wait`.
const LONGEST: Duration = Duration::from_secs(60);

/// The same for what comes with a file, which may be 256 MiB and has to come here first.
const LONGEST_OF_A_FILE: Duration = Duration::from_hours(1);

/// Requests at work at once.
pub(crate) const MAX_REQUESTS: usize = 512;

/// The longest request id that a client may choose.
const MAX_ID: usize = 128;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Headers of every answer: nothing is kept, framed, sniffed or loaded from elsewhere.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Lets a request in, and sees to it that its answer is whole: a panic, a time that is over and a
/// status without words become problems like all others.
pub(crate) async fn pass(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (request_id, trace_id) = ids(request.headers(), &app);
    let answer = served(&app, request, next).await;
    let mut response = match answer {
        Ok(mut response) => match response.extensions_mut().remove::<Refusal>() {
            Some(refusal) => refusal.into_response_for(&path, &trace_id),
            None => spoken(response, &path, &trace_id),
        },
        Err(refusal) => refusal.into_response_for(&path, &trace_id),
    };
    app.answers.count(response.status());
    if response.status().is_server_error() {
        tracing::warn!(status = %response.status(), path, trace_id, "a request was not served");
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    headers.insert(&REQUEST_ID, request_id);
    if let Ok(trace_id) = HeaderValue::from_str(&trace_id) {
        headers.insert(&TRACE_ID, trace_id);
    }
    response
}

/// The answer of the handlers, if they give one in time.
async fn served(app: &App, request: Request, next: Next) -> Result<Response> {
    app.options
        .settings
        .borrow()
        .names
        .check(request.headers(), &app.options.origins)?;
    let Ok(_place) = app.room.try_acquire() else {
        let text = "too many requests are at work";
        let busy = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text);
        return Err(busy.retry_after(Duration::from_secs(1)));
    };
    let longest = longest(request.method(), request.uri().path());
    let changes = !request.method().is_safe();
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(longest, work).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(_)) => Err(Refusal::internal("a handler panicked")),
        Err(_) => Err(too_slow(longest, changes)),
    }
}

fn longest(method: &Method, path: &str) -> Duration {
    if method == Method::POST && path == IMPORT {
        LONGEST_OF_A_FILE
    } else {
        LONGEST
    }
}

/// What was begun may go on to its end.
fn too_slow(longest: Duration, changes: bool) -> Refusal {
    let detail = format!("the answer took more than {} s", longest.as_secs());
    let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail);
    let refusal = refusal.retry_after(Duration::from_secs(1));
    match changes {
        true => refusal.with_hint("it may still be done: look before you ask again"),
        false => refusal,
    }
}

/// Gives words to what the router answers by itself: a path or a method that is not there.
fn spoken(response: Response, path: &str, trace_id: &str) -> Response {
    let status = response.status();
    let refusal = match status {
        StatusCode::NOT_FOUND if !has_body(&response) => {
            Refusal::not_found("path", path.chars().take(200).collect::<String>())
        }
        StatusCode::METHOD_NOT_ALLOWED => Refusal::new(
            status,
            "method_not_allowed",
            "this path does not know the method; the header Allow lists those that it knows",
        ),
        _ => return response,
    };
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut told = refusal.into_response_for(path, trace_id);
    if let Some(allow) = allow {
        told.headers_mut().insert(header::ALLOW, allow);
    }
    told
}

fn has_body(response: &Response) -> bool {
    response.headers().contains_key(header::CONTENT_TYPE)
}

/// The id of a request, its client's where that is a plain word, and the id of its trace (W3C Trace
/// Context, <https://www.w3.org/TR/trace-context/>), its client's where that is one.
fn ids(headers: &HeaderMap, app: &App) -> (HeaderValue, String) {
    let own = app.parts.ids.uuid();
    let chosen = headers.get(&REQUEST_ID).filter(|id| {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let bytes = id.as_bytes();
        !bytes.is_empty() && bytes.len() <= MAX_ID && bytes.iter().all(is_plain)
    });
    let request_id = chosen
        .cloned()
        .or_else(|| HeaderValue::from_str(&own.to_string()).ok());
    let trace = headers
        .get("traceparent")
        .and_then(|parent| parent.to_str().ok());
    let trace_id = trace
        .and_then(trace_of)
        .unwrap_or_else(|| own.simple().to_string());
    (
        request_id.unwrap_or_else(|| HeaderValue::from_static("-")),
        trace_id,
    )
}

/// The trace of `00-TRACE-SPAN-FLAGS`.
fn trace_of(parent: &str) -> Option<String> {
    let mut parts = parent.split('-');
    let (version, trace) = (parts.next()?, parts.next()?);
    let is_hex = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_trace = version.len() == 2 && trace.len() == 32 && is_hex(trace);
    (is_trace && trace.bytes().any(|byte| byte != b'0')).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::{LONGEST, LONGEST_OF_A_FILE, longest, too_slow};
    use crate::routes::IMPORT;

    #[test]
    fn what_comes_with_a_file_has_a_time_of_its_own() {
        let times = [
            longest(&Method::POST, IMPORT),
            longest(&Method::GET, IMPORT),
            longest(&Method::POST, "/api/v1/runs"),
        ];
        assert_eq!(times, [LONGEST_OF_A_FILE, LONGEST, LONGEST]);
    }

    #[test]
    fn who_waited_in_vain_for_a_change_is_told_that_it_may_be_done() {
        let told = |changes| format!("{:?}", too_slow(LONGEST, changes));
        let may = "it may still be done";
        assert_eq!(
            [true, false].map(|changes| told(changes).contains(may)),
            [true, false]
        );
    }
}
