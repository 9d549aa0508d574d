//! What a person has taken in of a worktree while no step is at work on it.

use fusion_core::{Agent, AgentId, AgentState, TaskState, WorkspaceId};
use fusion_persistence::Repository as _;

use super::held;
use crate::worktrees::worktree_of;
use crate::{Coordinator, Error, Result};

/// What was taken in of a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The workspace that has the worktree.
    pub workspace: WorkspaceId,
    /// The branch that has it; `None` where nothing was ever made.
    pub branch: Option<String>,
    /// The commit that the branch was at, where there was one.
    pub before: Option<String>,
    /// The commit that it is at now.
    pub commit: Option<String>,
}

impl Coordinator {
    /// Takes what lies uncommitted in the worktree of a resting agent into its newest branch, in the sandbox
    /// as the end of a step does it. A step that is to begin meanwhile waits, in whichever process. `None`
    /// where it has no worktree.
    ///
    /// # Errors
    /// There is no such agent, a step of it is at work, its workspace is gone, or git fails.
    pub async fn commit_worktree(&self, id: AgentId, message: &str) -> Result<Option<Committed>> {
        let agent: Agent = self.parts.store.get(id).await?;
        let Some(_taken) = self.in_hand.take(vec![id]) else {
            return Err(Error::Busy { agent: agent.name });
        };
        let workspace = self.workspace_of(id).await?;
        if worktree_of(&workspace).is_none() {
            return Ok(None);
        }
        self.check_at_rest(id).await?;
        // A worker of it may still be on its way out.
        self.crew.gone(id).await;
        let dir = self.opened_workspace(&agent, &workspace).await?;
        let _alone = self.seat_alone(&agent, dir).await?;
        self.commit_alone(&agent, message).await.map(Some)
    }

    /// Refuses an agent that has a step at work, also one whose process has died.
    async fn check_at_rest(&self, id: AgentId) -> Result<()> {
        let agent: Agent = self.parts.store.get(id).await?;
        let tasks = self.open_tasks(&agent).await?;
        let is_at_work = held(&tasks).is_some_and(|task| task.state == TaskState::Running);
        match agent.state {
            AgentState::Paused | AgentState::Error if is_at_work || self.crew.has(id) => {
                Err(Error::AtWork { agent: agent.name })
            }
            AgentState::Idle | AgentState::Paused | AgentState::Error | AgentState::Terminated => {
                Ok(())
            }
            AgentState::Working | AgentState::Spawning => Err(Error::AtWork { agent: agent.name }),
        }
    }

    async fn commit_alone(&self, agent: &Agent, message: &str) -> Result<Committed> {
        let workspace = self.workspace_of(agent.id).await?;
        let newest = worktree_of(&workspace).and_then(|record| record.branch);
        let branch = newest.unwrap_or_else(|| crate::worktrees::own_branch(agent));
        let (before, commit) = self
            .reap_into(agent, &workspace, (&branch, message))
            .await?;
        let branch = commit.is_some().then_some(branch);
        if before != commit {
            let newest = |record: &mut crate::WorktreeRecord| {
                record.branch.clone_from(&branch);
                record.fault = None;
            };
            self.note_work(&workspace, newest, None).await?;
        }
        Ok(Committed {
            workspace: workspace.id,
            branch,
            before,
            commit,
        })
    }
}
