//! Workspaces that are what the test says.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{
    Problem, WorkspaceCommit, WorkspaceDiff, WorkspaceExport, WorkspaceFile, WorkspaceLine,
    WorkspaceMerge, WorkspaceRemoved, WorkspaceTree, WorkspacesCollected,
};
use fusion_cli::{AgentFiles, AgentWork, DiscardRequest, MergeRequest};

use super::Fake;

#[async_trait]
impl AgentFiles for Fake {
    async fn list_workspaces(&self, limit: u32) -> Result<Vec<WorkspaceLine>, Problem> {
        self.report(format!("workspaces {limit}"))
    }

    async fn workspace_tree(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceTree, Problem> {
        self.report(format!("tree {agent} {path} {limit}"))
    }

    async fn workspace_file(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceFile, Problem> {
        self.report(format!("file {agent} {path} {limit}"))
    }

    async fn workspace_diff(&self, agent: &str) -> Result<WorkspaceDiff, Problem> {
        self.report(format!("diff {agent}"))
    }

    async fn export_workspace(
        &self,
        agent: &str,
        path: &str,
        to: &Path,
    ) -> Result<WorkspaceExport, Problem> {
        self.report(format!("export {agent} {path} {}", to.display()))
    }
}

#[async_trait]
impl AgentWork for Fake {
    async fn merge_workspace(&self, request: &MergeRequest) -> Result<WorkspaceMerge, Problem> {
        self.report(format!("{request:?}"))
    }

    async fn make_repository(&self, folder: &Path) -> Result<(), Problem> {
        self.report(format!("make repository {}", folder.display()))
    }

    async fn commit_workspace(
        &self,
        agent: &str,
        message: &str,
    ) -> Result<WorkspaceCommit, Problem> {
        self.report(format!("commit {agent}: {message}"))
    }

    async fn discard_workspace(
        &self,
        agent: &str,
        request: DiscardRequest,
    ) -> Result<WorkspaceRemoved, Problem> {
        self.report(format!("discard {agent} {request:?}"))
    }

    async fn collect_workspaces(
        &self,
        older_than: Duration,
        request: DiscardRequest,
    ) -> Result<WorkspacesCollected, Problem> {
        self.report(format!("gc {older_than:?} {request:?}"))
    }

    async fn edit_folder(&self, folder: &Path) -> Result<bool, Problem> {
        self.report(format!("edit {}", folder.display()))
    }
}
