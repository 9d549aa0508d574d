//! The configuration of a model provider.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transition::text_enum;
use crate::{ProviderId, Sealed, Timestamp};

text_enum! {
    /// How a provider wants to be asked.
    AuthType {
        /// `Authorization: Bearer`.
        BearerToken = "bearer_token",
        /// A key in a header of the vendor's own.
        ApiKey = "api_key",
        /// Tokens that are refreshed.
        Oauth = "oauth",
        /// No credential.
        None = "none",
    }
}

/// What a provider allows per minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimits {
    /// Calls a minute; `None` means no limit of ours.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute; `None` means no limit of ours.
    pub tokens_per_minute: Option<u64>,
}

/// A configured provider. Its credentials are here only as they are stored: sealed. Who has the
/// master key can open them; nothing else that holds this value can show them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderConfig {
    /// Names the provider.
    pub id: ProviderId,
    /// Unique.
    pub name: String,
    /// Base URL.
    pub api_endpoint: String,
    /// How it wants to be asked.
    pub auth_type: AuthType,
    /// Key or token, sealed with the master key; not part of the JSON form.
    #[serde(skip)]
    pub credentials: Option<Sealed>,
    /// Models with prices and limits, as last read from the provider.
    pub model_catalog: Value,
    /// What it allows.
    pub rate_limits: RateLimits,
    /// The wire format and quirks, by name.
    pub provider_type: String,
    /// Name of a registered plugin that serves it.
    pub custom_adapter: Option<String>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// Disabled providers refuse new work.
    pub enabled: bool,
    /// Free JSON object.
    pub metadata: Value,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}
