//! Workspaces of agents that have ended, removed when a person says so: never with the only copy of
//! work, unless that is said too.

use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentState, Change, Decision, EventType, Workspace, error_chain,
};
use fusion_persistence::{Batch, Page, Repository as _, WorkspaceFilter};
use fusion_workspaces::{Seat, Usage, WorkspaceDir};
use serde_json::{Value, json};

use crate::coordinator::off_runtime;
use crate::races::Races;
use crate::spawn::of_workspace;
use crate::worktrees::{note_newest, worktree_of};
use crate::{Coordinator, Error, Result};

/// Workspaces that are looked at in one go.
const AT_ONCE: u32 = 1_000;

/// In the record of a workspace that is being removed: what is missing of it is gone for good.
pub(super) const DISCARDING: &str = "discarding";

/// How workspaces are removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Discarding {
    /// Also what is nowhere else.
    pub only_copies: bool,
    /// Nothing is changed: it is only said what would be.
    pub dry_run: bool,
}

/// A workspace that is, or would be, no more.
#[derive(Debug, Clone, PartialEq)]
pub struct Discarded {
    /// Whose it was.
    pub agent: Agent,
    /// Its record as it is now.
    pub workspace: Workspace,
    /// What it held; nothing where it was gone already.
    pub usage: Usage,
}

/// A workspace that stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Left {
    /// Whose it is.
    pub agent: Agent,
    /// Its record.
    pub workspace: Workspace,
    /// Why.
    pub why: String,
}

impl Coordinator {
    /// Removes the workspace of an agent that has ended. What is in its worktree is taken in first. One that
    /// is gone already is no fault. After a death at any moment it can be done again.
    ///
    /// # Errors
    /// There is no such agent, it has not ended, its work can't be taken in, a run that has not ended takes
    /// over what is in the workspace, or it holds what is nowhere else: it stays as it is.
    pub async fn discard_workspace(&self, id: AgentId, how: Discarding) -> Result<Discarded> {
        let agent: Agent = self.parts.store.get(id).await?;
        let Some(_taken) = self.in_hand.take(vec![id]) else {
            return Err(Error::Busy { agent: agent.name });
        };
        if agent.state != AgentState::Terminated {
            return Err(Error::Lives { agent: agent.name });
        }
        let workspace = self.workspace_of(id).await?;
        let none = Discarded {
            agent: agent.clone(),
            workspace: workspace.clone(),
            usage: Usage::default(),
        };
        if !workspace.initialized {
            return Ok(none);
        }
        // A worker of it may still be on its way out.
        self.crew.gone(id).await;
        let mut _alone = None;
        let usage = match self.opened_workspace(&agent, &workspace).await {
            Ok(dir) => {
                _alone = self.seat_to_discard(&agent, dir.clone()).await?;
                self.to_discard(&agent, &workspace, dir, how).await?
            }
            Err(error) if is_missing(&error) && (how.only_copies || is_marked(&workspace)) => {
                Usage::default()
            }
            Err(error) => return Err(error),
        };
        self.check_unwanted(&agent, &workspace).await?;
        if how.dry_run {
            return Ok(Discarded { usage, ..none });
        }
        if !is_marked(&workspace) {
            // What is left of one whose removal was begun is no worktree any more.
            let newest = self.reap_last(&agent, &workspace).await?;
            self.mark_discarding(&agent, &workspace, newest.as_deref())
                .await?;
        }
        self.remove_tree(&agent, &workspace).await?;
        let workspace = self.note_gone(&agent, &workspace).await?;
        Ok(Discarded {
            agent,
            workspace,
            usage,
        })
    }

    /// Removes the workspaces of all agents that ended so long ago; says what went and what stayed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn collect_workspaces(
        &self,
        older_than: Duration,
        how: Discarding,
    ) -> Result<(Vec<Discarded>, Vec<Left>)> {
        let (mut gone, mut left) = (Vec::new(), Vec::new());
        let mut page = Page::first(AT_ONCE);
        loop {
            let filter = WorkspaceFilter::default();
            let rows: Vec<Workspace> = self.parts.store.list(&filter, page).await?;
            let Some(last) = rows.last() else {
                return Ok((gone, left));
            };
            page.after = Some(last.id);
            for workspace in rows.into_iter().filter(|row| row.initialized) {
                let agent: Agent = self.parts.store.get(workspace.agent_id).await?;
                if agent.state != AgentState::Terminated {
                    continue;
                }
                let why = if !self.has_ended_for(&agent, older_than) {
                    "its agent ended later than that".to_owned()
                } else if self.is_elsewhere(&agent, &workspace).await {
                    "its folder is not here: it may be on another machine, or on a disk that is not mounted"
                        .to_owned()
                } else {
                    match self.discard_workspace(agent.id, how).await {
                        Ok(done) => {
                            gone.push(done);
                            continue;
                        }
                        Err(Error::Store(error)) => return Err(Error::Store(error)),
                        Err(error) => error_chain(&error),
                    }
                };
                left.push(Left {
                    agent,
                    workspace,
                    why,
                });
            }
        }
    }

    /// Others may be taking in what is in it; not where the file system knows no locks.
    pub(super) async fn seat_to_discard(
        &self,
        agent: &Agent,
        dir: WorkspaceDir,
    ) -> Result<Option<Seat>> {
        match self.seat_alone(agent, dir).await {
            Err(Error::Workspace { .. }) => Ok(None),
            seat => seat.map(Some),
        }
    }

    /// Whether its folder is not there, without a removal that was begun here.
    pub(crate) async fn is_elsewhere(&self, agent: &Agent, workspace: &Workspace) -> bool {
        let opened = self.opened_workspace(agent, workspace).await;
        opened.is_err_and(|error| is_missing(&error)) && !is_marked(workspace)
    }

    /// Nothing changes the row of an agent that has ended.
    fn has_ended_for(&self, agent: &Agent, time: Duration) -> bool {
        let since = self.parts.clock.now() - agent.updated_at;
        since.to_std().is_ok_and(|since| since >= time)
    }

    /// What a workspace takes, once it is sure that it may go.
    async fn to_discard(
        &self,
        agent: &Agent,
        workspace: &Workspace,
        dir: WorkspaceDir,
        how: Discarding,
    ) -> Result<Usage> {
        let record = worktree_of(workspace);
        let looked = off_runtime(move || {
            let worktree = record.as_ref();
            let worktree = worktree.map(|it| (it.folder.as_str(), it.base.as_str()));
            let only_here = dir.only_here(worktree)?;
            dir.measure().map(|usage| (usage, only_here))
        });
        let (usage, only_here) = looked
            .await?
            .map_err(|source| of_workspace(agent, source))?;
        if !only_here.is_nothing() && !how.only_copies && !is_marked(workspace) {
            return Err(Error::OnlyCopy {
                agent: agent.name.clone(),
                path: workspace.root_path.clone(),
                files: only_here.usage.files,
                bytes: only_here.usage.bytes,
                branches: only_here.branches,
            });
        }
        Ok(usage)
    }

    /// Notes that a workspace is being removed, and in which branch the last of its work is. A run that begins
    /// to take over what is in it writes the same record: of the two, the second sees the first.
    pub(super) async fn mark_discarding(
        &self,
        agent: &Agent,
        known: &Workspace,
        newest: Option<&str>,
    ) -> Result<()> {
        let mut races = Races::new();
        loop {
            let mut workspace: Workspace = self.parts.store.get(known.id).await?;
            self.check_unwanted(agent, &workspace).await?;
            if let Some(branch) = newest {
                note_newest(&mut workspace, branch);
            }
            if let Value::Object(config) = &mut workspace.agent_config {
                config.insert(DISCARDING.to_owned(), json!(true));
            }
            let decision = Decision::default().with(Change::update(workspace));
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                return Ok(());
            }
        }
    }

    async fn note_gone(&self, agent: &Agent, known: &Workspace) -> Result<Workspace> {
        let mut races = Races::new();
        loop {
            let workspace: Workspace = self.parts.store.get(known.id).await?;
            let workspace = super::end::gone(workspace, None);
            let told = format!("the workspace of {} is removed", agent.name);
            let event = agent.event(self.moment(), EventType::RecordChanged, None, told);
            let decision = Decision::default()
                .with(Change::update(workspace.clone()))
                .telling(event);
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                return Ok(workspace);
            }
        }
    }
}

fn is_missing(error: &Error) -> bool {
    let Error::Workspace { source, .. } = error else {
        return false;
    };
    matches!(source, fusion_workspaces::Error::NoWorkspace { .. })
}

/// Whether its removal was begun: what is left of it is no whole copy of anything.
pub(crate) fn is_marked(workspace: &Workspace) -> bool {
    workspace.agent_config.get(DISCARDING).is_some()
}
