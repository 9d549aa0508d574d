//! Runs that are deleted, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::WorkspaceRemoved;

/// A run that was, or would be, deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDeleted {
    /// UUID of the run.
    pub id: String,
    /// Name of its workflow; of the task, for a task of its own.
    pub workflow: String,
    /// How it had ended.
    pub state: String,
    /// How many runs went: this one and those that its steps were.
    pub runs: u64,
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// The workspaces of its agents that went with it.
    pub workspaces: Vec<WorkspaceRemoved>,
    /// What stays of the work of its agents and is named nowhere any more: paths of archives of workspaces,
    /// and of repositories with the branches of worktrees.
    pub left: Vec<String>,
}

/// A run that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunKept {
    /// UUID of the run.
    pub id: String,
    /// Name of its workflow.
    pub workflow: String,
    /// Why.
    pub why: String,
}

/// The answer to the deletion of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunsDeleted {
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// What went.
    pub deleted: Vec<RunDeleted>,
    /// What stayed of the runs that ended long enough ago; of those that were named, what was left when it
    /// stopped.
    pub kept: Vec<RunKept>,
    /// Why it stopped before all were dealt with that were named, or are old enough. Only the command says it,
    /// which asks a server several times: `deleted` went before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The time of a request was over before all were looked at: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A request to delete the runs that ended long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectRuns {
    /// How long ago at least, in seconds; 0 is all that have ended.
    pub older_than_seconds: u64,
    /// Only those in one of these states: `completed`, `failed`, `cancelled`; all without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
    /// Also those with an agent whose workspace holds what is nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_copies: Option<bool>,
    /// Change nothing, and answer what would be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// UUID: where an earlier answer says to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
