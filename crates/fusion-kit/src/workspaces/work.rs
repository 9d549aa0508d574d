//! What people decide about the work in workspaces.

use async_trait::async_trait;
use fusion_api_types::{Problem, WorkspaceMerge};
use fusion_cli::{AgentWork, MergeRequest};

use crate::backend::LocalBackend;

#[async_trait]
impl AgentWork for LocalBackend {
    async fn merge_workspace(&self, request: &MergeRequest) -> Result<WorkspaceMerge, Problem> {
        self.merge(request).await
    }
}
