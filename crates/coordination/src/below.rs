//! Runs that steps of other runs wait for: driven where nobody else does, and held, let go on and ended
//! with the run above.
//!
//! What a person says of a run is written into all runs below it. A process may die in between, so each
//! run also looks at the one above, and each run at those below: who drives a run obeys what was said
//! above, and lets go on what is held on account of it alone.

use std::collections::BTreeSet;

use fusion_core::{Halt, HaltKind, PauseAt, Run, RunId, Task};
use fusion_persistence::{Page, Progress, Repository, RunFilter};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::plan::Plan;
use crate::{Coordinator, Driven, Error, Raised, Result};

/// Runs that are looked at in one go.
const AT_ONCE: u32 = 1_000;

/// What is said of a run whose step nobody waits for any more.
pub(crate) const UNWANTED: &str = "the end of the step that waited for it";

/// The runs right below one that this process drives, in so far as it drives these too.
#[derive(Debug, Default)]
pub(crate) struct Below {
    drivers: JoinSet<(RunId, Result<Driven>)>,
    driven: BTreeSet<RunId>,
    /// Those that another process drives, until the next sweep.
    elsewhere: BTreeSet<RunId>,
}

impl Below {
    /// Whether none is driven.
    pub(crate) fn is_empty(&self) -> bool {
        self.drivers.is_empty()
    }

    /// Another process may have given up what it drove.
    pub(crate) fn doubt(&mut self) {
        self.elsewhere.clear();
    }

    /// The next one whose driver is done; `None` when none is driven.
    pub(crate) async fn next(&mut self) -> Option<Result<()>> {
        let ended = self.drivers.join_next().await?;
        Some(self.ended(ended))
    }

    /// One that can't go on lets the run above go on no more than a step of its own would.
    fn ended(
        &mut self,
        ended: std::result::Result<(RunId, Result<Driven>), JoinError>,
    ) -> Result<()> {
        let (run, driven) =
            ended.map_err(|error| Error::Broken(format!("a driver broke off: {error}")))?;
        self.driven.remove(&run);
        match driven {
            Err(error) if error.is_elsewhere() => {
                self.elsewhere.insert(run);
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }

    fn may_begin(&self, run: RunId) -> bool {
        !self.driven.contains(&run) && !self.elsewhere.contains(&run)
    }
}

impl Coordinator {
    /// Looks after the runs right below a run that goes on. A host hears of them as of all runs; a process
    /// that is there for one run drives them itself.
    pub(crate) async fn go_on_below(
        &self,
        plan: &Plan,
        below: &mut Below,
        stop: &CancellationToken,
    ) -> Result<()> {
        if !plan.has_calls {
            return Ok(());
        }
        let open = self.look_after_below(plan.run.id).await?;
        if self.part.has_hosted() {
            return Ok(());
        }
        for run in open {
            if below.may_begin(run) && !self.drivers.has(run) {
                below.driven.insert(run);
                below.drivers.spawn(self.drive_below(run, stop));
            }
        }
        Ok(())
    }

    /// Tells the runs right below a run what a person said of it.
    pub(crate) async fn pass_on(&self, run: RunId, halt: &Halt) -> Result<()> {
        let at = match halt.kind {
            HaltKind::NextStep => PauseAt::NextStep,
            HaltKind::Now => PauseAt::Now,
            HaltKind::Cancel => {
                for run in self.open_below(run).await? {
                    self.order_end_if_open(run.id, &halt.by).await?;
                }
                return Ok(());
            }
        };
        self.pause_below(run, at, &halt.by).await
    }

    /// The runs right below a run that have not ended.
    pub(crate) async fn open_below(&self, run: RunId) -> Result<Vec<Run>> {
        let filter = RunFilter {
            parent: Some(Some(run)),
            ..RunFilter::unfinished()
        };
        let (mut found, mut page) = (Vec::new(), Page::first(AT_ONCE));
        loop {
            let some: Vec<Run> = self.parts.store.list(&filter, page).await?;
            let Some(last) = some.last() else {
                return Ok(found);
            };
            page.after = Some(last.id);
            let is_last = some.len() < AT_ONCE as usize;
            found.extend(some);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// The runs below a run at any depth that have not ended.
    pub(crate) async fn all_open_below(&self, run: RunId) -> Result<Vec<Run>> {
        let mut found = self.open_below(run).await?;
        let mut looked_at = 0;
        while let Some(next) = found.get(looked_at).map(|run| run.id) {
            found.extend(self.open_below(next).await?);
            looked_at += 1;
        }
        Ok(found)
    }

    /// Lets the runs right below one that goes on go on too, where they were held with it. Gives those
    /// that may be driven.
    async fn look_after_below(&self, run: RunId) -> Result<Vec<RunId>> {
        let mut to_drive = Vec::new();
        for below in self.open_below(run).await? {
            let id = below.id;
            match &below.halt {
                None => to_drive.push(id),
                Some(halt) if halt.kind != HaltKind::Cancel && halt.is_from_above => {
                    self.release_from_above(&below).await?;
                    to_drive.push(id);
                }
                Some(halt) if halt.kind == HaltKind::Cancel => to_drive.push(id),
                Some(_) => {}
            }
        }
        Ok(to_drive)
    }

    /// Drives a run below another one in this process, beside that one.
    fn drive_below(
        &self,
        run: RunId,
        stop: &CancellationToken,
    ) -> BoxFuture<'static, (RunId, Result<Driven>)> {
        let (coordinator, stop) = (self.clone(), stop.clone());
        async move {
            let raised = Raised::default();
            let driven = coordinator.drive(run, &raised, &stop).await;
            (run, driven)
        }
        .boxed()
    }

    /// How far a run is, once it heeds the one above it.
    pub(crate) async fn heeded(&self, id: RunId) -> Result<Progress> {
        loop {
            let progress = self.progress_of(id).await?;
            if !self.heed(&progress.run).await? {
                return Ok(progress);
            }
        }
    }

    /// Does for a run what was said of the one above it, or what the end of its step means for it; says
    /// whether its row was written.
    pub(crate) async fn heed(&self, run: &Run) -> Result<bool> {
        let Some(parent) = &run.parent else {
            return Ok(false);
        };
        if run.is_being_cancelled() || run.state.is_final() {
            return Ok(false);
        }
        let task: Task = self.parts.store.get(parent.task_id).await?;
        let above: Run = self.parts.store.get(parent.run_id).await?;
        let halt = above.halt.as_ref().filter(|_| !above.state.is_final());
        let is_wanted = !task.state.is_final() && task.course.child == Some(run.id);
        let said = match halt.map(|halt| (halt.kind, halt.by.as_str())) {
            Some((HaltKind::Cancel, by)) => self.order_end(run.id, by).await,
            _ if !is_wanted || above.state.is_final() => self.order_end(run.id, UNWANTED).await,
            Some((HaltKind::Now, by)) => self.hold_from_above(run, PauseAt::Now, by).await,
            Some((HaltKind::NextStep, by)) => {
                self.hold_from_above(run, PauseAt::NextStep, by).await
            }
            None => return Ok(false),
        };
        said.or_else(|error| {
            if is_over(&error) {
                Ok(true)
            } else {
                Err(error)
            }
        })
    }

    async fn order_end_if_open(&self, run: RunId, by: &str) -> Result<()> {
        match self.order_end(run, by).await {
            Err(error) if is_over(&error) => {}
            other => drop(other?),
        }
        self.hint_run(run);
        Ok(())
    }

    async fn order_end(&self, run: RunId, by: &str) -> Result<bool> {
        self.say(run, |run| run.order_cancel(by, self.moment()))
            .await?;
        Ok(true)
    }

    /// Says whether it was held no firmer before.
    async fn hold_from_above(&self, run: &Run, at: PauseAt, by: &str) -> Result<bool> {
        let held = self
            .say(run.id, |run| run.pause_from_above(at, by, self.moment()))
            .await?;
        Ok(held.halt != run.halt)
    }

    async fn release_from_above(&self, run: &Run) -> Result<()> {
        let by = run.halt.as_ref().map_or("", |halt| &halt.by);
        let released = self.say(run.id, |run| run.release(by, self.moment())).await;
        match released {
            Err(error) if is_over(&error) => {}
            other => drop(other?),
        }
        self.hint_run(run.id);
        Ok(())
    }

    /// Holds the runs below a run.
    pub(crate) async fn pause_below(&self, id: RunId, at: PauseAt, by: &str) -> Result<()> {
        for run in self.all_open_below(id).await? {
            match self.hold_from_above(&run, at, by).await {
                Err(error) if is_over(&error) => {}
                other => drop(other?),
            }
            self.crew.stop_run(run.id, at);
        }
        Ok(())
    }

    /// Lets the runs below a run go on that were held with it, and those at once that could not go on;
    /// with `early` also what waits for a limit.
    pub(crate) async fn release_below(&self, id: RunId, early: bool) -> Result<()> {
        for run in self.all_open_below(id).await? {
            match &run.halt {
                Some(halt) if halt.is_from_above => self.release_from_above(&run).await?,
                Some(_) => continue,
                None => {}
            }
            if early {
                self.wake(run.id, true).await?;
            }
            self.drivers.want(run.id, Raised::default());
            self.hint_run(run.id);
        }
        Ok(())
    }

    /// Lets all that waits for a limit go on, in a run and in those below.
    ///
    /// # Errors
    /// The store fails.
    pub async fn wake_all(&self, id: RunId) -> Result<()> {
        self.wake(id, true).await?;
        for run in self.all_open_below(id).await? {
            self.wake(run.id, true).await?;
        }
        Ok(())
    }

    /// As [`see_ended`](Self::see_ended), which ends those below too.
    fn see_one_ended(&self, id: RunId) -> BoxFuture<'_, Result<()>> {
        async move { self.see_ended(id).await.map(|_| ()) }.boxed()
    }

    /// Ends the runs below a run that has ended.
    pub(crate) async fn cancel_below(&self, id: RunId, by: &str) -> Result<()> {
        let below = self.open_below(id).await?;
        for run in &below {
            self.order_end_if_open(run.id, by).await?;
        }
        for run in below {
            self.see_one_ended(run.id).await?;
        }
        Ok(())
    }

    /// Ends a run that a step does not wait for any more, and all below it.
    pub(crate) async fn cancel_child(&self, id: RunId, by: &str) -> Result<()> {
        self.order_end_if_open(id, by).await?;
        self.see_one_ended(id).await
    }

    /// Ends the runs of steps that nobody waits for any more, as one of the run was cancelled.
    pub(crate) async fn end_unwanted_below(&self, id: RunId) -> Result<()> {
        for run in self.open_below(id).await? {
            if self.heed(&run).await? {
                self.hint_run(run.id);
                let now: Run = self.parts.store.get(run.id).await?;
                if now.is_being_cancelled() {
                    self.see_one_ended(run.id).await?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a run could not be told because it has ended, or ends just now.
fn is_over(error: &Error) -> bool {
    matches!(error, Error::Ended { .. } | Error::Cancelling { .. })
}
