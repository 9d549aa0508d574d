//! The work of the commands that steer runs, also those that another process works on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api::run_views::summary;
use fusion_api_types::{Problem, RunDetail, RunSummary};
use fusion_cli::{AgainRequest, Progress, Steering};
use fusion_coordination::{Again, Ask, Raised};
use fusion_core::{PauseAt, Run, RunId, TaskState};
use fusion_persistence::{Error as StoreError, Repository, TaskFilter};
use tokio::time::sleep;

use crate::backend::{Driving, LocalBackend};
use crate::data_dir::DataDir;
use crate::files::in_their_types;
use crate::find::{find, no_runs};
use crate::problems;
use crate::signals::Signalled;
use crate::watch::Watched;
use crate::wiring::Engine;

/// How often a run is looked at that another process works on.
const LOOK: Duration = Duration::from_millis(250);

#[async_trait]
impl Steering for LocalBackend {
    async fn cancel_run(&self, run: &str) -> Result<RunSummary, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.cancel_run(run).await;
        }
        let (engine, found) = self.steered(run).await?;
        let by = self.person();
        let done = engine.coordinator().cancel_run(found.id, &by).await;
        said(engine, done).await
    }

    async fn pause_run(&self, run: &str, now: bool) -> Result<RunSummary, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.pause_run(run, now).await;
        }
        let at = if now { PauseAt::Now } else { PauseAt::NextStep };
        let (engine, found) = self.steered(run).await?;
        let by = self.person();
        let done = engine.coordinator().pause_run(found.id, at, &by).await;
        said(engine, done).await
    }

    async fn run_again(
        &self,
        request: &AgainRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        if let Some(remote) = self.remote()? {
            let signalled = Signalled::catch();
            return remote.run_again(request, progress, &signalled.stop).await;
        }
        self.tell_sandbox(progress)?;
        self.reading().await?.ok_or_else(no_runs)?;
        let data_dir = self.data_dir()?;
        let registry = self.registry_of(&self.stored_providers().await?);
        let engine = self.engine(&data_dir, registry).await?;
        let stored = stored_again(&engine, &data_dir, request).await;
        self.drive_stored(engine, &data_dir, stored, progress).await
    }

    async fn watch_run(
        &self,
        run: Option<&str>,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        let signalled = Signalled::catch();
        // What is being said is heard of a server only.
        if let Some(remote) = self.remote()? {
            return remote.watch_run(run, progress, &signalled.stop).await;
        }
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let (store, data_dir) = (reading.store(), reading.data_dir());
        let found = find(store, data_dir, run).await?;
        let answers = Arc::clone(self.answers());
        let watched = Watched::new(store, found.id, answers).await;
        let mut watched = watched.map_err(read)?;
        loop {
            let row: Run = store.get(found.id).await.map_err(read)?;
            let (row, shown) = reading.looked_at(row).await.map_err(read)?;
            let seen = watched.look(store, data_dir, shown, progress).await;
            let seen = seen.map_err(read)?;
            if row.state.is_final() || signalled.stop.is_cancelled() {
                return Ok(seen);
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = signalled.stop.cancelled() => {}
            }
        }
    }
}

impl LocalBackend {
    /// Drives a run that was stored to its end, and closes the engine, also where it was not.
    pub(crate) async fn drive_stored(
        &self,
        engine: Engine,
        data_dir: &DataDir,
        stored: Result<RunId, Problem>,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        let ended = match stored {
            Ok(run) => {
                let driving = Driving {
                    engine: &engine,
                    data_dir,
                    run,
                    raised: Raised::default(),
                };
                self.drive(driving, progress).await
            }
            Err(problem) => Err(problem),
        };
        engine.close().await;
        ended
    }

    /// The engine that steers, and the run that is meant.
    async fn steered(&self, run: &str) -> Result<(Engine, Run), Problem> {
        let engine = self.steering().await?;
        match find(engine.store(), &self.data_dir()?, Some(run)).await {
            Ok(found) => Ok((engine, found)),
            Err(problem) => {
                engine.close().await;
                Err(problem)
            }
        }
    }
}

/// Stores a new attempt of a run.
async fn stored_again(
    engine: &Engine,
    data_dir: &DataDir,
    request: &AgainRequest,
) -> Result<RunId, Problem> {
    let found = find(engine.store(), data_dir, Some(&request.run)).await?;
    let workflow = engine.store().get(found.workflow_id).await.map_err(read)?;
    let again = Again {
        run: found.id,
        from: request.from.clone(),
        inputs: in_their_types(&workflow.definition.inputs, &request.inputs),
        latest: request.latest,
    };
    let coordinator = engine.coordinator();
    let stored = coordinator.run_again(&again, |_| Ask::default()).await;
    stored.map_err(|error| problems::of_engine(&error))
}

/// Closes the engine after something was said about a run; gives the run as it is then.
async fn said(
    engine: Engine,
    done: fusion_coordination::Result<Run>,
) -> Result<RunSummary, Problem> {
    let told = match done {
        Ok(run) => told(&engine, &run).await.map_err(read),
        Err(error) => Err(problems::of_engine(&error)),
    };
    engine.close().await;
    told
}

pub(crate) async fn told(engine: &Engine, run: &Run) -> Result<RunSummary, StoreError> {
    let completed = TaskFilter {
        states: vec![TaskState::Completed],
        run: Some(run.id),
        ..TaskFilter::default()
    };
    let completed = engine.store().count(&completed).await?;
    let completed = usize::try_from(completed).unwrap_or(usize::MAX);
    Ok(summary(run, completed, true))
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: StoreError) -> Problem {
    problems::of_store(&error)
}
