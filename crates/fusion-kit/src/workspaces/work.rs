//! What people decide about the work in workspaces.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api::workspace_views as views;
use fusion_api_types::{
    CollectWorkspaces, CommitWorkspace, DiscardWorkspace, Problem, ProblemKind, WorkspaceCommit,
    WorkspaceMerge, WorkspaceRemoved, WorkspacesCollected,
};
use fusion_cli::{AgentWork, DiscardRequest, MergeRequest};
use fusion_coordination::Discarding;
use fusion_workspaces::Checkout;

use super::told;
use crate::backend::LocalBackend;
use crate::problems;

#[async_trait]
impl AgentWork for LocalBackend {
    async fn merge_workspace(&self, request: &MergeRequest) -> Result<WorkspaceMerge, Problem> {
        self.merge(request).await
    }

    async fn make_repository(&self, folder: &Path) -> Result<(), Problem> {
        let made = Checkout::new(folder.to_path_buf()).begin().await;
        made.map_err(|error| problems::of_workspaces(&error))
    }

    async fn commit_workspace(
        &self,
        agent: &str,
        message: &str,
    ) -> Result<WorkspaceCommit, Problem> {
        if let Some(remote) = self.remote()? {
            let agent = self.agent_of(&remote, agent).await?.id;
            let message = message.to_owned();
            return remote
                .commit_workspace(&agent, &CommitWorkspace { message })
                .await;
        }
        let (engine, agent) = self.opened_on(agent).await?;
        let done = engine
            .coordinator()
            .commit_worktree(agent.id, message)
            .await;
        engine.close().await;
        match told(done)? {
            Some(done) => Ok(views::committed(&agent, done)),
            None => {
                let text = views::no_worktree(&agent.name);
                Err(Problem::new(ProblemKind::Conflict, text))
            }
        }
    }

    async fn discard_workspace(
        &self,
        agent: &str,
        request: DiscardRequest,
    ) -> Result<WorkspaceRemoved, Problem> {
        if let Some(remote) = self.remote()? {
            let agent = self.agent_of(&remote, agent).await?.id;
            let wanted = DiscardWorkspace {
                only_copies: Some(request.only_copies),
                dry_run: Some(request.dry_run),
            };
            return remote.discard_workspace(&agent, &wanted).await;
        }
        let (engine, agent) = self.opened_on(agent).await?;
        let coordinator = engine.coordinator();
        let done = coordinator.discard_workspace(agent.id, how(request)).await;
        engine.close().await;
        told(done).map(views::removed)
    }

    async fn collect_workspaces(
        &self,
        older_than: Duration,
        request: DiscardRequest,
    ) -> Result<WorkspacesCollected, Problem> {
        if let Some(remote) = self.remote()? {
            let wanted = CollectWorkspaces {
                older_than_seconds: Some(older_than.as_secs()),
                only_copies: Some(request.only_copies),
                dry_run: Some(request.dry_run),
            };
            return remote.collect_workspaces(&wanted).await;
        }
        let engine = self.opened().await?;
        let coordinator = engine.coordinator();
        let done = coordinator
            .collect_workspaces(older_than, how(request))
            .await;
        engine.close().await;
        told(done).map(|done| views::collected(request.dry_run, done))
    }

    async fn edit_folder(&self, folder: &Path) -> Result<bool, Problem> {
        let server = self.named_server();
        let is_here = server.is_none_or(fusion_api_client::is_of_this_machine) && folder.is_dir();
        let editor = self.config().editor.as_deref();
        let refused = |text: String| {
            Problem::new(ProblemKind::Conflict, text)
                .with_help("where it is, tells: fusion-kit workspace path AGENT")
        };
        match editor {
            Some(editor) if is_here => {
                let ended = fusion_workspaces::edit(editor, folder).await;
                ended.map_err(|error| problems::of_workspaces(&error))
            }
            Some(_) => {
                let folder = folder.display();
                Err(refused(format!("{folder} can't be reached from here")))
            }
            None => Err(refused("neither VISUAL nor EDITOR is set".to_owned())),
        }
    }
}

const fn how(request: DiscardRequest) -> Discarding {
    Discarding {
        only_copies: request.only_copies,
        dry_run: request.dry_run,
    }
}
