//! New attempts of runs that have ended: what was finished is taken over, the rest is done again.

use std::path::Path;

use fusion_core::{
    Agent, AgentId, Change, Coded, Continuation, Decision, ErrorCode, InputFault, InputType, Run,
    RunId, Task, Unlike, Workflow, WorkflowDefinition, WorkflowState, Workspace, nearest,
};
use fusion_persistence::Repository;
use serde_json::{Map, Value, json};

use crate::agents::is_marked;
use crate::coordinator::off_runtime;
use crate::error::listed;
use crate::races::Races;
use crate::spawn::{Origin, of_workspace};
use crate::{Ask, Coordinator, NewRun, Result, check_models};

/// In the metadata of an agent: whose results are copied into its workspace before it begins.
const TAKES_OVER: &str = "takes_over";

/// In the record of a workspace: the runs that take over what is in it.
const WANTED_BY: &str = "wanted_by";

/// A new attempt of a run that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Again {
    /// The run, which has ended.
    pub run: RunId,
    /// The step from which on everything is done again; without it only what is not finished.
    pub from: Option<String>,
    /// Inputs in the place of those that the run had.
    pub inputs: Map<String, Value>,
    /// Whether the newest version of the workflow is run instead of the run's own.
    pub latest: bool,
}

/// Why a run can't be done again as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgainFault {
    /// It goes on.
    #[error("run {run} has not ended: cancel it first, or let it go on")]
    NotEnded {
        /// The run.
        run: RunId,
    },
    /// Everything went well.
    #[error("run {run} completed: name the step from which on it is to be done again")]
    NothingFailed {
        /// The run.
        run: RunId,
    },
    /// The run has no such step.
    #[error("the run has no step '{step}'{}", near(.nearest.as_ref()))]
    NoStep {
        /// As it was asked.
        step: String,
        /// The step most like it.
        nearest: Option<String>,
    },
    /// It belongs to a standing agent, whose workspace goes on being used.
    #[error("run {run} was a message to a standing agent: send it again")]
    Standing {
        /// The run.
        run: RunId,
    },
    /// What its agents made is elsewhere.
    #[error("run {run} was imported: what its agents made is not here, so nothing goes on from it")]
    Imported {
        /// The run.
        run: RunId,
    },
    /// The newest version can't take over what was finished.
    #[error(
        "version {version} can't go on from this run: {unlike}; name an earlier step to do again, or leave the version as it is"
    )]
    Unlike {
        /// The newest version.
        version: u32,
        /// Which step is another one.
        unlike: Unlike,
    },
    /// The inputs don't fit the workflow.
    #[error("{}", listed(faults))]
    Inputs {
        /// All that is wrong.
        faults: Vec<InputFault>,
    },
}

fn near(nearest: Option<&String>) -> String {
    nearest.map_or_else(String::new, |step| format!(": did you mean '{step}'?"))
}

impl Coded for AgainFault {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotEnded { .. }
            | Self::NothingFailed { .. }
            | Self::Standing { .. }
            | Self::Imported { .. }
            | Self::Unlike { .. } => ErrorCode::Conflict,
            Self::NoStep { .. } | Self::Inputs { .. } => ErrorCode::InvalidInput,
        }
    }
}

impl Coordinator {
    /// Stores a new attempt of a run that has ended, as a run of its own: steps that ended well are taken
    /// over with their outputs, and what agents of the same names made is copied into their workspaces
    /// when the run is launched. The first run stays as it is. `ask` gets the id that the new one will
    /// have.
    ///
    /// # Errors
    /// [`Error::Again`](crate::Error::Again) with the reason; a model can't be asked; a workspace that is
    /// needed is gone; else as [`create_run`](Self::create_run). Nothing was stored.
    pub async fn run_again(
        &self,
        again: &Again,
        ask: impl Fn(RunId) -> Ask + Send + Sync,
    ) -> Result<RunId> {
        let store = &self.parts.store;
        let run: Run = store.get(again.run).await?;
        let tasks: Vec<Task> = store.tasks_of_run(run.id).await?;
        let agents = store.agents_of_run(run.id).await?;
        let agents: Vec<Agent> = agents.into_iter().map(|(agent, _)| agent).collect();
        check(&run, &tasks, &agents, again)?;
        let continuation = Continuation::new(&run, &tasks, &agents, again.from.as_deref());
        let workflow = self.version_of(&run, again.latest, &continuation).await?;
        let own = self.workflow_version(run.workflow_id).await?;
        let inputs = inputs(&run, [&own.definition, &workflow.definition], &again.inputs)?;
        let base_dir = Path::new(&workflow.base_dir);
        let registry = &self.parts.providers;
        let models = check_models(registry, &workflow.definition, &inputs, base_dir).await?;
        let new = NewRun {
            definition: workflow.definition.clone(),
            source: workflow.source.clone(),
            base_dir: workflow.base_dir.clone(),
            inputs,
            models,
            limit: run.raised.run.within(workflow.definition.budget),
        };
        let grants = self.check_grants(&new)?;
        let origin = Origin {
            stored: Some(&workflow),
            continues: Some(&continuation),
            // The same versions as before, unless the newest are wanted.
            called: (!again.latest).then_some(&run.called),
            parent: None,
        };
        let mut races = Races::new();
        loop {
            for id in continuation.workers().into_values() {
                self.check_results(&agents, id).await?;
            }
            match self.try_to_create_run(&new, &grants, origin, &ask).await {
                // Somebody else takes over from the same workspaces, or removes one.
                Err(error) if error.is_conflict() => races.after(error).await?,
                other => return other,
            }
        }
    }

    /// The version that is run: the run's own, or the newest one, when it says the same of all that is
    /// taken over.
    async fn version_of(
        &self,
        run: &Run,
        latest: bool,
        continuation: &Continuation<'_>,
    ) -> Result<Workflow> {
        let own: Workflow = self.parts.store.get(run.workflow_id).await?;
        if !latest {
            return Ok(own);
        }
        let newest = self.parts.store.latest_workflow(&own.name).await?;
        let newest = newest.unwrap_or_else(|| own.clone());
        continuation
            .fits(&own.definition, &newest.definition)
            .map_err(|unlike| AgainFault::Unlike {
                version: newest.definition_version,
                unlike,
            })?;
        Ok(newest)
    }

    /// Refuses an agent whose results are gone.
    pub(crate) async fn check_results(&self, agents: &[Agent], id: AgentId) -> Result<()> {
        let Some(agent) = agents.iter().find(|agent| agent.id == id) else {
            return Ok(());
        };
        let workspace = self.workspace_of(id).await?;
        if is_marked(&workspace) {
            return Err(being_removed(&agent.name, &workspace));
        }
        let (workspaces, uid) = (self.workspaces_of(&workspace), workspace.process_uid);
        let name = workspace.dir_name().to_owned();
        let opened = off_runtime(move || workspaces.open_beside(&name, uid)).await?;
        opened
            .map(|_| ())
            .map_err(|source| of_workspace(agent, source))
    }

    /// What notes that a new run takes over what agents made: nobody removes their workspaces before it
    /// has ended, and where somebody has begun to, what this is committed with is refused.
    pub(crate) async fn wanting_results(
        &self,
        continuation: &Continuation<'_>,
        run: RunId,
    ) -> Result<Decision> {
        let mut wanting = Decision::default();
        for (name, id) in continuation.workers() {
            let mut workspace = self.workspace_of(id).await?;
            // The removal of a workspace that was looked at before may have ended since.
            if is_marked(&workspace) || !workspace.initialized {
                return Err(being_removed(name, &workspace));
            }
            let mut runs = self.open_runs_wanting(&workspace).await?;
            runs.push(run);
            if let Value::Object(config) = &mut workspace.agent_config {
                config.insert(WANTED_BY.to_owned(), json!(runs));
            }
            wanting.changes.push(Change::update(workspace));
        }
        Ok(wanting)
    }

    /// Nothing that has not ended takes over what is in a workspace.
    pub(crate) async fn check_unwanted(&self, agent: &Agent, workspace: &Workspace) -> Result<()> {
        match self.open_runs_wanting(workspace).await?.first() {
            None => Ok(()),
            Some(run) => Err(crate::Error::Wanted {
                agent: agent.name.clone(),
                run: *run,
            }),
        }
    }

    async fn open_runs_wanting(&self, workspace: &Workspace) -> Result<Vec<RunId>> {
        let told = workspace.agent_config.get(WANTED_BY).cloned();
        let told: Vec<RunId> = told
            .and_then(|told| serde_json::from_value(told).ok())
            .unwrap_or_default();
        let mut open = Vec::new();
        for id in told {
            match self.parts.store.get(id).await {
                Ok(Run { state, .. }) if state.is_final() => {}
                Ok(_) => open.push(id),
                Err(fusion_persistence::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(open)
    }

    /// Copies into a new workspace what the agent before it made, where it takes over from one.
    pub(crate) async fn copy_results(
        &self,
        agent: &Agent,
        workspace: &Workspace,
    ) -> Result<fusion_workspaces::Result<()>> {
        let before = agent.metadata.get(TAKES_OVER).and_then(Value::as_str);
        let Some(before) = before.and_then(|id| id.parse::<AgentId>().ok()) else {
            return Ok(Ok(()));
        };
        let from = self.workspace_of(before).await?;
        let sources = self.workspaces_of(&from);
        let targets = self.workspaces_of(workspace);
        let (name, uid) = (workspace.dir_name().to_owned(), workspace.process_uid);
        let copied = off_runtime(move || {
            let source = sources.open_beside(from.dir_name(), from.process_uid)?;
            let left_out = targets.open(&name, uid)?.copy_results_of(&source)?;
            if left_out > 0 {
                tracing::warn!(left_out, agent = name, "not all results could be copied");
            }
            Ok(())
        });
        copied.await
    }
}

/// What is left of a workspace whose removal was begun is nothing to take over.
fn being_removed(agent: &str, workspace: &Workspace) -> crate::Error {
    crate::Error::Workspace {
        agent: agent.to_owned(),
        source: fusion_workspaces::Error::NoWorkspace {
            path: workspace.root_path.clone().into(),
        },
    }
}

/// Notes in an agent's record whose results it takes over.
pub(crate) fn note(metadata: &mut Value, before: AgentId) {
    if let Value::Object(metadata) = metadata {
        metadata.insert(TAKES_OVER.to_owned(), json!(before));
    }
}

fn check(
    run: &Run,
    tasks: &[Task],
    agents: &[Agent],
    again: &Again,
) -> std::result::Result<(), AgainFault> {
    if !run.state.is_final() {
        return Err(AgainFault::NotEnded { run: run.id });
    }
    if run.is_imported() {
        return Err(AgainFault::Imported { run: run.id });
    }
    if agents.iter().any(|agent| agent.run_id != Some(run.id)) {
        return Err(AgainFault::Standing { run: run.id });
    }
    let Some(from) = &again.from else {
        return match run.state {
            WorkflowState::Completed => Err(AgainFault::NothingFailed { run: run.id }),
            WorkflowState::Draft
            | WorkflowState::Validating
            | WorkflowState::Ready
            | WorkflowState::Running
            | WorkflowState::Failed
            | WorkflowState::Cancelled => Ok(()),
        };
    };
    let names = || tasks.iter().map(|task| task.name.as_str());
    if names().any(|name| name == from) {
        return Ok(());
    }
    Err(AgainFault::NoStep {
        step: from.chars().take(100).collect(),
        nearest: nearest(from, names()).map(str::to_owned),
    })
}

/// The inputs that the run had, with others in their place. Files are what was handed over as such: a list of
/// another type that looks like some is none.
fn inputs(
    run: &Run,
    [own, definition]: [&WorkflowDefinition; 2],
    given: &Map<String, Value>,
) -> std::result::Result<Map<String, Value>, AgainFault> {
    let is_known = |name: &String| definition.inputs.contains_key(name);
    let had = run.inputs.iter();
    let had = had.filter(|(name, value)| !value.is_null() && is_known(name));
    let is_files = |name: &String| {
        [own, definition].iter().all(|definition| {
            let spec = definition.inputs.get(name);
            spec.is_some_and(|spec| spec.kind == InputType::Files)
        })
    };
    let had = had.map(|(name, value)| (name.clone(), value.clone()));
    let (files, mut inputs): (Map<_, _>, Map<_, _>) = had.partition(|(name, _)| is_files(name));
    inputs.extend(given.clone());
    definition
        .resolve_inputs_with(&inputs, &files)
        .map_err(|faults| AgainFault::Inputs { faults })
}
