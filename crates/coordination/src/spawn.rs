//! Starting a run: its rows, its agents, their workspaces.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fusion_core::{
    Agent, AgentId, AgentState, Budget, Change, Continuation, Decision, Member, Parent, Run, RunId,
    RunPlan, Workflow, WorkflowDefinition, WorkflowId, Workspace, WorkspaceId, error_chain,
};
use fusion_persistence::{Batch, Claim, Claimed, Guard, RunFence};
use fusion_workspaces::SandboxReport;
use serde_json::{Map, Value, json};

use crate::again;
use crate::candidates::metadata;
use crate::coordinator::off_runtime;
use crate::folders::Folders;
use crate::grants::{self, Grants};
use crate::races::Races;
use crate::uids::Chosen;
use crate::{Ask, Coordinator, Error, Models, Result};

/// A run that was asked for and checked.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The checked definition.
    pub definition: WorkflowDefinition,
    /// The file as its author wrote it.
    pub source: String,
    /// The folder of the file, absolute.
    pub base_dir: String,
    /// The checked inputs.
    pub inputs: Map<String, Value>,
    /// The checked models of each agent.
    pub models: Models,
    /// What its model calls may use at most, where that is less than its file says.
    pub limit: Budget,
}

/// A workflow that is about to be stored, unless this very text is stored already.
pub(crate) struct Definition<'a> {
    pub(crate) checked: &'a WorkflowDefinition,
    pub(crate) source: &'a str,
    pub(crate) base_dir: &'a str,
}

/// Where a new run comes from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin<'a> {
    /// The version that is run, where it is stored already.
    pub(crate) stored: Option<&'a Workflow>,
    /// What it takes over.
    pub(crate) continues: Option<&'a Continuation<'a>>,
    /// The step of another run that waits for it.
    pub(crate) parent: Option<&'a Parent>,
    /// The versions of the workflows that it runs, where they are known already.
    pub(crate) called: Option<&'a BTreeMap<String, WorkflowId>>,
}

/// A run that is about to be stored.
pub(crate) struct Made {
    pub(crate) run: Run,
    pub(crate) decision: Decision,
    /// Held until it is stored.
    _uids: Chosen,
}

/// What stands where an agent names its provider and model, for a runner.
const NO_MODEL: &str = "none";

impl Coordinator {
    /// Stores a run as `ready`, its agents as `spawning`, its tasks as `queued`.
    ///
    /// Nothing runs yet: [`drive`](Self::drive) spawns the agents and goes on from there, in
    /// this process or, after a crash, in another.
    ///
    /// # Errors
    /// An agent can't be granted what its file says, the store fails, or the user ids for agents
    /// are used up; nothing was stored.
    pub async fn create_run(&self, new: NewRun) -> Result<RunId> {
        let grants = self.check_grants(&new)?;
        let mut races = Races::new();
        loop {
            match self
                .try_to_create_run(&new, &grants, Origin::default(), |_| Ask::default())
                .await
            {
                // Another process stored the same new version of the workflow: it is there now.
                Err(error) if error.is_taken() => races.after(error).await?,
                other => return other,
            }
        }
    }

    /// Stores a run of a version that is stored, within a limit. `ask` gets the id that the run will have.
    ///
    /// # Errors
    /// As [`create_run`](Self::create_run); `Repeated` or `KeyReused` where the key of `ask` was used before.
    pub async fn create_run_of(
        &self,
        workflow: &Workflow,
        inputs: Map<String, Value>,
        (models, limit): (Models, Budget),
        ask: impl Fn(RunId) -> Ask + Send + Sync,
    ) -> Result<RunId> {
        crate::run_file::expect_own(&workflow.name)?;
        let new = NewRun {
            definition: workflow.definition.clone(),
            source: workflow.source.clone(),
            base_dir: workflow.base_dir.clone(),
            inputs,
            models,
            limit,
        };
        let grants = self.check_grants(&new)?;
        let origin = Origin {
            stored: Some(workflow),
            ..Origin::default()
        };
        self.try_to_create_run(&new, &grants, origin, ask).await
    }

    pub(crate) async fn try_to_create_run(
        &self,
        new: &NewRun,
        grants: &Grants,
        origin: Origin<'_>,
        ask: impl Fn(RunId) -> Ask + Send + Sync,
    ) -> Result<RunId> {
        let made = self.make_run(new, grants, origin).await?;
        let id = made.run.id;
        let place = ("run", id.uuid());
        let batch = ask(id).batch("created", made.decision, place, self.moment());
        self.commit(batch).await?;
        self.hint_run(id);
        Ok(id)
    }

    /// Everything that a new run is made of. Nothing is stored.
    pub(crate) async fn make_run(
        &self,
        new: &NewRun,
        grants: &Grants,
        origin: Origin<'_>,
    ) -> Result<Made> {
        let run_id = RunId::from_uuid(self.parts.ids.uuid());
        let called = match origin.called {
            Some(known) => known.clone(),
            None => self.look_up_called(&new.definition, &new.source).await?,
        };
        let text = Definition {
            checked: &new.definition,
            source: &new.source,
            base_dir: &new.base_dir,
        };
        let (workflow, mut decision) = match origin.stored {
            Some(stored) => (Arc::new(stored.clone()), Decision::default()),
            None => self.version(&text, self.newest_version(&new.definition.name).await?),
        };
        let mut agents = self.crew_of(new, grants, origin, run_id)?;
        let uids = self
            .give_uids(&mut agents.values_mut().collect::<Vec<_>>())
            .await?;
        let plan = RunPlan {
            run_id,
            workflow: &workflow,
            inputs: new.inputs.clone(),
            agents,
            parent: origin.parent.cloned(),
            called,
            limit: new.limit,
        };
        let (run, created) = plan.create(self.moment());
        decision.merge(match origin.continues {
            Some(continuation) => continuation.take_over(created, self.moment()),
            None => created,
        });
        if let Some(continuation) = origin.continues {
            decision.merge(self.wanting_results(continuation, run_id).await?);
        }
        Ok(Made {
            run,
            decision,
            _uids: uids,
        })
    }

    /// The agents of a new run, by name, with the records of their workspaces.
    fn crew_of(
        &self,
        new: &NewRun,
        grants: &Grants,
        origin: Origin<'_>,
        run_id: RunId,
    ) -> Result<BTreeMap<String, (Agent, Workspace)>> {
        let before = origin.continues.map(Continuation::workers);
        let before = before.unwrap_or_default();
        let mut agents = BTreeMap::new();
        for member in new.definition.crew() {
            let id = AgentId::from_uuid(self.parts.ids.uuid());
            let mut agent = self.agent(new, &member, id, run_id)?;
            let granted = member.of.and_then(|(name, _)| grants.get(name));
            grants::note(&mut agent.metadata, granted);
            if let Some(before) = before.get(member.name.as_str()) {
                again::note(&mut agent.metadata, *before);
            }
            agents.insert(member.name, (agent, self.workspace(id)));
        }
        Ok(agents)
    }

    fn agent(
        &self,
        new: &NewRun,
        member: &Member<'_>,
        id: AgentId,
        run_id: RunId,
    ) -> Result<Agent> {
        let now = self.parts.clock.now();
        let runner = Agent {
            id,
            name: member.name.clone(),
            state: AgentState::Spawning,
            created_at: now,
            updated_at: now,
            last_heartbeat: None,
            workspace_path: text(&self.root(id)),
            provider: NO_MODEL.to_owned(),
            provider_id: None,
            model_name: NO_MODEL.to_owned(),
            capabilities: member.capabilities.clone(),
            metadata: json!({}),
            message_subscriptions: Vec::new(),
            project_id: None,
            run_id: Some(run_id),
            version: 1,
        };
        let Some((name, spec)) = member.of else {
            return Ok(runner);
        };
        let Some(models) = new.models.get(name) else {
            return Err(Error::Broken(format!(
                "the model of agent '{name}' was not checked"
            )));
        };
        let Some(first) = models.first() else {
            return Err(Error::Broken(format!("no model serves agent '{name}'")));
        };
        Ok(Agent {
            provider: first.provider.clone(),
            model_name: first.model.clone(),
            metadata: metadata(models),
            message_subscriptions: spec.subscriptions.clone(),
            ..runner
        })
    }

    /// The record of the workspace of a new agent, which has no user id yet.
    pub(crate) fn workspace(&self, agent: AgentId) -> Workspace {
        let root = self.root(agent);
        Workspace {
            id: WorkspaceId::from_uuid(self.parts.ids.uuid()),
            agent_id: agent,
            projects_path: text(&root.join("projects")),
            logs_path: text(&root.join("logs")),
            root_path: text(&root),
            initialized: false,
            initialization_error: None,
            agent_config: json!({ "agent_id": agent }),
            environment_variables: BTreeMap::new(),
            process_uid: None,
            created_at: self.parts.clock.now(),
            size_bytes: 0,
            file_count: 0,
            version: 1,
        }
    }

    pub(crate) fn root(&self, agent: AgentId) -> std::path::PathBuf {
        self.options.workspaces_root.join(agent.to_string())
    }

    /// Makes the workspaces of a ready run, sees what holds its agents' commands, and starts it;
    /// when one can't be made or commands can't be held as promised, removes them all and ends the
    /// run with the reason. Gives the `first` task where it was asked for.
    pub(crate) async fn launch(
        &self,
        run: Run,
        driver: Option<RunFence>,
        (workflow, mut agents): (&Workflow, Vec<(Agent, Workspace)>),
        first: Option<Claim>,
    ) -> Result<Option<Box<Claimed>>> {
        let guard = driver.map_or(Guard::Free, Guard::Driven);
        let definition = &workflow.definition;
        let ready = match self.make_workspaces(workflow, &mut agents).await? {
            Ok(()) => self.note_sandbox(definition, &mut agents).await?,
            failed => failed,
        };
        if let Err(error) = ready {
            for (_, workspace) in &agents {
                self.remove_workspace(workspace).await;
            }
            let why = error_chain(&error);
            let agents = agents.into_iter().map(|(agent, _)| agent).collect();
            let decision = run.end(Some(why), agents, self.moment())?;
            self.commit(Batch::new(guard, decision)).await?;
            return Err(error);
        }
        let decision = run.launch(agents, self.moment())?;
        let launch = Batch::new(guard, decision).then_claim(first);
        Ok(self.commit_and_hear(launch).await?.claimed)
    }

    /// Makes the workspaces of agents, with what these are to find there, and marks them as made.
    async fn make_workspaces(
        &self,
        workflow: &Workflow,
        agents: &mut [(Agent, Workspace)],
    ) -> Result<Result<()>> {
        let (definition, base_dir) = (&workflow.definition, Path::new(&workflow.base_dir));
        for (agent, workspace) in agents {
            self.bring_here(agent, workspace);
            let made = match self.make_workspace(workspace).await? {
                Ok(()) => self.copy_results(agent, workspace).await?,
                failed => failed,
            };
            if let Err(source) = made {
                return Ok(Err(of_workspace(agent, source)));
            }
            workspace.initialized = true;
            let Some((_, spec)) = definition.agent_of(&agent.name) else {
                continue;
            };
            let furnish = self.furnish_workspace(agent, spec, base_dir, workspace);
            match furnish.await {
                Err(error @ Error::Workspace { .. }) => return Ok(Err(error)),
                furnished => furnished?,
            }
        }
        Ok(Ok(()))
    }

    /// Tries the sandbox in the workspace of each agent that runs commands, and writes into the
    /// agent's record what is in force.
    async fn note_sandbox(
        &self,
        definition: &WorkflowDefinition,
        agents: &mut [(Agent, Workspace)],
    ) -> Result<Result<()>> {
        let folders = Folders::of(definition);
        for (agent, workspace) in agents {
            if !folders.run_commands(definition, agent) {
                continue;
            }
            match self.look(agent, workspace).await? {
                Ok(report) => note(agent, &report),
                Err(source) => return Ok(Err(of_workspace(agent, source))),
            }
        }
        Ok(Ok(()))
    }

    /// The same for a run that is taken up again, maybe on another machine or with other settings.
    /// What can't be looked at keeps its record: its commands say what is wrong.
    pub(crate) async fn renew_sandbox(
        &self,
        workflow: &Workflow,
        known: &[(Agent, Workspace)],
    ) -> Result<()> {
        let mut agents = known.to_vec();
        let noted = self.note_sandbox(&workflow.definition, &mut agents);
        if let Err(error) = noted.await? {
            tracing::warn!(error = %error_chain(&error), "what holds commands is not known");
        }
        for ((agent, _), (known, _)) in agents.into_iter().zip(known) {
            if agent != *known && agent.state != AgentState::Terminated {
                self.update_if_unchanged(agent).await?;
            }
        }
        Ok(())
    }

    /// Writes an agent's record, unless somebody else has just written it.
    async fn update_if_unchanged(&self, agent: Agent) -> Result<()> {
        let mut decision = Decision::default();
        decision.changes.push(Change::update(agent));
        match self.commit(Batch::free(decision)).await {
            Err(error) if error.is_conflict() => Ok(()),
            outcome => outcome,
        }
    }

    pub(crate) async fn look(
        &self,
        agent: &Agent,
        workspace: &Workspace,
    ) -> Result<fusion_workspaces::Result<SandboxReport>> {
        let workspaces = self.workspaces_of(workspace);
        let (name, uid) = (workspace.dir_name().to_owned(), workspace.process_uid);
        let dir = match off_runtime(move || workspaces.open_beside(&name, uid)).await? {
            Ok(dir) => dir,
            Err(error) => return Ok(Err(error)),
        };
        let launcher = match self.launcher_of(agent) {
            Ok(launcher) => launcher,
            Err(error) => return Ok(Err(error)),
        };
        let looked = launcher.look(&dir).await;
        Ok(looked.and_then(|report| report.check().map(|()| report)))
    }

    pub(crate) async fn make_workspace(
        &self,
        workspace: &Workspace,
    ) -> Result<fusion_workspaces::Result<()>> {
        let workspaces = self.workspaces_of(workspace);
        let workspace = workspace.clone();
        off_runtime(move || {
            workspaces
                .create(
                    workspace.dir_name(),
                    workspace.process_uid,
                    &workspace.agent_config,
                    &workspace.environment_variables,
                )
                .map(|_| ())
        })
        .await
    }

    /// A workspace that another node was to make, where that is on its own disk, is made on this one.
    fn bring_here(&self, agent: &mut Agent, workspace: &mut Workspace) {
        let folder = Path::new(&workspace.root_path).parent();
        let is_elsewhere = self.options.node.is_some() && !folder.is_some_and(Path::is_dir);
        if is_elsewhere {
            let root = text(&self.root(agent.id));
            agent.workspace_path.clone_from(&root);
            *workspace = workspace.clone().moved_to(root);
        }
    }

    /// Removes the workspace of an agent that never began, and what was taken in for it.
    pub(crate) async fn remove_workspace(&self, workspace: &Workspace) {
        let workspaces = self.workspaces_of(workspace);
        let name = workspace.dir_name().to_owned();
        let repository = self.repository_of(workspace.agent_id);
        let remove = move || workspaces.remove(&name).and_then(|()| repository.discard());
        if let Ok(Err(error)) = off_runtime(remove).await {
            tracing::warn!(%error, path = workspace.root_path, "a workspace could not be removed");
        }
    }
}

pub(crate) fn of_workspace(agent: &Agent, source: fusion_workspaces::Error) -> Error {
    Error::Workspace {
        agent: agent.name.clone(),
        source,
    }
}

/// Writes into an agent's record what holds its commands.
pub(crate) fn note(agent: &mut Agent, report: &SandboxReport) {
    if let Value::Object(metadata) = &mut agent.metadata {
        metadata.insert("sandbox".to_owned(), json!(report));
    }
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
