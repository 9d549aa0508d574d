//! The commands' work, done in this process on a data directory of the machine.

mod engines;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use fusion_api::Deltas;
use fusion_api::run_views::{Snapshot, summary};
use fusion_api_types::{Problem, ProblemKind, RunDetail, RunSummary};
use fusion_cli::{Backend, Progress, ResumeRequest, RunQuery, RunRequest};
use fusion_coordination::{Driven, NewRun, Notices, Raised, check_models};
use fusion_core::{
    AgentSpec, ProviderConfig, Run, RunId, TaskState, WorkflowDefinition, WorkflowState,
};
use fusion_persistence::{Page, Repository, RunFilter, TaskReader};
use fusion_persistence_sql::Location;
use fusion_providers::Registry;
use fusion_workspaces::Sandbox;
use tokio_util::sync::CancellationToken;

use crate::answers::Answers;
use crate::budget;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::files::{read_file, typed_inputs};
use crate::find::{find, no_runs, nothing_to_resume};
use crate::held::Left;
use crate::problems;
use crate::remote::refuse_to_leave;
use crate::sandbox;
use crate::signals::{Signalled, stop_on_signal};
use crate::watch::Watched;
use crate::wiring::{self, Engine, SCRIPTED, Told};
pub(crate) use reading::Reading;

/// Works on a data directory of this machine.
#[derive(Debug, Clone)]
pub(crate) struct LocalBackend {
    config: Config,
    data_dir: Option<PathBuf>,
    /// The server that was named.
    server: Option<String>,
    /// What the layers around the providers tell, on its way to the event log.
    notices: Arc<Notices>,
    /// What is coming from the models, on its way to the screen.
    answers: Arc<Answers>,
    /// The same, on its way to who listens to a server.
    deltas: Arc<Deltas>,
}

impl LocalBackend {
    pub(crate) fn new(config: Config, data_dir: Option<PathBuf>, server: Option<String>) -> Self {
        Self {
            config,
            data_dir,
            server,
            notices: Arc::default(),
            answers: Arc::default(),
            deltas: Arc::default(),
        }
    }

    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// What is coming from the models of this process.
    pub(crate) const fn answers(&self) -> &Arc<Answers> {
        &self.answers
    }

    /// The data directory that was chosen, as it was typed.
    pub(crate) fn chosen_data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// The server that was named, if one was.
    pub(crate) fn named_server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// # Errors
    /// It can't be, or a server was named: the command that asks works in this process only.
    pub(crate) fn data_dir(&self) -> Result<DataDir, Problem> {
        if let Some(server) = &self.server {
            let text = format!("this command can't go through a server yet ({server})");
            return Err(Problem::new(ProblemKind::InvalidInput, text).with_help(
                "leave --server and FUSION_SERVER out to work on a data directory of this machine",
            ));
        }
        DataDir::new(self.data_dir.clone())
    }

    /// The providers of a workflow. The store is not read for one whose answers are all scripted.
    async fn registry(&self, definition: &WorkflowDefinition) -> Result<Arc<Registry>, Problem> {
        let mut models = definition.agents.values().flat_map(AgentSpec::models);
        let is_scripted = models.all(|model| model.provider == SCRIPTED);
        // What workflows need that it runs is not known here.
        let stored = if is_scripted && !definition.has_calls() {
            Vec::new()
        } else {
            self.stored_providers().await?
        };
        Ok(self.registry_of(&stored))
    }

    pub(crate) fn registry_of(&self, stored: &[ProviderConfig]) -> Arc<Registry> {
        Arc::new(wiring::registry(&self.config, stored, &self.told()))
    }

    /// Who hears what happens at the providers.
    pub(crate) fn told(&self) -> Told {
        Told {
            observer: Arc::<Notices>::clone(&self.notices),
            answers: Arc::clone(&self.answers),
            deltas: Arc::clone(&self.deltas),
        }
    }

    /// What is taken down with a person's word; nothing depends on it.
    pub(crate) fn person(&self) -> String {
        let user = self.config.of_user.name.as_deref();
        user.unwrap_or("a local user").to_owned()
    }

    /// The engine for what a person says about a run: of this process where nobody else works in the
    /// data directory, else beside the one that does.
    pub(crate) async fn steering(&self) -> Result<Engine, Problem> {
        self.reading().await?.ok_or_else(no_runs)?;
        let data_dir = self.data_dir()?;
        let registry = self.registry_of(&self.stored_providers().await?);
        self.engine_or_beside(&data_dir, registry).await
    }

    /// An engine of this process where nobody else works in the data directory, else one beside that one.
    pub(crate) async fn engine_or_beside(
        &self,
        data_dir: &DataDir,
        registry: Arc<Registry>,
    ) -> Result<Engine, Problem> {
        match self.engine(data_dir, registry).await {
            Err(problem) if problem.kind == ProblemKind::Conflict => self.guest().await,
            opened => opened,
        }
    }

    /// Drives a run to its end and tells how it goes.
    ///
    /// The engine and the signals have tasks of their own: a terminal that takes no more text
    /// holds up neither.
    pub(crate) async fn drive(
        &self,
        driving: Driving<'_>,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        let Driving {
            engine,
            data_dir,
            run,
            raised,
        } = driving;
        let read = |error: fusion_persistence::Error| problems::of_store(&error);
        if let Some(notice) = engine.notice().await {
            progress.notice(&notice);
        }
        let answers = Arc::clone(&self.answers);
        let mut watched = Watched::new(engine.store(), run, answers)
            .await
            .map_err(read)?;
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        engine.spawn(stop_on_signal(stop.clone(), ended.clone()));
        let driving = {
            let (coordinator, stop, ended) =
                (engine.coordinator().clone(), stop.clone(), ended.clone());
            engine.spawn(async move {
                let driven = coordinator.resume_run(run, &raised, &stop).await;
                ended.cancel();
                driven
            })
        };
        let told = watched.tell(engine, data_dir, &ended, progress).await;
        if told.is_err() {
            stop.cancel();
        }
        let driven = driving
            .await
            .map_err(|error| {
                Problem::new(
                    ProblemKind::Internal,
                    format!("the engine broke off: {error}"),
                )
            })?
            .map_err(|error| problems::left_over(&error, data_dir, run))?;
        told?;
        let shown = match driven {
            Driven::Ended(_) => Shown::Live,
            Driven::Interrupted | Driven::Paused => Shown::Left,
        };
        watched
            .last(engine, data_dir, shown, progress)
            .await
            .map_err(read)
    }
}

/// A run that this process works on.
pub(crate) struct Driving<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) data_dir: &'a DataDir,
    pub(crate) run: RunId,
    pub(crate) raised: Raised,
}

/// Whether a process works on the runs that are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Live,
    Left,
}

#[async_trait]
impl Backend for LocalBackend {
    async fn run(
        &self,
        request: &RunRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        if let Some(fault) = &self.config.dotenv_fault {
            progress.notice(fault);
        }
        let limit = budget::limit(request.max_cost.as_deref())?;
        if let Some(remote) = self.remote()? {
            let signalled = Signalled::catch();
            return remote.run(request, progress, &signalled.stop).await;
        }
        refuse_to_leave(request.detach)?;
        self.tell_sandbox(progress)?;
        let file = read_file(&request.file)?;
        let inputs = typed_inputs(&file.definition, &request.inputs)
            .map_err(|faults| problems::of_inputs(&faults))?;
        let data_dir = self.data_dir()?;
        let registry = self.registry(&file.definition).await?;
        let models = check_models(&registry, &file.definition, &inputs, &file.base_dir)
            .await
            .map_err(|error| problems::of_models(&request.file, &file.source, &error, &data_dir))?;
        let engine = self.engine(&data_dir, registry).await?;
        let source = file.source.clone();
        let new = NewRun {
            definition: file.definition,
            source: file.source,
            base_dir: file.base_dir.display().to_string(),
            inputs,
            models,
            limit,
        };
        let run = match engine.coordinator().create_run(new).await {
            Ok(run) => run,
            Err(error) => {
                engine.undo().await;
                return Err(problems::of_grants(&request.file, &source, &error));
            }
        };
        let driving = Driving {
            engine: &engine,
            data_dir: &data_dir,
            run,
            raised: Raised::default(),
        };
        let ended = self.drive(driving, progress).await;
        engine.close().await;
        ended
    }

    async fn resume(
        &self,
        request: &ResumeRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        let raised = budget::raised(request)?;
        if let Some(remote) = self.remote()? {
            let signalled = Signalled::catch();
            return remote.resume(request, progress, &signalled.stop).await;
        }
        self.tell_sandbox(progress)?;
        let run = request.run.as_deref();
        let data_dir = self.data_dir()?;
        if self.reading().await?.is_none() {
            return Err(nothing_to_resume(&data_dir));
        }
        // Read before the engine opens the store: which run is meant is not known yet.
        let registry = self.registry_of(&self.stored_providers().await?);
        let engine = self.engine(&data_dir, Arc::clone(&registry)).await?;
        let found = self.to_resume(&engine, &data_dir, run, progress).await;
        let ended = match found {
            Ok(found) => {
                let driving = Driving {
                    engine: &engine,
                    data_dir: &data_dir,
                    run: found.id,
                    raised,
                };
                match self
                    .make_ready(&registry, &driving, &found, request.now)
                    .await
                {
                    Ok(()) => self.drive(driving, progress).await,
                    Err(problem) => Err(problem),
                }
            }
            Err(problem) => Err(problem),
        };
        engine.close().await;
        ended
    }

    async fn list_runs(&self, query: &RunQuery) -> Result<Vec<RunSummary>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_runs(query).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let read = |error: fusion_persistence::Error| problems::of_store(&error);
        let mut filter = filter(query);
        filter.parent = match query.parent.as_deref() {
            None => None,
            Some("none") => Some(None),
            Some(text) => {
                let parent = find(reading.store(), reading.data_dir(), Some(text)).await?;
                Some(Some(parent.id))
            }
        };
        let runs = reading
            .store()
            .list(&filter, Page::first(query.limit))
            .await
            .map_err(read)?;
        let mut summaries = Vec::with_capacity(runs.len());
        for run in runs {
            let (run, shown) = reading.looked_at(run).await.map_err(read)?;
            let tasks = reading.store().tasks_of_run(run.id).await.map_err(read)?;
            let completed = tasks
                .iter()
                .filter(|task| task.state == TaskState::Completed)
                .count();
            summaries.push(summary(&run, completed, shown == Shown::Live));
        }
        Ok(summaries)
    }

    async fn show_run(&self, run: Option<&str>) -> Result<RunDetail, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.show_run(run).await;
        }
        let Some(reading) = self.reading().await? else {
            return Err(no_runs());
        };
        let found = find(reading.store(), reading.data_dir(), run).await?;
        let read = |error: fusion_persistence::Error| problems::of_store(&error);
        let (found, shown) = reading.looked_at(found).await.map_err(read)?;
        let snapshot = Snapshot::read(reading.store(), found.id)
            .await
            .map_err(read)?;
        let snapshot = snapshot
            .with_journals(reading.store())
            .await
            .map_err(read)?;
        let workflow = reading.store().get(found.workflow_id).await.map_err(read)?;
        Ok(snapshot.detail(&workflow, reading.data_dir().path(), shown == Shown::Live))
    }
}

impl LocalBackend {
    /// Says loudly when nothing holds commands.
    pub(crate) fn tell_sandbox(&self, progress: &mut dyn Progress) -> Result<(), Problem> {
        if wiring::sandbox(&self.config)? == Sandbox::Off {
            progress.notice(sandbox::OFF);
        }
        Ok(())
    }

    /// Checks what a run needs again, lets it go on when it is held, and wakes what waits for a limit,
    /// where that is asked for.
    async fn make_ready(
        &self,
        registry: &Registry,
        driving: &Driving<'_>,
        run: &Run,
        wakes: bool,
    ) -> Result<(), Problem> {
        check_again(registry, driving, run).await?;
        let coordinator = driving.engine.coordinator();
        let made = async {
            if run.is_paused() {
                let raised = Raised::default();
                let by = self.person();
                coordinator.release_run(run.id, raised, wakes, &by).await?;
            } else if wakes {
                coordinator.wake_all(run.id).await?;
            }
            Ok(())
        };
        made.await
            .map_err(|error: fusion_coordination::Error| problems::of_engine(&error))
    }

    /// The run that `resume` means, once no other process works on it.
    async fn to_resume(
        &self,
        engine: &Engine,
        data_dir: &DataDir,
        run: Option<&str>,
        progress: &mut dyn Progress,
    ) -> Result<Run, Problem> {
        let is_shared = matches!(
            wiring::location(&self.config, data_dir)?,
            Location::Server(_)
        );
        let left = Left::new(engine.store(), is_shared, progress);
        match run {
            None => left
                .newest()
                .await?
                .ok_or_else(|| nothing_to_resume(data_dir)),
            Some(_) => left.this(find(engine.store(), data_dir, run).await?).await,
        }
    }
}

/// Which runs are meant.
fn filter(query: &RunQuery) -> RunFilter {
    let states = query.states.iter();
    RunFilter {
        states: states
            .filter_map(|state| WorkflowState::from_text(state))
            .collect(),
        workflow_name: query.workflow.clone(),
        // Tasks of their own have a list of their own.
        standalone: Some(false),
        ..RunFilter::default()
    }
}

/// Checks the models again before anything moves (a missing key must not fail the tasks), and that
/// the raised budgets are of agents that are there.
async fn check_again(registry: &Registry, driving: &Driving<'_>, run: &Run) -> Result<(), Problem> {
    if run.state.is_final() {
        return Ok(());
    }
    let workflow = driving
        .engine
        .store()
        .get(run.workflow_id)
        .await
        .map_err(|error| problems::of_store(&error))?;
    budget::check(&driving.raised, &workflow.definition)?;
    check_models(
        registry,
        &workflow.definition,
        &run.inputs,
        Path::new(&workflow.base_dir),
    )
    .await
    .map(|_| ())
    .map_err(|error| problems::left_over(&error, driving.data_dir, run.id))
}
