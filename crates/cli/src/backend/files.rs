//! The port behind `workspace`.

use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{
    Problem, WorkspaceDiff, WorkspaceExport, WorkspaceFile, WorkspaceLine, WorkspaceTree,
};

/// Looks into the workspaces of agents. An agent is meant by its name, its id or the unique beginning of
/// one; paths begin at the top of its workspace.
#[async_trait]
pub trait AgentFiles {
    /// Workspaces, the newest first.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_workspaces(&self, limit: u32) -> Result<Vec<WorkspaceLine>, Problem>;

    /// What is below a folder, at most `limit` entries.
    ///
    /// # Errors
    /// No such agent, its workspace is gone, or the path is none that is shown.
    async fn workspace_tree(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceTree, Problem>;

    /// At most `limit` bytes of a text file.
    ///
    /// # Errors
    /// As [`workspace_tree`](Self::workspace_tree), or it is no text file.
    async fn workspace_file(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceFile, Problem>;

    /// What an agent made of its worktree.
    ///
    /// # Errors
    /// No such agent, or it has no worktree.
    async fn workspace_diff(&self, agent: &str) -> Result<WorkspaceDiff, Problem>;

    /// Writes a folder or a file into a new tar file.
    ///
    /// # Errors
    /// As [`workspace_tree`](Self::workspace_tree), it is too much, or the file is there or can't be
    /// written; no part of a file is left.
    async fn export_workspace(
        &self,
        agent: &str,
        path: &str,
        to: &Path,
    ) -> Result<WorkspaceExport, Problem>;
}
