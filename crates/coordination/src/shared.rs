//! Snapshots of agents' workspaces where every node finds them: taken before the commit that says what an
//! effect came to, and named in it. So the newest that is named is the workspace as the journal has it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_core::{
    Agent, AgentId, AgentState, Change, Decision, NamedSnapshot, Workspace, WorkspaceId,
    error_chain,
};
use fusion_persistence::{Batch, Page, Repository as _, WorkspaceFilter};
use fusion_workspaces::{SharedSnapshots, WorkspaceDir};

use crate::coordinator::off_runtime;
use crate::worker::Job;
use crate::{Coordinator, Result, granted_to};

/// The snapshots that this process takes, by whose workspace it is.
#[derive(Debug, Default)]
pub(crate) struct Sharing(Mutex<HashMap<AgentId, Arc<SharedSnapshots>>>);

impl Sharing {
    fn known(&self) -> MutexGuard<'_, HashMap<AgentId, Arc<SharedSnapshots>>> {
        // Each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A workspace of which snapshots are kept.
#[derive(Debug, Clone)]
pub(crate) struct KeptWorkspace {
    id: WorkspaceId,
    dir: Arc<WorkspaceDir>,
    snapshots: Arc<SharedSnapshots>,
}

impl KeptWorkspace {
    /// Keeps the workspace as it is; gives what the next commit has to say of it.
    pub(crate) async fn keep(&self) -> Change {
        let (snapshots, dir) = (Arc::clone(&self.snapshots), Arc::clone(&self.dir));
        let taken = off_runtime(move || snapshots.take(&dir)).await;
        let snapshot = match taken {
            Ok(Ok(Ok(name))) => NamedSnapshot::Kept(name),
            Ok(Ok(Err(why))) => NamedSnapshot::Missing(why),
            Ok(Err(error)) => self.missing(error_chain(&error)),
            Err(error) => self.missing(error_chain(&error)),
        };
        Change::NameSnapshot {
            workspace_id: self.id,
            snapshot: Some(snapshot),
        }
    }

    fn missing(&self, why: String) -> NamedSnapshot {
        let path = self.dir.path().display();
        tracing::warn!(error = why, %path, "no snapshot of a workspace is kept");
        NamedSnapshot::Missing(why)
    }
}

impl Coordinator {
    /// The snapshots of an agent's workspace, where there is a place for them.
    pub(crate) fn snapshots_of(&self, agent: &Agent) -> Option<Arc<SharedSnapshots>> {
        let shared = self.parts.shared.as_ref()?;
        let mut known = self.sharing.known();
        let snapshots = known.entry(agent.id).or_insert_with(|| {
            let (owner, writer) = (agent.id.to_string(), self.node.to_string());
            let staged = self.options.archives_root.with_file_name("staged");
            let most = granted_to(agent).limits.snapshot;
            Arc::new(shared.snapshots((&owner, &writer), &staged, most))
        });
        Some(Arc::clone(snapshots))
    }

    /// The workspace of a job's agent, where snapshots of it are kept: nobody else may be at work there.
    pub(crate) async fn kept_workspace(
        &self,
        job: &Job<'_>,
        workspace: &Workspace,
        dir: &Arc<WorkspaceDir>,
    ) -> Result<Option<KeptWorkspace>> {
        let snapshots = self.snapshots_of(&job.agent);
        let is_alone = !job.plan.folders.are_shared(&job.agent);
        let Some(snapshots) = snapshots.filter(|_| is_alone) else {
            return Ok(None);
        };
        let named = match self.parts.store.snapshot_of(workspace.id).await? {
            Some(NamedSnapshot::Kept(name)) => Some(name),
            Some(NamedSnapshot::Missing(_)) | None => None,
        };
        snapshots.follow(named.as_deref());
        Ok(Some(KeptWorkspace {
            id: workspace.id,
            dir: Arc::clone(dir),
            snapshots,
        }))
    }

    /// Removes the snapshots of agents that have ended. What fails is done the next time.
    pub(crate) async fn forget_snapshots(&self) {
        if let Err(error) = self.clear_shared().await {
            tracing::warn!(error = error_chain(&error), "snapshots were not looked at");
        }
    }

    /// Removes the snapshots of agents that have ended, whoever took them.
    async fn clear_shared(&self) -> Result<()> {
        for owner in self.owners().await? {
            let agent: Option<Agent> = self.parts.store.find(owner).await?;
            // One that is not known here may be known in another database.
            if let Some(agent) = agent.filter(|agent| agent.state == AgentState::Terminated) {
                self.discard_shared(&agent).await?;
            }
        }
        Ok(())
    }

    /// Removes the snapshots of these agents, which have just ended.
    pub(crate) async fn discard_all_shared(&self, ended: &[Agent]) -> Result<()> {
        if ended.is_empty() {
            return Ok(());
        }
        let owners = self.owners().await?;
        for agent in ended.iter().filter(|agent| owners.contains(&agent.id)) {
            self.discard_shared(agent).await?;
        }
        Ok(())
    }

    /// Of whose workspaces there are snapshots.
    async fn owners(&self) -> Result<BTreeSet<AgentId>> {
        let Some(shared) = self.parts.shared.clone() else {
            return Ok(BTreeSet::new());
        };
        let owners = off_runtime(move || shared.owners()).await?;
        let owners = owners.unwrap_or_else(|error| {
            // It is looked at again.
            tracing::warn!(error = error_chain(&error), "snapshots can't be looked for");
            Vec::new()
        });
        let owners = owners.iter().filter_map(|name| name.parse().ok());
        Ok(owners.collect())
    }

    /// Forgets the snapshots of a workspace, then removes them.
    async fn discard_shared(&self, agent: &Agent) -> Result<()> {
        let Some(snapshots) = self.snapshots_of(agent) else {
            return Ok(());
        };
        let filter = WorkspaceFilter {
            agent: Some(agent.id),
        };
        let found: Vec<Workspace> = self.parts.store.list(&filter, Page::first(1)).await?;
        let forget = found.into_iter().map(|workspace| Change::NameSnapshot {
            workspace_id: workspace.id,
            snapshot: None,
        });
        let mut decision = Decision::default();
        decision.changes.extend(forget);
        self.commit(Batch::free(decision)).await?;
        if let Err(error) = off_runtime(move || snapshots.discard()).await? {
            // They are looked for again.
            tracing::warn!(error = error_chain(&error), agent.id = %agent.id, "snapshots could not be removed");
        }
        self.sharing.known().remove(&agent.id);
        Ok(())
    }
}
