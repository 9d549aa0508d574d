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
    /// It is a task of its own, which any standing agent may take that can do it.
    #[serde(default)]
    pub standalone: bool,
    /// UUID of the project whose share of the agents a task of its own uses.
    #[serde(default)]
    pub project_id: Option<String>,
    /// Nobody but `agent_id` may do it.
    #[serde(default)]
    pub demanded: bool,
    /// What a queued task waits for, where that ends by itself.
    pub waiting: Option<WaitView>,
    /// How often an agent began it.
    pub attempts: u32,
    /// What its model calls used.
    pub usage: UsageView,
}

/// A task, and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskDetail {
    /// The same fields as in a list, beside the ones below.
    #[serde(flatten)]
    pub task: Task,
    /// Why it waits; empty when it does not.
    pub waits_for: Vec<TaskWaitReason>,
}

/// Something that a task waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskWaitReason {
    /// `dependency`, `time`, `run`, `approval`, `capability`, `agents`, `turn` or `process`.
    pub kind: String,
    /// What it is, in a sentence.
    pub text: String,
    /// UUID of the task that is waited for.
    pub task_id: Option<String>,
    /// UUID of the run that is waited for: the work of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// When the wait is over, where that is known.
    pub until: Option<DateTime<Utc>>,
}

/// A task that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewTask {
    /// Letters, digits, `_`, `-` and `.`; `task` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is asked.
    pub description: String,
    /// What an agent must be able to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_capabilities: Vec<String>,
    /// Higher first; 0 without it.
    #[serde(default)]
    pub priority: i32,
    /// UUIDs of tasks, of any run, that must end well before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// What it is given, by name.
    #[serde(default)]
    pub input_artifacts: serde_json::Map<String, Value>,
    /// UUID or name of the agent that is to do it: another takes it while that one is busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Nobody but `agent` may do it.
    #[serde(default)]
    pub demanded: bool,
    /// UUID or name of the project whose share of the agents it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// For so many seconds nobody begins it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u64>,
    /// It fails when it takes longer than so many seconds; 1200 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// How often it is tried in all, 1 to 100; once without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// US dollars that its model calls may cost at most, in all its attempts: `0.50`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<String>,
}

/// Several tasks that are asked for, each by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewTasks {
    /// The tasks.
    #[schema(min_items = 1, max_items = 500)]
    pub tasks: Vec<NewTask>,
}

/// The same to be done with several tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BulkTasks {
    /// `cancel`, `retry` or `prioritise`.
    pub action: String,
    /// UUIDs of the tasks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 500)]
    pub ids: Option<Vec<String>>,
    /// Instead of `ids`: the newest tasks that it selects, 500 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<BulkTaskFilter>,
    /// For `prioritise`: higher first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// Which tasks are meant, as in the query of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkTaskFilter {
    /// Only those in one of these states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<String>,
    /// Only those of this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Only those of this version of a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// Only those of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Only tasks of their own that use the share of this project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
}

/// What came of it, in the order in which it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskBulkAnswer {
    /// One for each task.
    pub results: Vec<TaskBulkResult>,
}

/// What came of it with one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskBulkResult {
    /// UUID of the task; `null` where none was made.
    pub id: Option<String>,
    /// The task as it is now, for `retry` the new one; `null` where there is none.
    pub task: Option<Task>,
    /// Why it was not done; `null` where it was.
    pub error: Option<String>,
}

/// A change of a task: exactly one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskChanges {
    /// `cancelled` stops it, also while an agent works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why it is cancelled, of at most 1,000 characters: stays with the task as `error_message`. Only with
    /// `state`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The priority of one that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// US dollars that the model calls of one of its own may cost in all; heard when it is begun the next
    /// time, which is at once where a limit stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<String>,
}

/// How a task is asked for again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskRetry {
    /// What is asked instead of what it was to do; at most 128 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What a task needs, and what needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskTree {
    /// The task.
    pub task: TaskLine,
    /// What it needs, each followed by what that needs.
    pub needs: Vec<TaskLine>,
    /// What needs it, each followed by what needs that.
    pub needed_by: Vec<TaskLine>,
}

/// A line of a tree of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskLine {
    /// How far from the task: 1 for its neighbours.
    pub depth: u32,
    /// UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How far it is.
    pub state: String,
    /// It stands above too, with what follows it.
    pub again: bool,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// UUID.
    pub id: String,
    /// UUID of the task that waits for it.
    pub task_id: String,
    /// UUID of the task's run.
    pub run_id: Option<String>,
    /// What is asked.
    pub question: String,
    /// What is approved beside the question: `step` and its `prompt` or `command`.
    #[serde(default)]
    pub subject: Value,
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

/// A yes to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApproveRequest {
    /// What is said to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The hash of what was seen: an answer to something else is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_hash: Option<String>,
}

/// A no to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectRequest {
    /// Why: the step fails with it.
    pub reason: String,
    /// The hash of what was seen: an answer to something else is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_hash: Option<String>,
}

/// A page of approvals, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalPage {
    /// The approvals.
    pub approvals: Vec<Approval>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}
