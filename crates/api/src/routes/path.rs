//! The id in a path.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use crate::problem::{Refusal, Result};

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
