//! `--dry-run`: an operation is checked and told, here or by a server, and nothing is changed.
//!
//! The engine is opened as a guest: it neither takes up work nor clears what dead processes left. Where the
//! command itself would need the data directory for itself, so does its dry run.

use std::future::Future;
use std::str::FromStr;

use async_trait::async_trait;
use fusion_api::dry_run_view;
use fusion_api_types::api::{PauseRun, TaskChanges};
use fusion_api_types::{AgentLeft, DryRun, Problem, ProblemKind};
use fusion_cli::{
    DryRuns, Leaving, Operation, PauseWhen, ProjectUpdate, Records as _, Schedules as _,
    Webhooks as _, WorkspacePolicy,
};
use fusion_coordination::{
    Ask, Coordinator, Error as EngineError, Record, Result as Done, WouldChange,
};
use fusion_core::{
    ApiToken, ApiTokenId, CapabilityId, Disposal, PauseAt, Project, ProjectId, ScheduleId,
    WebhookId, error_chain,
};
use fusion_persistence::{Find, Identifies, Repository as _};
use fusion_persistence_sql::SqlStore;
use serde_json::json;

use crate::agents::find::parsed;
use crate::agents::{find_agent, leavers, no_agents, through};
use crate::backend::LocalBackend;
use crate::find::{find, no_runs};
use crate::project_budgets::Limits;
use crate::records::none;
use crate::remote::Remote;
use crate::tasks::{find_task, no_tasks};
use crate::wiring::Engine;
use crate::workflows::open_runs;
use crate::{problems, records};

#[async_trait]
impl DryRuns for LocalBackend {
    async fn dry_run(&self, operation: &Operation) -> Result<DryRun, Problem> {
        match operation {
            Operation::PauseAgent { agent, at } => self.try_to_pause(agent, *at).await,
            Operation::TerminateAgents { agents, workspace } => {
                self.try_to_terminate(agents, *workspace).await
            }
            Operation::CancelTask(task) => self.try_to_cancel_task(task).await,
            Operation::PauseRun { run, now } => self.try_to_pause_run(run, *now).await,
            Operation::CancelRun(run) => self.try_to_cancel_run(run).await,
            Operation::DeleteWorkflow { workflow, version } => {
                self.try_to_delete_workflow(workflow, *version).await
            }
            Operation::CancelWorkflow(workflow) => self.try_to_cancel_workflow(workflow).await,
            Operation::DeleteSchedule(name) => {
                let id = self.show_schedule(name).await?.id;
                self.try_to_delete::<ScheduleId>("/schedules", &id).await
            }
            Operation::RemoveWebhook(name) => {
                let id = self.show_webhook(name).await?.id;
                self.try_to_delete::<WebhookId>("/webhooks", &id).await
            }
            Operation::ArchiveProject(name) => self.try_to_archive(name).await,
            Operation::DeleteProject(name) => {
                let id = self.project_named(name).await?.id;
                self.try_to_delete::<ProjectId>("/projects", &id).await
            }
            Operation::UpdateProject(update) => self.try_to_update_project(update).await,
            Operation::DeleteCapability(name) => {
                let id = self.show_capability(name).await?.id;
                self.try_to_delete::<CapabilityId>("/capabilities", &id)
                    .await
            }
            Operation::RevokeToken(name) => self.try_to_revoke(name).await,
            Operation::RemoveProvider { provider, force } => {
                self.try_to_remove_provider(provider, *force).await
            }
        }
    }
}

impl LocalBackend {
    async fn try_to_pause(&self, agent: &str, at: PauseWhen) -> Result<DryRun, Problem> {
        if let Some(remote) = self.remote()? {
            let id = self.agent_of(&remote, agent).await?.id;
            let pause = through::pause(at.as_str());
            return remote
                .client()
                .try_patch(&format!("/agents/{id}"), &pause)
                .await;
        }
        let at = PauseAt::from_text(at.as_str()).unwrap_or(PauseAt::NextStep);
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let id = find_agent(reading.store(), reading.data_dir(), agent)
            .await?
            .id;
        self.tried_alone(|dry| async move { dry.pause_agent(id, at).await })
            .await
    }

    async fn try_to_terminate(
        &self,
        leaving: &Leaving,
        workspace: WorkspacePolicy,
    ) -> Result<DryRun, Problem> {
        if let Some(remote) = self.remote()? {
            return self.try_to_terminate_at(&remote, leaving, workspace).await;
        }
        let disposal = Disposal::from_text(workspace.as_str()).unwrap_or(Disposal::Keep);
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let agents = leavers(reading.store(), reading.data_dir(), leaving).await?;
        let _owned = self.data_dir()?.own().await?;
        let engine = self.guest().await?;
        let (mut changes, mut left) = (Vec::new(), Vec::new());
        for agent in agents {
            let id = agent.id;
            let end = |dry: Coordinator| async move { dry.terminate_agent(id, disposal).await };
            match engine.coordinator().dry_run(end).await {
                Ok(tried) => changes.extend(tried),
                Err(error) => left.push(AgentLeft {
                    id: id.to_string(),
                    name: agent.name,
                    why: error_chain(&error),
                }),
            }
        }
        engine.close().await;
        Ok(DryRun {
            left,
            ..dry_run_view(changes)
        })
    }

    async fn try_to_terminate_at(
        &self,
        remote: &Remote,
        leaving: &Leaving,
        workspace: WorkspacePolicy,
    ) -> Result<DryRun, Problem> {
        let agents = self.leavers_through(remote, leaving).await?;
        let workspace = [("workspace", workspace.as_str().to_owned())];
        let mut all = dry_run_view(Vec::new());
        for agent in agents {
            let path = format!("/agents/{}", agent.id);
            match remote.client().try_delete(&path, &workspace).await {
                Ok(tried) => all.changes.extend(tried.changes),
                Err(problem) if problem.kind == ProblemKind::Conflict => {
                    all.left.push(AgentLeft {
                        id: agent.id,
                        name: agent.name,
                        why: problem.message,
                    });
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(once(all))
    }

    async fn try_to_cancel_task(&self, task: &str) -> Result<DryRun, Problem> {
        if let Some(remote) = self.remote()? {
            let path = format!("/tasks/{}", remote.task_id(task).await?);
            let changes = TaskChanges {
                state: Some("cancelled".to_owned()),
                ..TaskChanges::default()
            };
            return remote.client().try_patch(&path, &changes).await;
        }
        let reading = self.reading().await?.ok_or_else(no_tasks)?;
        let id = find_task(reading.store(), reading.data_dir(), task)
            .await?
            .id;
        self.tried_alone(|dry| async move { dry.cancel_task(id, None).await })
            .await
    }

    async fn try_to_pause_run(&self, run: &str, now: bool) -> Result<DryRun, Problem> {
        let at = if now { PauseAt::Now } else { PauseAt::NextStep };
        if let Some(remote) = self.remote()? {
            let id = remote.run_id(Some(run), &[]).await?;
            let at = Some(at.as_str().to_owned());
            let pause = PauseRun { at };
            return remote
                .client()
                .try_post(&format!("/runs/{id}/pause"), &pause)
                .await;
        }
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let id = find(reading.store(), reading.data_dir(), Some(run))
            .await?
            .id;
        let by = self.person();
        self.tried(|dry| async move { dry.pause_run(id, at, &by).await })
            .await
    }

    async fn try_to_cancel_run(&self, run: &str) -> Result<DryRun, Problem> {
        if let Some(remote) = self.remote()? {
            let id = remote.run_id(Some(run), &[]).await?;
            let path = format!("/runs/{id}/cancel");
            return remote.client().try_post(&path, &json!({})).await;
        }
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let id = find(reading.store(), reading.data_dir(), Some(run))
            .await?
            .id;
        let by = self.person();
        self.tried(|dry| async move { dry.cancel_run(id, &by).await })
            .await
    }

    async fn try_to_delete_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<DryRun, Problem> {
        if let Some(remote) = self.remote()? {
            let id = remote.found(workflow, version).await?.id;
            return remote
                .client()
                .try_delete(&format!("/workflows/{id}"), &[])
                .await;
        }
        let row = self.stored_workflow(workflow, version).await?;
        self.tried(|dry| async move { dry.delete_record(&row, Ask::default()).await })
            .await
    }

    async fn try_to_cancel_workflow(&self, workflow: &str) -> Result<DryRun, Problem> {
        if let Some(remote) = self.remote()? {
            let mut all = dry_run_view(Vec::new());
            for run in remote.open_runs(workflow).await? {
                let path = format!("/runs/{}/cancel", run.id);
                match remote.client().try_post(&path, &json!({})).await {
                    Ok(tried) => all.changes.extend(tried.changes),
                    // One may have ended by itself since it was listed.
                    Err(problem) if problem.kind == ProblemKind::Conflict => {}
                    Err(problem) => return Err(problem),
                }
            }
            return Ok(once(all));
        }
        let found = self.stored_workflow(workflow, None).await?;
        let engine = self.guest().await?;
        let changes = self.ends_of(&engine, &found.name).await;
        engine.close().await;
        changes.map(dry_run_view)
    }

    /// What the ends of all open runs of a workflow would change.
    async fn ends_of(&self, engine: &Engine, name: &str) -> Result<Vec<WouldChange>, Problem> {
        let by = &self.person();
        let mut changes = Vec::new();
        for run in open_runs(engine, name).await? {
            let end = |dry: Coordinator| async move { dry.cancel_run(run.id, by).await };
            match engine.coordinator().dry_run(end).await {
                // One may have ended by itself since it was listed.
                Err(EngineError::Ended { .. }) => {}
                Err(error) => return Err(problems::of_engine(&error)),
                Ok(more) => changes.extend(more),
            }
        }
        Ok(changes)
    }

    async fn try_to_archive(&self, name: &str) -> Result<DryRun, Problem> {
        let found = self.project_named(name).await?;
        if let Some(remote) = self.remote()? {
            let path = format!("/projects/{}/archive", found.id);
            return remote.client().try_post(&path, &json!({})).await;
        }
        let id: ProjectId = parsed(&found.id)?;
        let ask = |_: &Project| Ask::default();
        self.tried(|dry| async move { dry.archive_project(id, true, ask).await })
            .await
    }

    async fn try_to_update_project(&self, update: &ProjectUpdate) -> Result<DryRun, Problem> {
        let found = self.project_named(&update.project).await?;
        let limits = Limits::of(&update.budgets)?;
        if let Some(remote) = self.remote()? {
            let path = format!("/projects/{}", found.id);
            return remote.client().try_patch(&path, &limits.members()).await;
        }
        let mut row = self.stored_row::<ProjectId>(&found.id).await?;
        limits.apply(&mut row);
        self.tried_alone(|dry| async move { dry.update_record(row, Ask::default()).await })
            .await
    }

    async fn try_to_revoke(&self, name: &str) -> Result<DryRun, Problem> {
        let id = self.token_named(name).await?.id;
        if let Some(remote) = self.remote()? {
            return remote
                .client()
                .try_delete(&format!("/tokens/{id}"), &[])
                .await;
        }
        let row: ApiToken = self.stored_row::<ApiTokenId>(&id).await?;
        self.tried_alone(|dry| async move { dry.revoke_token(row, Ask::default()).await })
            .await
    }

    async fn try_to_remove_provider(&self, name: &str, force: bool) -> Result<DryRun, Problem> {
        if let Some(remote) = self.remote()? {
            let path = format!("/providers/{}", remote.provider(name).await?);
            let force = force.then(|| ("force", force.to_string()));
            return remote.client().try_delete(&path, force.as_slice()).await;
        }
        let row = self.stored(name).await?;
        self.refuse_if_needed(name, force).await?;
        self.tried_alone(|dry| async move { dry.delete_record(&row, Ask::default()).await })
            .await
    }

    /// A row that people keep, which goes away.
    async fn try_to_delete<I>(&self, path: &str, id: &str) -> Result<DryRun, Problem>
    where
        I: Identifies + FromStr<Err: std::fmt::Display>,
        I::Entity: Record,
        SqlStore: Find<I::Entity>,
    {
        if let Some(remote) = self.remote()? {
            return remote
                .client()
                .try_delete(&format!("{path}/{id}"), &[])
                .await;
        }
        let row = self.stored_row::<I>(id).await?;
        self.tried_alone(|dry| async move { dry.delete_record(&row, Ask::default()).await })
            .await
    }

    async fn stored_row<I>(&self, id: &str) -> Result<I::Entity, Problem>
    where
        I: Identifies + FromStr<Err: std::fmt::Display>,
        I::Entity: Record,
        SqlStore: Find<I::Entity>,
    {
        let kind = <I::Entity as fusion_persistence::Deletable>::KIND.as_str();
        let reading = self.reading().await?.ok_or_else(|| none(kind, id))?;
        let row = reading.store().get(parsed::<I>(id)?).await;
        row.map_err(records::read)
    }

    /// What an operation would change that needs the data directory for itself.
    async fn tried_alone<T, F>(
        &self,
        operation: impl FnOnce(Coordinator) -> F + Send,
    ) -> Result<DryRun, Problem>
    where
        F: Future<Output = Done<T>> + Send,
    {
        let _owned = self.data_dir()?.own().await?;
        self.tried(operation).await
    }

    /// What an operation would change.
    async fn tried<T, F>(
        &self,
        operation: impl FnOnce(Coordinator) -> F + Send,
    ) -> Result<DryRun, Problem>
    where
        F: Future<Output = Done<T>> + Send,
    {
        let engine = self.guest().await?;
        let tried = engine.coordinator().dry_run(operation).await;
        engine.close().await;
        match tried {
            Ok(changes) => Ok(dry_run_view(changes)),
            Err(error) => Err(told(&error)),
        }
    }
}

/// A record that is refused is told as the store tells it.
fn told(error: &EngineError) -> Problem {
    if let EngineError::Store(error) = error {
        problems::of_store(error)
    } else {
        problems::of_engine(error)
    }
}

/// Each change once: a run that is below two others, say.
fn once(mut tried: DryRun) -> DryRun {
    let mut told = Vec::new();
    for change in tried.changes {
        if !told.contains(&change) {
            told.push(change);
        }
    }
    tried.changes = told;
    tried
}
