//! How a run goes, told while the engine works on it.

use std::sync::Arc;
use std::time::Duration;

use fusion_api::run_views::Snapshot;
use fusion_api_types::{Problem, RunDetail};
use fusion_cli::Progress;
use fusion_core::{RunId, Workflow};
use fusion_persistence::{Reader, Repository};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::answers::Answers;
use crate::backend::Shown;
use crate::data_dir::DataDir;
use crate::messages::Sent;
use crate::problems;
use crate::wiring::Engine;

/// How often progress is told when nothing happens.
const TICK: Duration = Duration::from_millis(250);

/// Progress is told at most this often.
const QUIET: Duration = Duration::from_millis(50);

/// Of the time, one part in so many at most is for looking: a look at ten thousand steps takes long.
const SHARE: u32 = 10;

/// A run that is shown again and again: what never changes is read once.
pub(crate) struct Watched {
    run: RunId,
    workflow: Workflow,
    answers: Arc<Answers>,
    sent: Sent,
}

impl Watched {
    pub(crate) async fn new(
        store: &dyn Reader,
        run: RunId,
        answers: Arc<Answers>,
    ) -> fusion_persistence::Result<Self> {
        let workflow = store.get(store.get(run).await?.workflow_id).await?;
        Ok(Self {
            run,
            workflow,
            answers,
            sent: Sent::from_now(store, run).await?,
        })
    }

    async fn detail(
        &self,
        store: &dyn Reader,
        data_dir: &DataDir,
        shown: Shown,
    ) -> fusion_persistence::Result<RunDetail> {
        let snapshot = Snapshot::read(store, self.run).await?;
        Ok(snapshot.detail(&self.workflow, data_dir.path(), shown == Shown::Live))
    }

    /// Tells how the run goes until the engine is done with it.
    pub(crate) async fn tell(
        &mut self,
        engine: &Engine,
        data_dir: &DataDir,
        ended: &CancellationToken,
        progress: &mut dyn Progress,
    ) -> Result<(), Problem> {
        if !progress.is_shown() {
            return Ok(());
        }
        let read = |error: fusion_persistence::Error| problems::of_store(&error);
        let mut hints = engine.hints(self.run).await?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = ended.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
                Some(_) = hints.recv() => {}
            }
            let began = Instant::now();
            if began < next {
                continue;
            }
            let detail = self.detail(engine.store(), data_dir, Shown::Live).await;
            let mut detail = detail.map_err(read)?;
            self.answers.add_to(&mut detail);
            progress.update(&detail);
            let sent = self.sent.tell(engine.store(), progress).await;
            sent.map_err(read)?;
            let now = Instant::now();
            next = now + QUIET.max((now - began) * SHARE);
        }
    }

    /// Tells how the run was when the engine was done with it.
    pub(crate) async fn last(
        &mut self,
        engine: &Engine,
        data_dir: &DataDir,
        shown: Shown,
        progress: &mut dyn Progress,
    ) -> fusion_persistence::Result<RunDetail> {
        self.look(engine.store(), data_dir, shown, progress).await
    }

    /// Tells how the run is now.
    pub(crate) async fn look(
        &mut self,
        store: &dyn Reader,
        data_dir: &DataDir,
        shown: Shown,
        progress: &mut dyn Progress,
    ) -> fusion_persistence::Result<RunDetail> {
        let seen = self.detail(store, data_dir, shown).await?;
        if progress.is_shown() {
            self.sent.tell(store, progress).await?;
        }
        progress.update(&seen);
        Ok(seen)
    }
}
