//! The port behind what becomes of agents' work.

use async_trait::async_trait;
use fusion_api_types::{Problem, WorkspaceMerge};

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
}
