//! Which rows to list. An empty filter selects all; several conditions must all hold; of several
//! values in one list, one must.

use fusion_core::{
    AgentId, AgentState, ApprovalState, DeliveryStatus, EntryKind, EntryState, ProjectId,
    ProviderId, RunId, Severity, TaskId, TaskState, Timestamp, WebhookId, WebhookState, WorkflowId,
    WorkflowState,
};

/// Which agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFilter {
    /// In one of these states.
    pub states: Vec<AgentState>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// Spawned by this run.
    pub run: Option<RunId>,
    /// Only those that live outside of runs.
    pub standing: bool,
    /// With exactly this name.
    pub name: Option<String>,
    /// Served by this provider.
    pub provider: Option<ProviderId>,
}

/// Which tokens of the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// With exactly this hash, in hex.
    pub hash: Option<String>,
    /// With exactly this name.
    pub name: Option<String>,
}

/// Which approvals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovalFilter {
    /// In one of these states.
    pub states: Vec<ApprovalState>,
    /// Of this task.
    pub task: Option<TaskId>,
    /// Of this run.
    pub run: Option<RunId>,
}

/// Which capabilities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilityFilter {
    /// With exactly this name.
    pub name: Option<String>,
    /// Of this category.
    pub category: Option<String>,
}

/// Which journal entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalFilter {
    /// Of this task.
    pub task: Option<TaskId>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Of one of these kinds.
    pub kinds: Vec<EntryKind>,
    /// In one of these states.
    pub states: Vec<EntryState>,
}

/// Which messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Sent by this agent.
    pub sender: Option<AgentId>,
    /// With this agent among its recipients.
    pub recipient: Option<AgentId>,
    /// On exactly this topic.
    pub topic: Option<String>,
    /// With one of these statuses; with `recipient`, of the delivery to that one.
    pub statuses: Vec<DeliveryStatus>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Sent at this time or later.
    pub since: Option<Timestamp>,
    /// Sent before this time.
    pub until: Option<Timestamp>,
}

/// Which metrics samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetricsFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Taken at this time or later.
    pub since: Option<Timestamp>,
    /// Taken before this time.
    pub until: Option<Timestamp>,
}

/// Which projects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectFilter {
    /// With exactly this name.
    pub name: Option<String>,
    /// Archived, or not.
    pub archived: Option<bool>,
}

/// Which providers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderFilter {
    /// With exactly this name.
    pub name: Option<String>,
    /// Of this type.
    pub provider_type: Option<String>,
    /// Enabled, or disabled.
    pub enabled: Option<bool>,
}

/// Which schedules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleFilter {
    /// With exactly this name.
    pub name: Option<String>,
    /// Of the workflow with exactly this name.
    pub workflow: Option<String>,
    /// Held by a person, or not.
    pub paused: Option<bool>,
    /// Of a workflow whose newest version is of this project.
    pub project: Option<ProjectId>,
}

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// In one of these states.
    pub states: Vec<WorkflowState>,
    /// Of this version of a workflow.
    pub workflow: Option<WorkflowId>,
    /// Of any version of the workflow with exactly this name.
    pub workflow_name: Option<String>,
    /// Of a version that is of this project. A run below another one is here by its own version only.
    pub project: Option<ProjectId>,
    /// Only tasks of their own, or only the others.
    pub standalone: Option<bool>,
    /// That ended before this.
    pub ended_before: Option<Timestamp>,
    /// That a step of this run waits for, or waited for; `Some(None)` is those that no step waits for.
    pub parent: Option<Option<RunId>>,
}

impl RunFilter {
    /// Those that have not ended.
    #[must_use]
    pub fn unfinished() -> Self {
        Self {
            states: WorkflowState::ALL
                .iter()
                .copied()
                .filter(|state| !state.is_final())
                .collect(),
            ..Self::default()
        }
    }
}

/// Which tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// In one of these states.
    pub states: Vec<TaskState>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of this version of a workflow.
    pub workflow: Option<WorkflowId>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Of the pool, for this project; `Some(None)` is for none.
    pub pool: Option<Option<ProjectId>>,
}

/// Which webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookFilter {
    /// With exactly this name.
    pub name: Option<String>,
    /// In one of these states.
    pub states: Vec<WebhookState>,
}

/// Which attempts to deliver events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookAttemptFilter {
    /// Of this webhook.
    pub webhook: Option<WebhookId>,
}

/// Which workflows. Each version is a row of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkflowFilter {
    /// In one of these states.
    pub states: Vec<WorkflowState>,
    /// Of this project.
    pub project: Option<ProjectId>,
    /// With exactly this name.
    pub name: Option<String>,
}

/// Which workspaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkspaceFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of a type that one of these patterns matches (`task.*`), as Redis PSUBSCRIBE does.
    pub types: Vec<String>,
    /// About one of these agents.
    pub agents: Vec<AgentId>,
    /// Of one of these severities.
    pub severities: Vec<Severity>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Happened at this time or later.
    pub since: Option<Timestamp>,
    /// Happened before this time.
    pub until: Option<Timestamp>,
    /// With each of these words in the message, in any order and case; `word*` is every word that
    /// begins so. A word is a run of letters and digits: a text without any finds nothing. Of a word
    /// the first 64 characters count, of a search the first 16 words, of a message the first 4,000.
    pub text: Option<String>,
}

impl EventFilter {
    /// Those of one run.
    #[must_use]
    pub fn of_run(run: RunId) -> Self {
        Self {
            run: Some(run),
            ..Self::default()
        }
    }
}
