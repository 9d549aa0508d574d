//! What would change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AgentLeft;

/// What would change; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// Always true.
    pub dry_run: bool,
    /// What would change, in that order; nothing where all is so already.
    pub changes: Vec<DryRunChange>,
    /// Agents that would stay as they are though they were named, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<AgentLeft>,
}

/// One thing that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRunChange {
    /// What it is, such as `agent`, `task` or `project`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its name: of a run that of its workflow, of a workspace its path.
    pub name: String,
    /// Its state now; null for what has none.
    pub state: Option<String>,
    /// Its state then, or `created`, `changed` or `deleted`.
    pub becomes: String,
}
