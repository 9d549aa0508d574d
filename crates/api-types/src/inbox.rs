//! What waits for a person.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Everything that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxView {
    /// The oldest first.
    pub items: Vec<InboxItem>,
}

/// One thing that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InboxItem {
    /// `approval`, `paused_run`, `budget` (a run that its budget stopped), `task_budget` (a task of its own
    /// that what it may cost stopped), `budget_around` (one that a limit around it stopped: of its agent's
    /// life or of a project) or `unresponsive_agent`.
    pub kind: String,
    /// UUID of the approval, the run, the task or the agent.
    pub id: String,
    /// UUID of the run that it is about.
    pub run: Option<String>,
    /// The step, the workflow, the task or the agent.
    pub name: String,
    /// Since when it waits.
    pub since: DateTime<Utc>,
    /// When a question expires.
    pub expires: Option<DateTime<Utc>>,
    /// What is asked, or what is the matter.
    pub message: String,
}
