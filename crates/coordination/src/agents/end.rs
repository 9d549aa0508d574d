//! Ending agents: their work, their processes, their workspaces.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentState, Change, Decision, Disposal, Orphans, PauseAt, Run, RunId, Task,
    Workspace,
};
use fusion_persistence::{Batch, Fence, Guard, Page, Repository, WorkspaceFilter};
use fusion_workspaces::Seat;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::discard::{DISCARDING, is_marked};
use super::refused;
use crate::coordinator::off_runtime;
use crate::plan::end_standalone;
use crate::races::Races;
use crate::seats::LOOK;
use crate::spawn::{of_workspace, text};
use crate::{Coordinator, Error, Result};

/// How long a step that was cut off may be on its way out, on whichever node.
const WAY_OUT: Duration = Duration::from_secs(5);

impl Coordinator {
    /// Ends an agent for good: its open work is settled, its processes are gone and its workspace is
    /// dealt with when this returns.
    ///
    /// Work that any capable agent may do and that was not begun goes back to the queue, when another
    /// agent of the run can do it. Any other ends, and with it what needs it. With `Archive` and
    /// `Remove` the agent is held first and has ended last: after a crash the next start goes on.
    ///
    /// # Errors
    /// There is no such agent, it is being spawned or has ended, or its workspace can't be dealt
    /// with: it is held then, and can be ended again.
    pub async fn terminate_agent(&self, id: AgentId, disposal: Disposal) -> Result<Agent> {
        self.terminate_agent_if(id, disposal, &[]).await
    }

    /// The same for an agent that is in one of these states as it ends; without any in whichever.
    ///
    /// # Errors
    /// As [`terminate_agent`](Self::terminate_agent); also when it is in another state by then: nothing is
    /// changed of it.
    pub async fn terminate_agent_if(
        &self,
        id: AgentId,
        disposal: Disposal,
        states: &[AgentState],
    ) -> Result<Agent> {
        let Some(taken) = self.in_hand.take(vec![id]) else {
            let agent: Agent = self.parts.store.get(id).await?;
            return Err(Error::Busy { agent: agent.name });
        };
        // A dry run keeps nobody out.
        let _taken = Some(taken).filter(|_| !self.is_dry_run);
        let (agent, runs) = self.end_work(id, disposal, states).await?;
        self.crew.stop(id, PauseAt::Now);
        self.crew.gone(id).await;
        self.discard_snapshot(id).await?;
        if agent.state == AgentState::Terminated {
            self.discard_all_shared(std::slice::from_ref(&agent))
                .await?;
        }
        for run in runs {
            self.finish_if_done(run).await?;
        }
        match disposal {
            Disposal::Keep => Ok(agent),
            Disposal::Archive | Disposal::Remove => self.finish_ending(id, WAY_OUT).await,
        }
    }

    /// Settles what an agent works on and holds or ends it, in one commit, where it is in one of these
    /// states; says which runs that touched.
    async fn end_work(
        &self,
        id: AgentId,
        disposal: Disposal,
        states: &[AgentState],
    ) -> Result<(Agent, BTreeSet<RunId>)> {
        let mut races = Races::new();
        loop {
            let agent: Agent = self.parts.store.get(id).await?;
            expect_one_of(&agent, states)?;
            let open = self.open_tasks(&agent).await?;
            let mut runs: BTreeSet<RunId> = open.iter().map(|task| task.run_id).collect();
            runs.extend(agent.run_id);
            let (mut decision, mut guard) = (Decision::default(), Guard::Free);
            for run in &runs {
                let (mut settled, held) = self.orphaned(&agent, *run).await?;
                let found: Run = self.parts.store.get(*run).await?;
                end_standalone(&found, &mut settled, self.moment())?;
                decision.merge(settled);
                guard = held.map_or(guard, Guard::Held);
                if self.is_dry_run {
                    decision.merge(self.ends_below(*run, &decision).await?);
                }
            }
            let mut disposal = disposal;
            if self.is_dry_run {
                // What comes after the last commit is told with the first.
                decision
                    .changes
                    .extend(self.disposed(&agent, disposal).await?);
                disposal = Disposal::Keep;
            }
            let agent = self.ending(agent, &open, disposal, &mut decision)?;
            let batch = Batch::new(guard, decision);
            if self.try_to_commit(batch, &mut races).await? {
                for task in open {
                    // Some are back in the pool.
                    let agent_id = None;
                    self.hint_pool(&Task { agent_id, ..task }, None);
                }
                return Ok((agent, runs));
            }
        }
    }

    /// What is written of a workspace that is packed or removed, for a dry run.
    async fn disposed(&self, agent: &Agent, disposal: Disposal) -> Result<Option<Change>> {
        let workspace = self.workspace_of(agent.id).await?;
        let archive = match disposal {
            Disposal::Keep => return Ok(None),
            Disposal::Archive => Some(self.archive_of(&workspace)),
            Disposal::Remove => None,
        };
        self.check_unwanted(agent, &workspace).await?;
        Ok(Some(Change::update(gone(workspace, archive.as_ref()))))
    }

    /// Ends an agent, or holds it until its workspace is dealt with.
    fn ending(
        &self,
        agent: Agent,
        open: &[Task],
        disposal: Disposal,
        decision: &mut Decision,
    ) -> Result<Agent> {
        let (refused, moment) = (refused(&agent), self.moment());
        match disposal {
            Disposal::Keep => {
                let run = open.first().map(|task| task.run_id);
                let (agent, ended) = agent.terminate(disposal, run, moment).map_err(refused)?;
                decision.merge(ended);
                Ok(agent)
            }
            Disposal::Archive | Disposal::Remove => {
                let (agent, change) = agent.begin_ending(disposal, moment).map_err(refused)?;
                decision.changes.push(change);
                Ok(agent)
            }
        }
    }

    async fn orphaned(&self, agent: &Agent, run: RunId) -> Result<(Decision, Option<Fence>)> {
        let store = &self.parts.store;
        let others = store.agents_of_run(run).await?;
        let others: Vec<Agent> = others.into_iter().map(|(agent, _)| agent).collect();
        let tasks: Vec<Task> = store.tasks_of_run(run).await?;
        let orphans = Orphans {
            agent,
            others: &others,
            tasks: &tasks,
        };
        let held = orphans.held().map(|task| Fence {
            task: task.id,
            number: task.fence,
        });
        Ok((orphans.settle(self.moment())?, held))
    }

    /// Ends a run that has nothing left to do, whoever drives it: maybe nobody does.
    async fn finish_if_done(&self, run: RunId) -> Result<()> {
        let found: Run = self.parts.store.get(run).await?;
        if found.open_tasks > 0 || found.state.is_final() {
            return Ok(());
        }
        let plan = self.plan(found.clone()).await?;
        self.finish(&plan, found).await.map(|_| ())
    }

    /// Deals with the workspace of an agent that was told to end, then ends it. Whoever is at work in the
    /// workspace is waited for so long.
    pub(super) async fn finish_ending(&self, id: AgentId, patience: Duration) -> Result<Agent> {
        let store = &self.parts.store;
        let agent: Agent = store.get(id).await?;
        let workspace = self.workspace_of(id).await?;
        if agent.state == AgentState::Terminated {
            return Ok(agent);
        }
        let archive = match agent.ending() {
            Some(disposal @ (Disposal::Archive | Disposal::Remove)) => {
                let _alone = self.seat_to_end(&agent, &workspace, patience).await?;
                self.dispose_of(&agent, &workspace, disposal).await?
            }
            Some(Disposal::Keep) | None => None,
        };
        let mut races = Races::new();
        loop {
            let agent: Agent = store.get(id).await?;
            let refused = refused(&agent);
            let disposal = agent.ending().unwrap_or(Disposal::Keep);
            let ended = agent.terminate(disposal, None, self.moment());
            let (agent, mut decision) = ended.map_err(refused)?;
            // The last worker may have written down what it takes since it was read.
            let gone = gone(store.get(workspace.id).await?, archive.as_ref());
            decision.changes.push(Change::update(gone));
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                self.discard_all_shared(std::slice::from_ref(&agent))
                    .await?;
                return Ok(agent);
            }
        }
    }

    /// Packs a workspace, or takes in the last of its work, and removes it; says where it is packed. Of one
    /// whose removal was begun before a crash the rest is removed: it is no whole copy of anything.
    async fn dispose_of(
        &self,
        agent: &Agent,
        workspace: &Workspace,
        disposal: Disposal,
    ) -> Result<Option<PathBuf>> {
        let archive = if is_marked(workspace) {
            Some(self.archive_of(workspace)).filter(|archive| archive.exists())
        } else {
            // Each sweep would pack another copy.
            self.check_unwanted(agent, workspace).await?;
            let (archive, newest) = match disposal {
                Disposal::Archive => (Some(self.archive_workspace(agent, workspace).await?), None),
                Disposal::Remove | Disposal::Keep => {
                    (None, self.reap_last(agent, workspace).await?)
                }
            };
            self.mark_discarding(agent, workspace, newest.as_deref())
                .await?;
            archive
        };
        self.remove_tree(agent, workspace).await?;
        Ok(archive)
    }

    /// The only seat in the workspace of an agent that ends; `None` where there is no folder, or its file
    /// system knows no locks.
    async fn seat_to_end(
        &self,
        agent: &Agent,
        workspace: &Workspace,
        patience: Duration,
    ) -> Result<Option<Seat>> {
        let dir = match self.opened_workspace(agent, workspace).await {
            Err(Error::Workspace { .. }) => return Ok(None),
            opened => opened?,
        };
        let began = Instant::now();
        loop {
            match self.seat_to_discard(agent, dir.clone()).await {
                Err(Error::AtWork { .. }) if began.elapsed() < patience => sleep(LOOK).await,
                Err(Error::AtWork { agent }) => return Err(Error::Occupied { agent }),
                seat => return seat,
            }
        }
    }

    /// Removes the folder of a workspace; it is no fault when it is gone.
    pub(super) async fn remove_tree(&self, agent: &Agent, workspace: &Workspace) -> Result<()> {
        let workspaces = self.workspaces_of(workspace);
        let name = workspace.dir_name().to_owned();
        let removed = off_runtime(move || workspaces.remove(&name)).await?;
        removed.map_err(|source| of_workspace(agent, source))
    }

    /// The record of the workspace of an agent.
    pub(crate) async fn workspace_of(&self, id: AgentId) -> Result<Workspace> {
        let filter = WorkspaceFilter { agent: Some(id) };
        let found = self.parts.store.list(&filter, Page::first(1)).await?.pop();
        found.ok_or_else(|| Error::Broken(format!("agent {id} has no workspace")))
    }

    /// Packs a workspace; says where to. One that is gone was packed before a crash.
    async fn archive_workspace(&self, agent: &Agent, workspace: &Workspace) -> Result<PathBuf> {
        let into = self.options.archives_root.clone();
        let earlier = self.archive_of(workspace);
        let (workspaces, uid) = (self.workspaces_of(workspace), workspace.process_uid);
        let name = workspace.dir_name().to_owned();
        let packed = off_runtime(move || match workspaces.archive(&name, uid, &into) {
            Ok(archive) => Ok(archive.path),
            Err(fusion_workspaces::Error::NoWorkspace { .. }) if earlier.exists() => Ok(earlier),
            Err(error) => Err(error),
        })
        .await?;
        packed.map_err(|source| of_workspace(agent, source))
    }

    /// Where a workspace is packed to.
    fn archive_of(&self, workspace: &Workspace) -> PathBuf {
        let file = format!("{}.tar", workspace.dir_name());
        self.options.archives_root.join(file)
    }
}

/// Refuses an agent that is in none of these states; without any, none.
fn expect_one_of(agent: &Agent, states: &[AgentState]) -> Result<()> {
    if states.is_empty() || states.contains(&agent.state) {
        return Ok(());
    }
    Err(Error::InOtherState {
        agent: agent.name.clone(),
        state: agent.state,
        asked: states.to_vec(),
    })
}

/// In the record of a workspace that was packed: the file.
pub(crate) const ARCHIVE: &str = "archive";

/// The record of a workspace that is no more: its user id is free again.
pub(super) fn gone(mut workspace: Workspace, archive: Option<&PathBuf>) -> Workspace {
    workspace.initialized = false;
    workspace.process_uid = None;
    if let Value::Object(config) = &mut workspace.agent_config {
        config.remove(DISCARDING);
        if let Some(archive) = archive {
            config.insert(ARCHIVE.to_owned(), json!(text(archive)));
        }
    }
    workspace
}
