//! The port behind `--dry-run`.

use async_trait::async_trait;
use fusion_api_types::{DryRun, Problem};

use super::{Leaving, ProjectUpdate};
use crate::args::{PauseWhen, WorkspacePolicy};

/// What could be done. What a text means, the command says that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `agent pause`.
    PauseAgent {
        /// Which agent.
        agent: String,
        /// When it stops with what it does.
        at: PauseWhen,
    },
    /// `agent terminate`.
    TerminateAgents {
        /// Which agents.
        agents: Leaving,
        /// What becomes of their workspaces.
        workspace: WorkspacePolicy,
    },
    /// `task cancel`.
    CancelTask(String),
    /// `run pause`.
    PauseRun {
        /// Which run.
        run: String,
        /// What is under way is cut off.
        now: bool,
    },
    /// `run cancel`.
    CancelRun(String),
    /// `workflow delete`.
    DeleteWorkflow {
        /// Which workflow.
        workflow: String,
        /// Which version; the newest without it.
        version: Option<u32>,
    },
    /// `workflow cancel`.
    CancelWorkflow(String),
    /// `schedule delete`.
    DeleteSchedule(String),
    /// `webhook remove`.
    RemoveWebhook(String),
    /// `project archive`.
    ArchiveProject(String),
    /// `project delete`.
    DeleteProject(String),
    /// `budget clear`.
    UpdateProject(ProjectUpdate),
    /// `capability delete`.
    DeleteCapability(String),
    /// `token revoke`.
    RevokeToken(String),
    /// `provider remove`.
    RemoveProvider {
        /// Which provider.
        provider: String,
        /// Also when an interrupted run needs it.
        force: bool,
    },
}

/// Says what an operation would change.
#[async_trait]
pub trait DryRuns {
    /// Checks everything that the operation checks, changes nothing, and says what it would change.
    ///
    /// # Errors
    /// Those of the operation.
    async fn dry_run(&self, operation: &Operation) -> Result<DryRun, Problem>;
}
