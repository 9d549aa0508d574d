//! The id in a path.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use fusion_core::TokenScope;

use crate::idempotency::Asked;
use crate::problem::{Refusal, Result};

/// The longest path of a folder of the server.
pub(crate) const MAX_PATH: usize = 4_096;

/// Reads the path of a folder of the server.
pub(crate) fn folder(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.chars().count() > MAX_PATH || !path.is_absolute() {
        return Err(format!(
            "must be an absolute path of at most {MAX_PATH} characters"
        ));
    }
    Ok(path)
}

/// Who names a folder of the server can make it read files there.
pub(crate) fn may_name_folders(asked: &Asked) -> Result<()> {
    if asked.entrant.scope < TokenScope::Admin {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "naming a folder of the server needs the scope 'admin'",
        ));
    }
    Ok(())
}

/// An id that was checked before the handler begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for Id<T>
where
    S: Send + Sync,
    T: FromStr + Send,
    T::Err: Display,
{
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Refusal::fault("id", "is not percent-encoded UTF-8"))?;
        let id = text.parse().map_err(|error: T::Err| {
            // What was sent may be long.
            let told: String = error.to_string().chars().take(200).collect();
            Refusal::fault("id", told)
        })?;
        Ok(Self(id))
    }
}
