//! A server that listens.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::SignInCode;

/// A link that signs a browser in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    /// It works once. What follows `#` is never sent to a server with a request.
    pub url: String,
    /// After this it is refused.
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for SignInLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInLink")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl SignInLink {
    /// The link to a server at a URL such as `http://127.0.0.1:8000`.
    #[must_use]
    pub fn new(server: &str, made: &SignInCode) -> Self {
        let server = server.trim_end_matches('/');
        Self {
            url: format!("{server}/sign-in#code={}", made.code),
            expires_at: made.expires_at,
        }
    }
}

/// Where a server listens and what it works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerReady {
    /// What requests begin with, such as `http://127.0.0.1:8000`; empty where none is answered.
    pub url: String,
    /// Absolute path of the file that holds a token.
    pub token_file: String,
    /// Absolute path of its data directory.
    pub data_dir: String,
    /// Its process.
    pub pid: u32,
    /// Of the program.
    pub version: String,
    /// Absolute path of the file that it logs to, where it was started in the background by this command; left out else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_file: Option<String>,
}
