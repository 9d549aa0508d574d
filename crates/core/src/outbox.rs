//! The outbox: what is to be published, committed together with its cause.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// Something to publish, before the store has given it its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewOutboxEntry {
    /// The subject it is published under.
    pub topic: String,
    /// What is published.
    pub payload: Value,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// Something to publish, in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Place in the outbox: 1, 2, 3, without gaps, in the order of the commits.
    pub seq: u64,
    /// What is to be published.
    #[serde(flatten)]
    pub entry: NewOutboxEntry,
}
