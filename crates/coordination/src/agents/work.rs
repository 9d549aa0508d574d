//! What a person has taken in of a worktree while no step is at work on it.

use fusion_core::{Agent, AgentId, AgentState, PauseAt, TaskState, WorkspaceId};
use fusion_persistence::{Batch, Repository as _};

use super::{held, refused};
use crate::races::Races;
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
    /// as the end of a step does it. An agent that waits for work is held meanwhile; after a death it stays
    /// paused. `None` where it has no worktree.
    ///
    /// # Errors
    /// There is no such agent, a step of it is at work, its workspace is gone, or git fails.
    pub async fn commit_worktree(&self, id: AgentId, message: &str) -> Result<Option<Committed>> {
        let agent: Agent = self.parts.store.get(id).await?;
        let Some(_taken) = self.in_hand.take(vec![id]) else {
            return Err(Error::Busy { agent: agent.name });
        };
        if worktree_of(&self.workspace_of(id).await?).is_none() {
            return Ok(None);
        }
        let is_ours = self.held_at_rest(id).await?;
        self.crew.gone(id).await;
        let done = self.commit_held(&agent, message).await;
        if is_ours {
            match self.resume_agent(id).await {
                // Somebody else let it go on, or ended it.
                Ok(_) | Err(Error::Lifecycle { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        done.map(Some)
    }

    /// Makes sure that no step of an agent begins; says whether it was held for this.
    async fn held_at_rest(&self, id: AgentId) -> Result<bool> {
        let mut races = Races::new();
        loop {
            let agent: Agent = self.parts.store.get(id).await?;
            let tasks = self.open_tasks(&agent).await?;
            let is_at_work = held(&tasks).is_some_and(|task| task.state == TaskState::Running);
            match agent.state {
                AgentState::Idle => {}
                AgentState::Paused | AgentState::Error if is_at_work || self.crew.has(id) => {
                    return Err(Error::AtWork { agent: agent.name });
                }
                AgentState::Paused | AgentState::Error | AgentState::Terminated => {
                    return Ok(false);
                }
                AgentState::Working | AgentState::Spawning => {
                    return Err(Error::AtWork { agent: agent.name });
                }
            }
            let refused = refused(&agent);
            let paused = agent.pause(PauseAt::NextStep, None, self.moment());
            let (_, decision) = paused.map_err(refused)?;
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                return Ok(true);
            }
        }
    }

    async fn commit_held(&self, agent: &Agent, message: &str) -> Result<Committed> {
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
