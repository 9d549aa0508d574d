//! The port behind what becomes of agents' work.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{
    Problem, WorkspaceCommit, WorkspaceMerge, WorkspaceRemoved, WorkspacesCollected,
};

use crate::args::MergeStrategy;

/// What is to be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRequest {
    /// The agent: its name, its id or the unique beginning of one.
    pub agent: String,
    /// Its branch; the newest without it.
    pub branch: Option<String>,
    /// The branch that takes it in; the one that is checked out without it.
    pub into: Option<String>,
    /// How.
    pub strategy: MergeStrategy,
    /// What the new commit says.
    pub message: Option<String>,
}

/// How workspaces are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscardRequest {
    /// Also what is nowhere else.
    pub only_copies: bool,
    /// Nothing is changed: it is only said what would be.
    pub dry_run: bool,
}

/// Does with workspaces what people decide about the work in them.
#[async_trait]
pub trait AgentWork {
    /// Merges a branch of an agent into the checkout that its worktree came from, with the git of whoever
    /// calls.
    ///
    /// # Errors
    /// No such agent or branch, the checkout is on another machine, or its state does not allow it: it
    /// is as it was.
    async fn merge_workspace(&self, request: &MergeRequest) -> Result<WorkspaceMerge, Problem>;

    /// Makes an empty git repository of a folder, with the git of whoever calls.
    ///
    /// # Errors
    /// There is no git, or it can't.
    async fn make_repository(&self, folder: &Path) -> Result<(), Problem>;

    /// Takes what lies uncommitted in the worktree of a resting agent into its newest branch.
    ///
    /// # Errors
    /// No such agent, it has no worktree, or a step of it is at work.
    async fn commit_workspace(
        &self,
        agent: &str,
        message: &str,
    ) -> Result<WorkspaceCommit, Problem>;

    /// Removes the workspace of an agent that has ended; one that is gone already is no fault.
    ///
    /// # Errors
    /// No such agent, it has not ended, or the workspace holds what is nowhere else: a conflict.
    async fn discard_workspace(
        &self,
        agent: &str,
        request: DiscardRequest,
    ) -> Result<WorkspaceRemoved, Problem>;

    /// Removes the workspaces of all agents that ended so long ago.
    ///
    /// # Errors
    /// The data directory can't be used.
    async fn collect_workspaces(
        &self,
        older_than: Duration,
        request: DiscardRequest,
    ) -> Result<WorkspacesCollected, Problem>;

    /// Opens a folder of this machine in the editor of whoever calls, and waits for its end; says whether it
    /// ended well.
    ///
    /// # Errors
    /// The folder is on another machine, or there is no editor.
    async fn edit_folder(&self, folder: &Path) -> Result<bool, Problem>;
}
