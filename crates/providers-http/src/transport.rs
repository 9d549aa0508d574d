//! Below the wire format: what can happen to bytes on their way.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;
use std::time::Duration;

use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use fusion_providers::{Error, Result};

use crate::address::NotPublic;
use crate::origin::Origin;

/// Far above any real answer.
pub(crate) const MAX_BODY: usize = 8 * 1024 * 1024;

/// Enough for the message of any error.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// How long the body of an error is waited for.
const ERROR_BODY: Duration = Duration::from_secs(5);

/// No answer began.
pub(crate) fn no_answer(origin: &Origin, error: reqwest::Error, limit: Duration) -> Error {
    // The URL may hold a key in its query.
    let error = error.without_url();
    if let Some(refused) = causes(&error).find_map(|cause| cause.downcast_ref::<NotPublic>()) {
        return origin.setup(refused.to_string());
    }
    if is_tls(&error) {
        return Error::Setup {
            provider: origin.provider.clone(),
            problem: format!("no secure connection to {} can be made", origin.endpoint),
            source: Some(error.into()),
        };
    }
    if error.is_timeout() && !error.is_connect() {
        return origin.timeout(limit);
    }
    Error::Unreachable {
        provider: origin.provider.clone(),
        endpoint: origin.endpoint.clone(),
        source: error.into(),
    }
}

/// The body of a good answer, all of it.
pub(crate) async fn body(
    origin: &Origin,
    mut response: Response,
    limit: Duration,
) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > MAX_BODY => {
                return Err(Error::TooLarge {
                    provider: origin.provider.clone(),
                    limit: MAX_BODY,
                    generation_id: None,
                });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => return Err(broken(origin, error, body.len(), limit)),
        }
    }
}

/// An answer that had begun broke off.
pub(crate) fn broken(
    origin: &Origin,
    error: reqwest::Error,
    received: usize,
    limit: Duration,
) -> Error {
    if error.is_timeout() {
        return origin.timeout(limit);
    }
    tracing::debug!(provider = origin.provider, error = %error.without_url(), "an answer broke off");
    origin.truncated(format!("the connection broke after {received} bytes"))
}

/// As much of an error's body as came in a while: its status says enough when nothing did.
pub(crate) async fn error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let end = Instant::now() + ERROR_BODY;
    while let Ok(Ok(Some(chunk))) = timeout_at(end, response.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() >= MAX_ERROR_BODY {
            break;
        }
    }
    body.truncate(MAX_ERROR_BODY);
    body
}

/// Whether TLS was the trouble: a wrong certificate or a server that does not speak it, both of
/// which the next try will meet again.
fn is_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.is::<rustls::Error>())
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    successors(error.source(), |cause| beneath(*cause))
}

/// The next cause; an `io::Error` names the error inside it only by a door of its own.
fn beneath<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match cause.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => cause.source(),
    }
}
