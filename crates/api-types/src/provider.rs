//! Providers: where models are asked, what they offer, what they still allow. No key is in here.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::UsageView;

/// A provider that a workflow file can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderView {
    /// What a workflow file names.
    pub name: String,
    /// The vendor or the kind of server, such as `openrouter` or `ollama`.
    pub r#type: String,
    /// What requests go to; `null` where nothing is asked over a network, or nothing is set.
    pub base_url: Option<String>,
    /// `stored` (added by a command), `environment` (set by variables) or `built_in`.
    pub source: String,
    /// `stored` (encrypted), `environment`, `missing` (needed, and there is none) or `none`.
    pub key: String,
    /// Whether runs may use it.
    pub enabled: bool,
    /// Plain HTTP to another machine is allowed.
    pub allow_plain_http: bool,
    /// A name that leads to a private address is allowed.
    pub allow_private_addresses: bool,
    /// Calls a minute that fusion-kit keeps to; `null` for no limit of its own.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute that fusion-kit keeps to; `null` for no limit of its own.
    pub tokens_per_minute: Option<u64>,
    /// Calls at once that fusion-kit keeps to; `null` for no limit of its own.
    pub max_concurrent: Option<u32>,
    /// How many models the kept list has; `null` when none was read yet.
    pub models: Option<u64>,
    /// When that list was read.
    pub models_read_at: Option<DateTime<Utc>>,
    /// When it was added; `null` unless it is stored.
    pub created_at: Option<DateTime<Utc>>,
}

/// The answer to a list of providers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderList {
    /// By name.
    pub providers: Vec<ProviderView>,
}

/// What `provider add` stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderAdded {
    /// The provider as it is now.
    pub provider: ProviderView,
    /// One of that name was there before.
    pub replaced: bool,
}

/// What `provider remove` took away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderRemoved {
    /// Its name.
    pub name: String,
}

/// One real call that went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProviderTest {
    /// The provider's name.
    pub provider: String,
    /// The model that was asked.
    pub asked: String,
    /// The model that answered, in the server's words.
    pub answered: String,
    /// From the request to the end of the answer, in milliseconds.
    pub latency_ms: u64,
    /// What the call used.
    pub usage: UsageView,
    /// `provider` (its own figure), `computed` (from its prices) or `unknown` (nobody knows).
    pub cost_source: String,
    /// What is left.
    pub quota: Vec<QuotaView>,
    /// Why it is not known what is left; `null` when it was told.
    pub quota_fault: Option<String>,
}

/// What a provider still allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuotaReport {
    /// The provider's name.
    pub provider: String,
    /// Each limit that was told; empty when nothing was.
    pub limits: Vec<QuotaView>,
}

/// One limit. Figures are decimal text; what was not told is `null` and never 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct QuotaView {
    /// `requests`, `tokens`, `input_tokens`, `output_tokens` or `credit` (US dollars).
    pub unit: String,
    /// The time over which it counts, in the provider's word.
    pub window: Option<String>,
    /// How much there is in all.
    pub limit: Option<String>,
    /// How much is left.
    pub remaining: Option<String>,
    /// How much was used.
    pub used: Option<String>,
    /// When it is full again.
    pub resets_at: Option<DateTime<Utc>>,
    /// Where the figures come from: `headers`, `error`, `key` or `credits`.
    pub source: String,
    /// When they were told.
    pub told_at: DateTime<Utc>,
}

/// What a provider offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// The provider's name.
    pub provider: String,
    /// When the list was read from the provider.
    pub read_at: DateTime<Utc>,
    /// It was kept from an earlier time, and not read now.
    pub kept: bool,
    /// How many models there are, also those that a search left out.
    pub total: u64,
    /// In the provider's order.
    pub models: Vec<ModelView>,
}

/// One model. What the provider does not tell is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelView {
    /// What a workflow file names.
    pub id: String,
    /// What people call it.
    pub name: Option<String>,
    /// Tokens of question and answer together at most.
    pub context_length: Option<u64>,
    /// Tokens of one answer at most.
    pub max_output_tokens: Option<u64>,
    /// US dollars for a million tokens read, as decimal text.
    pub input_usd_per_million: Option<String>,
    /// US dollars for a million tokens written, as decimal text.
    pub output_usd_per_million: Option<String>,
    /// US dollars for each call, as decimal text.
    pub request_usd: Option<String>,
    /// `yes`, `no` or `unknown`.
    pub tools: String,
    /// `yes`, `no` or `unknown`.
    pub json_schema: String,
}

/// What `provider detect` found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetectReport {
    /// The ports of this machine that were tried.
    pub ports: Vec<u16>,
    /// The servers that answered.
    pub servers: Vec<FoundServer>,
}

/// A model server on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundServer {
    /// Its base URL.
    pub base_url: String,
    /// Its type, as `provider add --type` takes it.
    pub r#type: String,
    /// The ids of its models.
    pub models: Vec<String>,
    /// It wants a key before it tells anything.
    pub needs_key: bool,
    /// The name to add it under, or under which it was added.
    pub name: String,
    /// A stored provider of that name points at it.
    pub added: bool,
}

#[cfg(test)]
mod tests {
    use super::QuotaView;
    use serde_json::json;

    #[test]
    fn what_was_not_told_is_null_and_not_nothing() {
        let quota = QuotaView {
            unit: "credit".to_owned(),
            window: Some("monthly".to_owned()),
            limit: None,
            remaining: None,
            used: Some("25.5".to_owned()),
            resets_at: None,
            source: "key".to_owned(),
            told_at: "2026-11-23T16:21:19Z".parse().unwrap(),
        };
        let wire = json!({
            "unit": "credit", "window": "monthly", "limit": null, "remaining": null, "used": "25.5",
            "resets_at": null, "source": "key", "told_at": "2026-11-23T16:21:19Z",
        });
        assert_eq!(serde_json::to_value(&quota).unwrap(), wire);
        assert_eq!(serde_json::from_value::<QuotaView>(wire).unwrap(), quota);
    }
}
