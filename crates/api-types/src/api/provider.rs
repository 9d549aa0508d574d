//! Stored providers. Credentials go in and never come out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A stored provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Provider {
    /// UUID.
    pub id: String,
    /// Unique: what a workflow file names.
    pub name: String,
    /// Base URL.
    pub api_endpoint: String,
    /// `bearer_token`, `api_key`, `oauth` or `none`.
    pub auth_type: String,
    /// A key is stored for it.
    pub has_credentials: bool,
    /// The models that were read from it; empty when none were.
    pub model_catalog: Value,
    /// What is asked of it a minute at most.
    pub rate_limits: RateLimits,
    /// The vendor or kind of server.
    pub provider_type: String,
    /// Name of a registered plugin that serves it.
    pub custom_adapter: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Runs may use it.
    pub enabled: bool,
    /// What else is set.
    pub metadata: Value,
}

/// Calls and tokens a minute; `null` is no limit of ours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateLimits {
    /// Calls a minute.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute.
    #[serde(default)]
    pub tokens_per_minute: Option<u64>,
}

/// A page of providers, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProviderPage {
    /// The providers.
    pub providers: Vec<Provider>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A provider to be stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewProvider {
    /// Unique: what a workflow file will name; 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// The vendor or kind of server; without it the name says it.
    #[serde(default)]
    pub provider_type: Option<String>,
    /// Base URL; the vendor's own without it.
    #[serde(default)]
    pub api_endpoint: Option<String>,
    /// Its key. It is stored sealed and comes out nowhere.
    #[serde(default)]
    #[schema(write_only)]
    pub credentials: Option<String>,
    /// What is asked of it a minute at most.
    #[serde(default)]
    pub rate_limits: Option<RateLimits>,
    /// Calls at once at most.
    #[serde(default)]
    pub max_concurrent: Option<u32>,
    /// Plain HTTP to another machine is allowed.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// A name that leads to a private address is allowed.
    #[serde(default)]
    pub allow_private_addresses: bool,
}

impl std::fmt::Debug for NewProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewProvider")
            .field("name", &self.name)
            .field("provider_type", &self.provider_type)
            .field("api_endpoint", &self.api_endpoint)
            .finish_non_exhaustive()
    }
}

/// What is to change of a provider; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderChanges {
    /// Whether runs may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool)]
    pub enabled: Option<bool>,
    /// What is asked of it a minute at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = RateLimits)]
    pub rate_limits: Option<RateLimits>,
}
