//! Projects and capabilities.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// What model calls for a project may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectLimits {
    /// US dollars that they may cost in all; `null` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<String>,
    /// Tokens that they may read and write in all; `null` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
    /// US dollars that they may cost on one day in UTC; `null` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_per_day_usd: Option<String>,
    /// Tokens that they may read and write on one day in UTC; `null` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_per_day_tokens: Option<u64>,
}

/// A group of agents and workflows with common defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// UUID.
    pub id: String,
    /// Unique.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// How its agents talk.
    pub message_queue_config: Value,
    /// UUID of the provider of agents that name none.
    pub default_provider_id: Option<String>,
    /// What model calls for it may use.
    #[serde(flatten)]
    pub limits: ProjectLimits,
    /// Since when it takes nothing new; `null` while it does.
    pub archived_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// Free JSON object.
    pub metadata: Value,
}

/// A page of projects, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectPage {
    /// The projects.
    pub projects: Vec<Project>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A project to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewProject {
    /// Unique; 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// How its agents talk; an object.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub message_queue_config: Option<Value>,
    /// UUID of the provider of agents that name none.
    #[serde(default)]
    pub default_provider_id: Option<String>,
    /// What model calls for it may use.
    #[serde(flatten)]
    pub limits: ProjectLimits,
    /// Free JSON object.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Option<Value>,
}

/// What is to change of a project; what is left out stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProjectChanges {
    /// Unique; 1 to 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, min_length = 1, max_length = 255)]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub description: Option<String>,
    /// How its agents talk; an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub message_queue_config: Option<Value>,
    /// UUID of the provider of agents that name none; `null` takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_provider_id: Option<String>,
    /// What model calls for it may use.
    #[serde(flatten)]
    pub limits: ProjectLimits,
    /// Free JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub metadata: Option<Value>,
}

/// An entry of the capability registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Capability {
    /// UUID.
    pub id: String,
    /// The unique name that agents and tasks use.
    pub name: String,
    /// What an agent with it can do.
    pub description: String,
    /// Groups entries for people.
    pub category: String,
    /// Free JSON object.
    pub metadata: Value,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A page of capabilities, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CapabilityPage {
    /// The capabilities.
    pub capabilities: Vec<Capability>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A capability to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewCapability {
    /// The unique name that agents and tasks use; 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What an agent with it can do.
    #[serde(default)]
    pub description: String,
    /// Groups entries for people.
    #[serde(default)]
    pub category: String,
    /// Free JSON object.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Option<Value>,
}

/// What is to change of a capability; what is left out stays. Its name stays for good.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CapabilityChanges {
    /// What an agent with it can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub description: Option<String>,
    /// Groups entries for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub category: Option<String>,
    /// Free JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub metadata: Option<Value>,
}
