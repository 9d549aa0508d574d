//! What an operation would change, without changing it.
//!
//! Every operation reads, decides by a rule, and commits what was decided; only then does it act on
//! workers, files and the bus. In a dry run it is the same operation, whose first commit is tried in a
//! transaction that is rolled back and ends the operation there: all that is checked before, and all that
//! the store checks, is checked. What is told are the rows of that decision, so an operation of several
//! commits puts into it what the later ones would write.

use std::future::Future;

use fusion_core::{
    AgentId, ApiTokenId, ApprovalId, CapabilityId, Change, Decision, ProjectId, ProviderId, Row,
    RowKind, Run, RunId, ScheduleId, TaskId, WebhookId, WorkflowId, Workspace, WorkspaceId,
};
use fusion_persistence::{Find, Identifies, Store};
use uuid::Uuid;

use crate::agents::ARCHIVE;
use crate::{Coordinator, Error, Result};

/// A row that an operation would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldChange {
    /// What kind of row.
    pub kind: RowKind,
    /// Its id.
    pub id: Uuid,
    /// What people call it: the name of its workflow for a run, its path for a workspace.
    pub name: String,
    /// Its state now; `None` for what has none, or is not there yet.
    pub state: Option<String>,
    /// Its state then, or `created`, `changed` or `deleted`.
    pub becomes: String,
}

impl Coordinator {
    /// Tries an operation, which is handed an engine that writes nothing, and says what it would change, in
    /// the order in which it would be written. Nothing where it would change nothing.
    ///
    /// # Errors
    /// Those of the operation.
    pub async fn dry_run<T, F>(
        &self,
        operation: impl FnOnce(Self) -> F + Send,
    ) -> Result<Vec<WouldChange>>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let dry = Self {
            is_dry_run: true,
            ..self.clone()
        };
        match operation(dry).await {
            Err(Error::DryRun(decision)) => self.would_change(&decision).await,
            Err(error) => Err(error),
            Ok(_) => Ok(Vec::new()),
        }
    }

    /// The rows of a decision, each once, as it would be at the end.
    async fn would_change(&self, decision: &Decision) -> Result<Vec<WouldChange>> {
        let mut rows: Vec<WouldChange> = Vec::new();
        for touched in decision.changes.iter().filter_map(Touched::by) {
            let (kind, id) = (touched.kind, touched.id);
            let now = self.stored(kind, id).await?;
            let becomes = touched.becomes(now.as_ref());
            if let Some(known) = rows.iter_mut().find(|row| (row.kind, row.id) == (kind, id)) {
                known.becomes = becomes;
                continue;
            }
            rows.push(WouldChange {
                kind,
                id,
                name: now.as_ref().or(touched.then).map(name).unwrap_or_default(),
                state: now.as_ref().and_then(state),
                becomes,
            });
        }
        Ok(rows)
    }

    /// A row as it is now.
    async fn stored(&self, kind: RowKind, id: Uuid) -> Result<Option<Row>> {
        Ok(match kind {
            RowKind::Agent => self.row(AgentId::from_uuid(id)).await?,
            RowKind::ApiToken => self.row(ApiTokenId::from_uuid(id)).await?,
            RowKind::Approval => self.row(ApprovalId::from_uuid(id)).await?,
            RowKind::Capability => self.row(CapabilityId::from_uuid(id)).await?,
            RowKind::Project => self.row(ProjectId::from_uuid(id)).await?,
            RowKind::Provider => self.row(ProviderId::from_uuid(id)).await?,
            RowKind::Run => self.row(RunId::from_uuid(id)).await?,
            RowKind::Schedule => self.row(ScheduleId::from_uuid(id)).await?,
            RowKind::Task => self.row(TaskId::from_uuid(id)).await?,
            RowKind::Webhook => self.row(WebhookId::from_uuid(id)).await?,
            RowKind::Workflow => self.row(WorkflowId::from_uuid(id)).await?,
            RowKind::Workspace => self.row(WorkspaceId::from_uuid(id)).await?,
            // These never change.
            RowKind::Metrics | RowKind::WebhookAttempt => None,
        })
    }

    async fn row<I>(&self, id: I) -> Result<Option<Row>>
    where
        I: Identifies,
        I::Entity: Into<Row>,
        dyn Store: Find<I::Entity>,
    {
        Ok(self.parts.store.find(id).await?.map(Into::into))
    }
}

/// A row that a change writes; as it is then, unless it goes away.
struct Touched<'a> {
    kind: RowKind,
    id: Uuid,
    then: Option<&'a Row>,
}

impl<'a> Touched<'a> {
    /// Of changes that count or tell something beside a row nothing is said.
    fn by(change: &'a Change) -> Option<Self> {
        match change {
            Change::Create(row) | Change::Update(row) => Some(Self {
                kind: row.kind(),
                id: row.id(),
                then: Some(row),
            }),
            Change::Delete { kind, id, .. } => Some(Self {
                kind: *kind,
                id: *id,
                then: None,
            }),
            Change::DeleteRun(run) => Some(Self {
                kind: RowKind::Run,
                id: run.uuid(),
                then: None,
            }),
            Change::ReleaseSuccessors(_)
            | Change::ReleaseItem(_)
            | Change::FanOut { .. }
            | Change::CloseTasks { .. }
            | Change::BookUsage { .. }
            | Change::HoldRoom(_)
            | Change::SettleRoom { .. }
            | Change::Postpone { .. }
            | Change::CountDependencies(_)
            | Change::WakePool
            | Change::Wake { .. }
            | Change::WakeTask(_)
            | Change::Watch { .. }
            | Change::Reserve { .. }
            | Change::Progress { .. }
            | Change::NameSnapshot { .. }
            | Change::BeginEntry(_)
            | Change::UpdateEntry(_)
            | Change::ForgetFiles(_)
            | Change::SendMessage(_)
            | Change::SettleDeliveries(_) => None,
        }
    }

    fn becomes(&self, now: Option<&Row>) -> String {
        let (Some(then), Some(now)) = (self.then, now) else {
            let word = if self.then.is_some() {
                "created"
            } else {
                "deleted"
            };
            return word.to_owned();
        };
        let then = state(then).filter(|then| state(now).as_ref() != Some(then));
        then.unwrap_or_else(|| "changed".to_owned())
    }
}

/// What people call it.
fn name(row: &Row) -> String {
    match row {
        Row::Agent(agent) => agent.name.clone(),
        Row::ApiToken(token) => token.name.clone(),
        Row::Approval(approval) => approval.question.clone(),
        Row::Capability(capability) => capability.name.clone(),
        Row::Metrics(sample) => sample.id.to_string(),
        Row::Project(project) => project.name.clone(),
        Row::Provider(provider) => provider.name.clone(),
        Row::Run(run) => run.workflow_name.clone(),
        Row::Schedule(schedule) => schedule.name.clone(),
        Row::Task(task) => task.name.clone(),
        Row::Webhook(webhook) => webhook.name.clone(),
        Row::WebhookAttempt(attempt) => attempt.id.to_string(),
        Row::Workflow(workflow) => {
            format!("{} version {}", workflow.name, workflow.definition_version)
        }
        Row::Workspace(workspace) => workspace.root_path.clone(),
    }
}

/// The word for where it is in its life, where it has one.
fn state(row: &Row) -> Option<String> {
    let word = |is: bool, yes: &str, no: &str| if is { yes } else { no }.to_owned();
    match row {
        Row::Agent(agent) => Some(agent.state.to_string()),
        Row::ApiToken(token) => Some(word(token.revoked_at.is_some(), "revoked", "valid")),
        Row::Approval(approval) => Some(approval.state.to_string()),
        Row::Project(project) => Some(word(project.archived_at.is_some(), "archived", "open")),
        Row::Provider(provider) => Some(word(provider.enabled, "enabled", "disabled")),
        Row::Run(run) => Some(state_of_run(run)),
        Row::Schedule(schedule) => Some(word(schedule.is_paused, "paused", "on")),
        Row::Task(task) => Some(task.state.to_string()),
        Row::Webhook(webhook) => Some(webhook.state.to_string()),
        Row::Workspace(workspace) => Some(state_of_workspace(workspace).to_owned()),
        Row::Capability(_) | Row::Metrics(_) | Row::WebhookAttempt(_) | Row::Workflow(_) => None,
    }
}

fn state_of_run(run: &Run) -> String {
    if run.state.is_final() {
        run.state.to_string()
    } else if run.is_paused() {
        "paused".to_owned()
    } else if run.is_being_cancelled() {
        "being cancelled".to_owned()
    } else {
        run.state.to_string()
    }
}

/// As lists of workspaces have it.
fn state_of_workspace(workspace: &Workspace) -> &'static str {
    if workspace.initialized {
        "ready"
    } else if workspace.initialization_error.is_some() {
        "failed"
    } else if workspace.agent_config.get(ARCHIVE).is_some() {
        "archived"
    } else {
        "removed"
    }
}
