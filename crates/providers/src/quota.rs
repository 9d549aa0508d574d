//! What a provider still allows.

use fusion_core::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// What is left at a provider, as it was last told. What nobody told is not in it: an unknown
/// remainder is never shown as nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaInfo {
    /// Each limit that the provider named.
    pub limits: Vec<QuotaLimit>,
}

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaLimit {
    /// What is counted.
    pub unit: QuotaUnit,
    /// The provider's word for the time over which it counts: `minute`, `day`, `monthly`.
    pub window: Option<String>,
    /// How much there is in all; `None` where there is no cap or none was told.
    pub limit: Option<Decimal>,
    /// How much is left.
    pub remaining: Option<Decimal>,
    /// How much was used.
    pub used: Option<Decimal>,
    /// When it is full again.
    pub resets_at: Option<Timestamp>,
    /// Where the figures come from.
    pub source: QuotaSource,
    /// When they were told: their age.
    pub told_at: Timestamp,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaUnit {
    /// Calls.
    Requests,
    /// Tokens read and written.
    Tokens,
    /// Tokens read.
    InputTokens,
    /// Tokens written.
    OutputTokens,
    /// Money, in US dollars.
    Credit,
}

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaSource {
    /// The headers of an answer.
    Headers,
    /// The body of an error.
    Error,
    /// The provider's own account of the key.
    Key,
    /// The provider's own account of the credit.
    Credits,
}
