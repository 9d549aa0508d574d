//! Workspaces of a server's agents.

use std::path::Path;

use fusion_api_types::{
    CollectWorkspaces, CommitWorkspace, DiscardWorkspace, Problem, WorkspaceCommit, WorkspaceDiff,
    WorkspaceExport, WorkspaceFile, WorkspaceLine, WorkspaceRemoved, WorkspaceTree,
    WorkspacesCollected,
};

use super::Remote;
use crate::workspaces::NewFile;

impl Remote {
    pub(crate) async fn list_workspaces(&self, limit: u32) -> Result<Vec<WorkspaceLine>, Problem> {
        self.rows("/workspaces", "workspaces", &[], limit as usize)
            .await
    }

    pub(crate) async fn workspace_tree(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceTree, Problem> {
        let place = self.workspace_of(agent).await?.1;
        let query = [("path", path.to_owned()), ("limit", limit.to_string())];
        self.client.get(&place, &query).await
    }

    pub(crate) async fn workspace_file(
        &self,
        agent: &str,
        path: &str,
        limit: u32,
    ) -> Result<WorkspaceFile, Problem> {
        let place = self.workspace_of(agent).await?.1;
        let query = [("path", path.to_owned()), ("limit", limit.to_string())];
        self.client.get(&format!("{place}/file"), &query).await
    }

    pub(crate) async fn workspace_diff(&self, agent: &str) -> Result<WorkspaceDiff, Problem> {
        let place = self.workspace_of(agent).await?.1;
        self.client.get(&format!("{place}/diff"), &[]).await
    }

    pub(crate) async fn export_workspace(
        &self,
        agent: &str,
        path: &str,
        to: &Path,
    ) -> Result<WorkspaceExport, Problem> {
        let (id, place) = self.workspace_of(agent).await?;
        let query = [("path", path.to_owned())];
        let place = format!("{place}/archive");
        let mut download = self.client.download(&place, &query).await?;
        let mut made = NewFile::make(to)?;
        while let Some(piece) = download.next().await? {
            made.write(&piece)?;
        }
        made.finished(id)
    }

    pub(crate) async fn commit_workspace(
        &self,
        id: &str,
        wanted: &CommitWorkspace,
    ) -> Result<WorkspaceCommit, Problem> {
        let place = format!("/agents/{id}/workspace/commit");
        self.client.post(&place, wanted).await
    }

    pub(crate) async fn discard_workspace(
        &self,
        id: &str,
        wanted: &DiscardWorkspace,
    ) -> Result<WorkspaceRemoved, Problem> {
        let place = format!("/agents/{id}/workspace/discard");
        self.client.post(&place, wanted).await
    }

    pub(crate) async fn collect_workspaces(
        &self,
        wanted: &CollectWorkspaces,
    ) -> Result<WorkspacesCollected, Problem> {
        self.client.post("/workspaces/gc", wanted).await
    }

    /// The id of an agent, and where its workspace is.
    async fn workspace_of(&self, agent: &str) -> Result<(String, String), Problem> {
        let id = self.find_agent(agent).await?.id;
        let place = format!("/agents/{id}/workspace");
        Ok((id, place))
    }
}
