//! Tokens of the API.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A token, without itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Token {
    /// UUID.
    pub id: String,
    /// What it is for; unique.
    pub name: String,
    /// `read`, `operate` or `admin`; each includes those before it.
    pub scope: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// After this it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken away.
    pub revoked_at: Option<DateTime<Utc>>,
    /// UUID of the token whose sign-in link it was made by; it ends with that one.
    #[serde(default)]
    pub issuer: Option<String>,
}

/// A code that signs a browser in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInCode {
    /// It counts once. Put it behind `/sign-in#code=`.
    pub code: String,
    /// After this it is refused.
    pub expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for SignInCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignInCode")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Signing in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewSession {
    /// What a sign-in link holds; 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub code: String,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewSession").finish_non_exhaustive()
    }
}

/// A page of tokens, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenPage {
    /// The tokens.
    pub tokens: Vec<Token>,
    /// How many there are.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewToken {
    /// What it is for; unique; 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// `read`, `operate` or `admin`.
    pub scope: String,
    /// After this it is refused; without it, it holds until it is taken away.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token that was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenMade {
    /// About it.
    #[serde(flatten)]
    pub token: Token,
    /// The token itself: shown this once.
    pub secret: String,
}

impl std::fmt::Debug for TokenMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenMade")
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A right to open one socket: for a browser, which can send no header with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// Put it into the query of `/ws/events` as `ticket`. It works once.
    pub ticket: String,
    /// For how many seconds it holds.
    pub expires_in: u64,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}
