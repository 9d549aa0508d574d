//! Runs in the hands of a person: held, let go on, ended.
//!
//! A person's word is a commit on the run's row and counts from then on. Who drives the run hears of
//! it by a hint or looks at the row at the next sweep, stops its workers, and decides on the row that
//! it meets. An end is finished by the driver, else by whoever said it, else by the next start.

use std::time::Duration;

use fusion_core::{
    Agent, Change, Decision, Halt, HaltKind, PauseAt, Row, Run, RunId, Task, TaskId, run_subject,
};
use fusion_persistence::{Batch, Page, Repository, RunFilter};
use tokio::time::{Instant, sleep, timeout};

use crate::below::UNWANTED;
use crate::races::Races;
use crate::{Coordinator, Driven, Error, Raised, Result};

/// How long a run's driver may take to stop its workers and to end the run, before another ends it.
const STOPPING: Duration = Duration::from_secs(3);

/// The longest wait between two looks at a run that is being ended.
const LOOK: Duration = Duration::from_millis(200);

/// The wait between two of them: workers that were told to stop write their last words.
const BETWEEN: Duration = Duration::from_millis(20);

/// Runs that are looked at in one go.
const AT_ONCE: u32 = 1_000;

type Said = std::result::Result<(Run, Decision), fusion_core::IllegalTransition>;

impl Coordinator {
    /// Holds a run: nothing of it is handed out, and what is under way is given back, at once or when
    /// the call in flight is ended. Returns when the row says so; workers stop a moment later. Nothing
    /// is lost: journals stay.
    ///
    /// # Errors
    /// There is no such run, it has ended or is being ended, or the store fails.
    pub async fn pause_run(&self, id: RunId, at: PauseAt, by: &str) -> Result<Run> {
        let paused = self.say(id, |run| run.pause(at, by, self.moment())).await?;
        if self.is_dry_run {
            return Ok(paused);
        }
        self.crew.stop_run(id, at);
        self.pause_below(id, at, by).await?;
        Ok(paused)
    }

    /// Lets a run go on that was held or could not go on: a server takes it up at once, with the raised
    /// budgets. With `early`, what waits for a limit is tried again too.
    ///
    /// # Errors
    /// There is no such run, it has ended or is being ended, or the store fails.
    pub async fn release_run(
        &self,
        id: RunId,
        raised: Raised,
        early: bool,
        by: &str,
    ) -> Result<Run> {
        let found: Run = self.parts.store.get(id).await?;
        let is_over = found.state.is_final() || found.is_being_cancelled();
        if !is_over && !found.is_standalone {
            self.keep_raise(&found, &raised).await?;
            self.drivers.want(id, raised);
        }
        let released = self.say(id, |run| run.release(by, self.moment())).await?;
        if early {
            self.wake(id, true).await?;
        }
        self.hint_run(id);
        self.release_below(id, early).await?;
        Ok(released)
    }

    /// Ends a run: running tools and model calls are cut off, open tasks are cancelled, its agents end.
    /// From the first commit on it can't end in any other way. A run that is cancelled already is
    /// given as it is.
    ///
    /// # Errors
    /// There is no such run, it has ended in another way, or the store fails. Once it was told to end,
    /// the next start ends it.
    pub async fn cancel_run(&self, id: RunId, by: &str) -> Result<Run> {
        let found: Run = self.parts.store.get(id).await?;
        if found.state == fusion_core::WorkflowState::Cancelled {
            return Ok(found);
        }
        if self.is_dry_run {
            return self.try_to_end(id, by).await;
        }
        self.say(id, |run| run.order_cancel(by, self.moment()))
            .await?;
        self.hint_run(id);
        self.see_ended(id).await
    }

    /// Tries the end of a run. Where others write to it all the time, what was decided last is told: its
    /// real end is told first, and then waits for them.
    async fn try_to_end(&self, id: RunId, by: &str) -> Result<Run> {
        let mut races = Races::new();
        loop {
            let run: Run = self.parts.store.get(id).await?;
            if run.state == fusion_core::WorkflowState::Cancelled {
                return Ok(run);
            }
            let ends = self.ends(run.clone(), by).await?;
            match self.commit(Batch::free(ends.clone())).await {
                Err(error) if error.lost_a_race() => {
                    let again = races.after(error).await;
                    again.map_err(|_| Error::DryRun(Box::new(ends)))?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(run),
            }
        }
    }

    /// Waits a while for the driver of a run that was told to end, then ends it.
    pub(crate) async fn see_ended(&self, id: RunId) -> Result<Run> {
        let mut hints = self.listen(&run_subject(id)).await?;
        let until = Instant::now() + STOPPING;
        while Instant::now() < until {
            let run: Run = self.parts.store.get(id).await?;
            if run.state.is_final() || !self.is_driven(id).await? {
                break;
            }
            timeout(LOOK, hints.recv()).await.ok();
        }
        self.end_cancelled(id).await
    }

    /// Commits what a person says about a run, decided again when the row has moved. In a dry run what it
    /// means for the runs below is told too.
    pub(crate) async fn say(&self, id: RunId, decide: impl Fn(Run) -> Said) -> Result<Run> {
        let mut races = Races::new();
        loop {
            let run: Run = self.parts.store.get(id).await?;
            let (said, mut decision) = said(run, &decide)?;
            if self.is_dry_run {
                for below in self.all_open_below(id).await? {
                    let also = decide(below).map(|(_, also)| also);
                    decision.merge(also.unwrap_or_default());
                }
            }
            if decision == Decision::default() {
                return Ok(said);
            }
            match self.commit(Batch::free(decision)).await {
                Err(error) if error.is_conflict() => races.after(error).await?,
                Err(error) => return Err(error),
                Ok(()) => return Ok(said),
            }
        }
    }

    /// All that the end of a run and of those below it writes, for a dry run.
    pub(crate) async fn ends(&self, run: Run, by: &str) -> Result<Decision> {
        let below = self.all_open_below(run.id).await?;
        let mut decision = Decision::default();
        for run in std::iter::once(run).chain(below) {
            let (told, order) = said(run, &|run: Run| run.order_cancel(by, self.moment()))?;
            decision.merge(order);
            decision.merge(self.cancelled(told).await?);
        }
        Ok(decision)
    }

    /// The ends of the runs below a run that a decision leaves unwanted, for a dry run.
    pub(crate) async fn ends_below(&self, run: RunId, decision: &Decision) -> Result<Decision> {
        let ended = |id: TaskId| {
            decision.changes.iter().any(|change| {
                matches!(change, Change::Update(Row::Task(task)) if task.id == id && task.state.is_final())
            })
        };
        let mut ends = Decision::default();
        for below in self.open_below(run).await? {
            if below
                .parent
                .as_ref()
                .is_some_and(|parent| ended(parent.task_id))
            {
                ends.merge(self.ends(below, UNWANTED).await?);
            }
        }
        Ok(ends)
    }

    /// Whether a driver is at work on a run: of this process, or where others may write, of another.
    pub(crate) async fn is_driven(&self, run: RunId) -> Result<bool> {
        if self.drivers.has(run) {
            return Ok(true);
        }
        let is_shared = !self.options.grace.is_zero();
        Ok(is_shared && self.parts.store.is_worked_on(run).await?)
    }

    /// Does what a person said about a run that this process drives; `None` while its workers stop.
    pub(crate) async fn obey(
        &self,
        run: &Run,
        halt: &Halt,
        has_workers: bool,
    ) -> Result<Option<Driven>> {
        let at = match halt.kind {
            HaltKind::NextStep => PauseAt::NextStep,
            HaltKind::Now | HaltKind::Cancel => PauseAt::Now,
        };
        self.crew.stop_run(run.id, at);
        if has_workers {
            return Ok(None);
        }
        match halt.kind {
            HaltKind::NextStep | HaltKind::Now => Ok(Some(Driven::Paused)),
            HaltKind::Cancel => {
                let ended = self.end_cancelled(run.id).await?;
                Ok(Some(Driven::Ended(ended.state)))
            }
        }
    }

    /// Ends a run that was told to end, and with it those below.
    async fn end_cancelled(&self, id: RunId) -> Result<Run> {
        let ended = self.end_told(id).await?;
        let by = ended.halt.as_ref().map_or("", |halt| &halt.by);
        self.cancel_below(id, by).await?;
        Ok(ended)
    }

    /// Ends a run that was told to end, in one commit.
    async fn end_told(&self, id: RunId) -> Result<Run> {
        let store = &self.parts.store;
        let mut races = Races::new();
        loop {
            let run: Run = store.get(id).await?;
            if run.state.is_final() {
                return Ok(run);
            }
            let decision = self.cancelled(run).await?;
            match self.commit(Batch::free(decision)).await {
                Err(error) if error.lost_a_race() => races.after(error).await?,
                Err(error) => return Err(error),
                Ok(()) => continue,
            }
            sleep(BETWEEN).await;
        }
    }

    /// The end of a run that was told to end.
    async fn cancelled(&self, run: Run) -> Result<Decision> {
        let store = &self.parts.store;
        let tasks: Vec<Task> = store.tasks_of_run(run.id).await?;
        let agents = store.agents_of_run(run.id).await?;
        let agents: Vec<Agent> = agents.into_iter().map(|(agent, _)| agent).collect();
        let lapsed = self.lapse_approvals(&run).await?;
        let mut decision = run.cancel(&tasks, agents, self.moment())?;
        decision.changes.extend(lapsed);
        Ok(decision)
    }

    /// Ends a run that nobody drives and that was told to end, or whose step has ended.
    async fn end_if_told(&self, mut run: Run) -> Result<bool> {
        let may_be_told = run.is_being_cancelled() || run.parent.is_some();
        if !may_be_told || self.is_driven(run.id).await? {
            return Ok(false);
        }
        if self.heed(&run).await? {
            run = self.parts.store.get(run.id).await?;
        }
        if !run.is_being_cancelled() {
            return Ok(false);
        }
        self.end_cancelled(run.id).await?;
        Ok(true)
    }

    /// Ends the runs that were told to end and whose process died before they had. Says how many.
    ///
    /// # Errors
    /// The store fails.
    pub async fn end_all_cancelled(&self) -> Result<usize> {
        let mut ended = 0;
        let mut page = Page::first(AT_ONCE);
        loop {
            let open: Vec<Run> = self
                .parts
                .store
                .list(&RunFilter::unfinished(), page)
                .await?;
            let Some(last) = open.last() else {
                return Ok(ended);
            };
            page.after = Some(last.id);
            for run in open {
                ended += usize::from(self.end_if_told(run).await?);
            }
        }
    }
}

/// What a person says about a run, unless its state does not allow it.
fn said(run: Run, decide: &impl Fn(Run) -> Said) -> Result<(Run, Decision)> {
    let (id, state, is_ending) = (run.id, run.state, run.is_being_cancelled());
    if run.is_standalone {
        return Err(Error::Standalone { run: id });
    }
    decide(run).map_err(|source| match state.is_final() {
        true => Error::Ended { run: id, state },
        false if is_ending => Error::Cancelling { run: id },
        false => Error::Illegal(source),
    })
}
