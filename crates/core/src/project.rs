//! Projects group agents and workflows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Budget, ProjectId, ProviderId, Timestamp};

/// A group of agents and workflows with common defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Names the project.
    pub id: ProjectId,
    /// Unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How its agents talk.
    pub message_queue_config: Value,
    /// Used by its agents that name none.
    pub default_provider_id: Option<ProviderId>,
    /// What model calls for it may use in all.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// What they may use on one day, in UTC.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget_per_day: Budget,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// Free JSON object.
    pub metadata: Value,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}
