//! What people see of the workspaces of agents.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line about a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceLine {
    /// UUID of the agent that it belongs to.
    pub id: String,
    /// Name of that agent.
    pub name: String,
    /// `directory` or `worktree`.
    pub kind: String,
    /// `pending`, `ready`, `failed` (it could not be made), `archived`, `removed`, or `elsewhere`: its run was
    /// imported.
    pub state: String,
    /// Its absolute path on the machine of the server; empty where it is elsewhere.
    pub path: String,
    /// Bytes in use when last measured, at the end of a step; `null` before that.
    pub size_bytes: Option<u64>,
    /// The file that it was packed into.
    pub archive: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}

/// A page of workspaces, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspacePage {
    /// The workspaces.
    pub workspaces: Vec<WorkspaceLine>,
    /// How many there are.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// Where the workspace of an agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspacePath {
    /// UUID of the agent.
    pub agent: String,
    /// Its absolute path on the machine of the server.
    pub path: String,
}

/// What is below a folder of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceTree {
    /// UUID of the agent.
    pub agent: String,
    /// The folder, from the top of the workspace; `.` is the workspace itself.
    pub path: String,
    /// Sorted by path. What may hold keys is not among them.
    pub entries: Vec<WorkspaceEntry>,
    /// There is more than was asked for.
    pub truncated: bool,
}

/// A name in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceEntry {
    /// From the top of the workspace.
    pub path: String,
    /// `file`, `directory`, `link` or `other`.
    pub kind: String,
    /// Bytes of a file, else 0.
    pub size: u64,
}

/// The text of a file of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceFile {
    /// UUID of the agent.
    pub agent: String,
    /// From the top of the workspace.
    pub path: String,
    /// Its text, or its beginning.
    pub text: String,
    /// How many bytes of the file come after it.
    pub truncated_bytes: u64,
}

/// What an agent made of its worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceDiff {
    /// UUID of the agent.
    pub agent: String,
    /// The commit that the worktree began with.
    pub base: String,
    /// The branch with the work, as it was when the newest step ended; `null` where nothing was made yet.
    pub branch: Option<String>,
    /// Each file that is different.
    pub files: Vec<WorkspaceChange>,
    /// All of it as a unified diff.
    pub diff: String,
    /// The diff is longer than this.
    pub truncated: bool,
}

/// A file that is different from what the worktree began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceChange {
    /// Its path in the worktree.
    pub path: String,
    /// Lines that were added; `null` for what is not text.
    pub added: Option<u64>,
    /// Lines that were removed; `null` for what is not text.
    pub removed: Option<u64>,
}

/// The answer to the export of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceExport {
    /// UUID of the agent.
    pub agent: String,
    /// The tar file that was made.
    pub file: String,
    /// Its length.
    pub bytes: u64,
}

/// The answer to the merge of an agent's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceMerge {
    /// UUID of the agent.
    pub agent: String,
    /// The checkout or bare repository that took it in.
    pub repository: String,
    /// The branch of the agent.
    pub branch: String,
    /// How many branches of the agent there are.
    pub branches: u64,
    /// The branch that took it in.
    pub into: String,
    /// `squash`, `merge` or `ff`.
    pub strategy: String,
    /// The commit that it was at.
    pub before: String,
    /// The commit that it is at now; the same where it had everything already.
    pub commit: String,
    /// Each file that is different.
    pub files: Vec<WorkspaceChange>,
    /// Why the agent's newest work is not in its newest branch, but in its workspace only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The answer to the commit of what lay uncommitted in a worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceCommit {
    /// UUID of the agent.
    pub agent: String,
    /// The branch with its work; `null` where nothing was made yet.
    pub branch: Option<String>,
    /// The commit that the branch was at; `null` where there was no branch.
    pub before: Option<String>,
    /// The commit that it is at now; the same where it had everything already.
    pub commit: Option<String>,
}

/// A workspace that was, or would be, removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceRemoved {
    /// UUID of the agent.
    pub agent: String,
    /// Name of that agent.
    pub name: String,
    /// Where it was.
    pub path: String,
    /// Files, folders and links that it held; 0 where it was gone already.
    pub files: u64,
    /// Bytes that it took on the disk.
    pub bytes: u64,
    /// The branch with the newest work on its worktree, where it had one.
    pub branch: Option<String>,
}

/// A workspace that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspaceKept {
    /// UUID of the agent.
    pub agent: String,
    /// Name of that agent.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// Why.
    pub why: String,
}

/// The answer to the removal of workspaces of agents that have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkspacesCollected {
    /// Nothing was changed: this is what would be.
    pub dry_run: bool,
    /// What went.
    pub removed: Vec<WorkspaceRemoved>,
    /// What stayed; those of agents that live are not among them.
    pub kept: Vec<WorkspaceKept>,
}

/// A request to take in what lies uncommitted in a worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitWorkspace {
    /// What the commit says.
    pub message: String,
}

/// A request to remove the workspace of an agent that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct DiscardWorkspace {
    /// Also when it holds what is nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_copies: Option<bool>,
    /// Change nothing, and answer what would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// A request to remove the workspaces of agents that ended long ago.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CollectWorkspaces {
    /// How long ago at least, in seconds; a week without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than_seconds: Option<u64>,
    /// Also those that hold what is nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only_copies: Option<bool>,
    /// Change nothing, and answer what would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}
