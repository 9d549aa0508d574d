//! Undoing commands whose outcome was lost: which agents can have that, and where their snapshots are.
//!
//! A command is undone by putting its agent's workspace back. So that holds only where it reaches
//! nothing else, and where nobody else works in the workspace meanwhile.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

use fusion_agents::{Ending, JournalRefused, Undo};
use fusion_core::{Agent, AgentId, AgentState, NetworkAccess};
use fusion_workspaces::{Sandbox, Snapshot};

use crate::coordinator::off_runtime;
use crate::lost_workspaces::Entered;
use crate::worker::Job;
use crate::worktrees::is_done;
use crate::{Coordinator, Result, granted_to};

impl Coordinator {
    /// What undoes the commands of a job's agent, where that can be done.
    pub(crate) fn undo_of(&self, job: &Job<'_>, entered: &Entered) -> Option<Undo> {
        let agent = &job.agent;
        let granted = granted_to(agent);
        if !self.is_confined(agent) || job.plan.folders.are_shared(agent) {
            return None;
        }
        Some(Undo {
            workspace: entered.dir.clone()?,
            restored: entered.restored.clone(),
            snapshot: Arc::new(Snapshot::new(
                &self.snapshots(),
                &agent.id.to_string(),
                granted.limits.snapshot,
            )),
        })
    }

    /// Whether an agent's commands reach nothing but its workspace.
    pub(crate) fn is_confined(&self, agent: &Agent) -> bool {
        let granted = granted_to(agent);
        let is_held = self.parts.launcher.sandbox() == Sandbox::On;
        is_held && granted.network == NetworkAccess::None && granted.write.is_empty()
    }

    /// Removes the snapshot of the agent's workspace when the work on a task came to its end.
    pub(crate) async fn forget_snapshot(
        &self,
        job: &Job<'_>,
        ending: &std::result::Result<Ending, JournalRefused>,
    ) -> Result<()> {
        if is_done(ending) {
            self.discard_snapshot(job.agent.id).await?;
        }
        Ok(())
    }

    /// Removes the snapshot of an agent's workspace: nothing is left that it could undo.
    pub(crate) async fn discard_snapshot(&self, agent: AgentId) -> Result<()> {
        let snapshot = Snapshot::new(&self.snapshots(), &agent.to_string(), None);
        if let Err(error) = off_runtime(move || snapshot.discard()).await? {
            // It is looked for again.
            tracing::warn!(%error, agent.id = %agent, "a snapshot could not be removed");
        }
        Ok(())
    }

    /// Removes the snapshots of agents that have ended.
    pub(crate) async fn clear_snapshots(&self) -> Result<()> {
        let folder = self.snapshots();
        let names = off_runtime(move || {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
            names.collect::<Vec<_>>()
        });
        for name in names.await? {
            let Ok(id) = AgentId::from_str(&name) else {
                continue;
            };
            let agent: Option<Agent> = self.parts.store.find(id).await?;
            if agent.is_none_or(|agent| agent.state == AgentState::Terminated) {
                self.discard_snapshot(id).await?;
            }
        }
        Ok(())
    }

    /// The folder of the snapshots: beside that of the archives.
    fn snapshots(&self) -> PathBuf {
        self.options.archives_root.with_file_name("snapshots")
    }
}
