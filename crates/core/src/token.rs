//! API tokens: what clients of the API show.

use serde::{Deserialize, Serialize};

use crate::transition::text_enum;
use crate::{ApiTokenId, Timestamp};

text_enum! {
    /// What a token may do. Each scope includes those before it.
    TokenScope {
        /// Look.
        Read = "read",
        /// Start, stop and change work.
        Operate = "operate",
        /// Change providers, tokens and settings.
        Admin = "admin",
    }
}

/// A token of the API. The token itself is shown once, when it is made; only its hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiToken {
    /// Names the token.
    pub id: ApiTokenId,
    /// What it is for; unique.
    pub name: String,
    /// SHA-256 of the token, in hex.
    #[serde(skip_serializing, default)]
    pub hash: String,
    /// What it may do.
    pub scope: TokenScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// After this it is refused; `None` holds for ever.
    pub expires_at: Option<Timestamp>,
    /// When it was last shown, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was taken away.
    pub revoked_at: Option<Timestamp>,
    /// The token whose sign-in link it was made by: it holds no longer than that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<ApiTokenId>,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

impl ApiToken {
    /// Whether it may be used now.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}
