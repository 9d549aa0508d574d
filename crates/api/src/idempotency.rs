//! `Idempotency-Key`: a request that is sent again is answered again, and done once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use data_encoding::HEXLOWER;
use fusion_coordination::{Ask, Error as EngineError};
use fusion_core::{Actor, Timestamp};
use fusion_persistence::{Error as StoreError, Idempotency, Remembered};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::auth::Entrant;
use crate::precondition;
use crate::problem::{Refusal, Result};
use crate::state::App;

/// The longest key.
const MAX_KEY: usize = 255;

/// How long an answer is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);

static KEY: HeaderName = HeaderName::from_static("idempotency-key");
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Who asks for a change, and under which key.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) entrant: Entrant,
    key: Option<String>,
    /// The token, the method and the path: the same key means another request elsewhere.
    scope: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let entrant = parts.extensions.get::<Entrant>().cloned();
        let entrant = entrant.ok_or_else(|| Refusal::internal("a route has no guard"))?;
        let mut keys = parts.headers.get_all(&KEY).iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(key), None) => Some(key_of(key)?),
            (Some(_), Some(_)) => return Err(wrong_key()),
        };
        let scope = format!(
            "{} {} {}",
            entrant.actor.token,
            parts.method,
            parts.uri.path()
        );
        Ok(Self {
            entrant,
            key,
            scope,
        })
    }
}

fn key_of(value: &HeaderValue) -> Result<String> {
    let key = value.to_str().map_err(|_| wrong_key())?;
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(wrong_key());
    }
    Ok(key.to_owned())
}

/// Refuses a key of who has shown no token as yet.
pub(crate) fn refuse_key(headers: &HeaderMap) -> Result<()> {
    match headers.contains_key(&KEY) {
        true => Err(useless_key()),
        false => Ok(()),
    }
}

fn useless_key() -> Refusal {
    let message = "can't be used here: what is answered is shown once and not kept";
    Refusal::fault("Idempotency-Key", message)
}

fn wrong_key() -> Refusal {
    Refusal::fault(
        "Idempotency-Key",
        format!("must be given once, with 1 to {MAX_KEY} characters of ASCII"),
    )
}

impl Asked {
    pub(crate) fn actor(&self) -> &Actor {
        &self.entrant.actor
    }

    /// The same for a part of the request: a key counts for each of them by its place.
    pub(crate) fn part(&self, number: usize) -> Self {
        Self {
            key: self.key.as_ref().map(|key| format!("{key}#{number}")),
            ..self.clone()
        }
    }

    /// Refuses a key where what is answered is shown once.
    pub(crate) fn refuse_key(&self) -> Result<()> {
        match self.key {
            Some(_) => Err(useless_key()),
            None => Ok(()),
        }
    }

    /// Waits until no other request of this process is at work under the same key: for work of more
    /// than one commit, of which the last remembers the answer. Without a key nothing is waited for.
    pub(crate) async fn turn(&self, app: &App) -> Option<OwnedMutexGuard<()>> {
        let key = self.key.as_ref()?;
        let turn = app.turns.of(format!("{} {key}", self.scope));
        Some(turn.lock_owned().await)
    }

    /// The change, told with who asked for it. Under a key, `answer` gives what is remembered with it.
    pub(crate) fn ask<A: serde::Serialize>(
        &self,
        now: Timestamp,
        body: &[u8],
        answer: impl FnOnce() -> A,
    ) -> Ask {
        let idempotency = self.key.clone().map(|key| Idempotency {
            scope: self.scope.clone(),
            key,
            request_hash: hash(body),
            // As text, so that it is the same to the byte when it is given again.
            answer: Value::String(serde_json::to_string(&answer()).unwrap_or_default()),
            created_at: now,
            expires_at: now + REMEMBERED,
        });
        Ask {
            actor: Some(self.actor().clone()),
            idempotency,
            ..Ask::default()
        }
    }

    /// A change that needs no key: its repetition does nothing more.
    pub(crate) fn plain(&self) -> Ask {
        Ask {
            actor: Some(self.actor().clone()),
            ..Ask::default()
        }
    }

    /// What the same request was answered before, as JSON.
    pub(crate) async fn remembered(&self, app: &App, body: &[u8]) -> Result<Option<String>> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        match app.reader().remembered(&self.scope, key).await? {
            Some(found) if found.request_hash == hash(body) => Ok(Some(answer_of(found))),
            Some(_) => Err(reused(key)),
            None => Ok(None),
        }
    }
}

/// Keys whose requests are at work.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Arc<Turn<()>>>>);

impl Turns {
    fn of(&self, key: String) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds or waits for have no other owner.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(key).or_default())
    }
}

/// The same body is the same request.
fn hash(body: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(body))
}

pub(crate) fn answer_of(remembered: Remembered) -> String {
    match remembered.answer {
        Value::String(text) => text,
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other.to_string(),
    }
}

fn reused(key: &str) -> Refusal {
    Refusal::new(
        StatusCode::CONFLICT,
        "idempotency_key_reused",
        format!("the idempotency key '{key}' was used for another request"),
    )
}

/// The answer of a change that made something: now, or when it was first asked for.
pub(crate) fn made(
    done: std::result::Result<(), EngineError>,
    status: StatusCode,
    body: &impl serde::Serialize,
) -> Result<Response> {
    match done {
        Ok(()) => precondition::json(status, body),
        Err(EngineError::Store(StoreError::Repeated(remembered))) => {
            replayed(status, &answer_of(*remembered))
        }
        Err(EngineError::Store(StoreError::KeyReused { key })) => Err(reused(&key)),
        Err(error) => Err(error.into()),
    }
}

/// An answer that was given before.
pub(crate) fn replayed(status: StatusCode, body: &str) -> Result<Response> {
    let mut response = precondition::json_text(status, body.to_owned());
    let headers = response.headers_mut();
    headers.insert(&REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
