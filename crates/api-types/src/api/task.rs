//! Tasks, and questions to a person that hold them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{UsageView, WaitView};

/// A unit of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// UUID.
    pub id: String,
    /// The step's id in its workflow, for an item of its list with its place (`build[2]`), or a free
    /// name.
    pub name: String,
    /// What is asked.
    pub description: String,
    /// UUID of the agent that does it; `null` while nobody has it.
    pub agent_id: Option<String>,
    /// Higher first; of equals the oldest.
    pub priority: i32,
    /// What an agent must be able to do.
    pub required_capabilities: Vec<String>,
    /// `queued`, `assigned`, `running`, `completed`, `failed` or `cancelled`.
    pub state: String,
    /// When it entered the queue.
    pub queued_at: DateTime<Utc>,
    /// When an agent first began it.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// UUIDs of the tasks that must end before it.
    pub dependencies: Vec<String>,
    /// What it was given.
    pub input_artifacts: Value,
    /// What it made.
    pub output_artifacts: Option<Value>,
    /// Why it failed or was cancelled.
    pub error_message: Option<String>,
    /// `condition_false`, `dependency_skipped`, `dependency_failed`, `requested`, `agent_ended` or
    /// `item_failed`.
    pub cancel_reason: Option<String>,
    /// Topics its agent may talk on.
    pub communication_channels: Vec<String>,
    /// UUID of the version of the workflow it comes from; `null` for one of its own.
    pub workflow_id: Option<String>,
    /// UUID of the run it belongs to.
    pub run_id: String,
    /// What a queued task waits for, where that ends by itself.
    pub waiting: Option<WaitView>,
    /// How often an agent began it.
    pub attempts: u32,
    /// What its model calls used.
    pub usage: UsageView,
}

/// A page of tasks, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<Task>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A question to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// UUID.
    pub id: String,
    /// UUID of the task that waits for it.
    pub task_id: String,
    /// UUID of the task's run.
    pub run_id: Option<String>,
    /// What is asked.
    pub question: String,
    /// SHA-256 of what is approved, in hex.
    pub subject_hash: String,
    /// UUID of the agent whose work it is about.
    pub requested_by: Option<String>,
    /// `pending`, `approved`, `rejected` or `expired`.
    pub state: String,
    /// When it was asked.
    pub requested_at: DateTime<Utc>,
    /// After this it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was answered or expired.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Who answered.
    pub resolved_by: Option<String>,
    /// What they said to it.
    pub comment: Option<String>,
}

/// A page of approvals, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalPage {
    /// The approvals.
    pub approvals: Vec<Approval>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}
