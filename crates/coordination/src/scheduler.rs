//! Drives a run: hands ready tasks to idle agents until nothing is left to do.

mod hand_out;

use std::sync::Arc;
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, Change, Decision, Halt, Run, RunId, Usage, Workflow, WorkflowState, Workspace,
    error_chain, run_subject,
};
use fusion_messaging::{Received, Subscription};
use fusion_persistence::{Batch, Claimed, Progress, Queue, Repository, RunFence};
use futures::FutureExt as _;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::below::Below;
use crate::budgets::Budgets;
use crate::hands::Hands;
use crate::places::Places;
use crate::plan::Plan;
use crate::{Coordinator, Error, Raised, Result};

/// How many sweeps make one of a run whose agents are all held.
const HELD_SWEEPS: u32 = 5;

/// How driving a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driven {
    /// The run reached this final state.
    Ended(WorkflowState),
    /// The caller asked to stop; the run can be resumed.
    Interrupted,
    /// A person holds the run, until it is let go on.
    Paused,
}

/// What workers say at their end, and who they worked for.
type Workers = JoinSet<(AgentId, Result<()>)>;

/// A task that was claimed for an agent which has a place.
type FirstTask = (Claimed, OwnedSemaphorePermit);

/// What is known of a run before it is driven.
struct Found {
    run: Run,
    workflow: Arc<Workflow>,
    agents: Vec<(Agent, Workspace)>,
}

/// The driving of one run.
struct Drive<'a> {
    plan: Arc<Plan>,
    hands: Hands,
    workers: Workers,
    places: Places,
    below: Below,
    slots: &'a Arc<Semaphore>,
    alarms: Alarms,
    /// Rung when a task ended whose agent went on with the next one.
    ends: Arc<Notify>,
    stop: &'a CancellationToken,
}

/// What wakes the scheduler.
struct Alarms {
    /// Says that something of the run moved. Listened to before the first look, so that none is missed.
    hints: Subscription,
    /// When to say again that this process looks after the tasks that wait for a limit.
    watch: Interval,
    /// Until the first task that waits for a limit can be handed out again.
    due_in: Option<Duration>,
    /// A task waits, and every agent of the run is held.
    is_held: bool,
}

impl Alarms {
    async fn new(coordinator: &Coordinator, run: RunId) -> Result<Self> {
        let period = coordinator.options.heartbeat;
        let mut watch = interval_at(Instant::now() + period, period);
        watch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            hints: coordinator.listen(&run_subject(run)).await?,
            watch,
            due_in: None,
            is_held: false,
        })
    }

    /// After how long somebody looks when nobody calls: rarely for who is held, which costs a while
    /// only when the hint of its end is lost.
    fn look_in(&self, sweep: Duration) -> Duration {
        let sweep = if self.is_held {
            sweep * HELD_SWEEPS
        } else {
            sweep
        };
        self.due_in.map_or(sweep, |due_in| due_in.min(sweep))
    }
}

impl Drive<'_> {
    /// A hint came. Those of this process's own workers say nothing new: it is heard when they are done.
    fn hear(&mut self, coordinator: &Coordinator, hint: Option<&Received>) -> bool {
        let is_own = hint
            .is_some_and(|hint| hint.lost_before == 0 && coordinator.is_own_work(&hint.payload));
        if !is_own {
            self.hands.doubt();
        }
        !is_own
    }

    /// One look at the store answers all hints that are there.
    fn forget_hints(&mut self, coordinator: &Coordinator) {
        while let Some(hint @ Some(_)) = self.alarms.hints.recv().now_or_never() {
            self.hear(coordinator, hint.as_ref());
        }
    }

    /// Whether nothing of it is under way in this process, nor below it.
    fn is_at_rest(&self) -> bool {
        self.workers.is_empty() && self.below.is_empty()
    }

    /// A worker is done, and maybe others with it: one look at the store serves them all.
    fn all_joined(
        &mut self,
        first: std::result::Result<(AgentId, Result<()>), JoinError>,
    ) -> Result<()> {
        self.joined(first)?;
        while let Some(ended) = self.workers.try_join_next() {
            self.joined(ended)?;
        }
        Ok(())
    }

    /// A worker is done. One that panicked is a fault of ours; its task is taken back at the next start.
    fn joined(
        &mut self,
        ended: std::result::Result<(AgentId, Result<()>), JoinError>,
    ) -> Result<()> {
        let (agent, worked) =
            ended.map_err(|error| Error::Broken(format!("a worker broke off: {error}")))?;
        self.hands.ended(agent);
        worked
    }
}

impl Coordinator {
    /// Takes up a run that has not ended, or begins one that was just created. `raised` budgets
    /// count until this returns.
    ///
    /// # Errors
    /// The run does not exist or has ended; else as [`drive`](Self::drive).
    pub async fn resume_run(
        &self,
        run: RunId,
        raised: &Raised,
        cancel: &CancellationToken,
    ) -> Result<Driven> {
        let found = self.parts.store.get(run).await?;
        if found.state.is_final() {
            return Err(Error::Ended {
                run,
                state: found.state,
            });
        }
        if found.is_standalone {
            return Err(Error::Standalone { run });
        }
        self.drive(run, raised, cancel).await
    }

    /// Works on a run until it ends or `cancel` is called. When it returns, nothing of the
    /// run is under way in this process any more.
    ///
    /// # Errors
    /// The store fails, or an agent's workspace can't be made. What was committed stays, and
    /// the run can be resumed unless it has ended.
    pub async fn drive(
        &self,
        run: RunId,
        raised: &Raised,
        cancel: &CancellationToken,
    ) -> Result<Driven> {
        let stop = cancel.child_token();
        let fence = self.take_run(run).await?;
        if let Some(fence) = fence {
            self.part.driving.begin(fence, stop.clone());
        }
        let mut driving = Box::pin(self.drive_alone((run, fence), raised, &stop));
        let (driven, kept) = tokio::select! {
            biased;
            driven = &mut driving => (driven, Ok(())),
            failed = self.pulse() => {
                stop.cancel();
                (driving.await, failed)
            }
        };
        if let Some(fence) = fence {
            self.hand_back(fence, Some(Duration::ZERO)).await;
        }
        self.take_last_samples().await;
        self.write_notices().await;
        if self.drivers.are_done() {
            self.clear_mail().await;
        }
        kept.and(driven)
    }

    /// The same, while somebody else keeps the leases of this process, that on the run included where
    /// others may drive it.
    pub(crate) async fn drive_alone(
        &self,
        (run, driver): (RunId, Option<RunFence>),
        raised: &Raised,
        cancel: &CancellationToken,
    ) -> Result<Driven> {
        let _at_the_wheel = self.drivers.enter(run);
        let (found, first) = self.begin(run, driver).await?;
        let stop = cancel.child_token();
        let taken_over = self.take_over_run(found, driver, raised, &stop).await;
        let mut drive = match (taken_over, first) {
            (Ok(mut drive), Some(first)) => {
                self.set_to_work(first, &mut drive);
                drive
            }
            (Err(error), Some((claimed, _))) => {
                let why = error_chain(&error);
                self.give_back_claimed(&claimed, &why).await?;
                return Err(error);
            }
            (taken_over, None) => taken_over?,
        };
        let driven = self.hand_out_until_done(&mut drive).await;
        stop.cancel();
        let mut failed = None;
        while let Some(ended) = drive.workers.join_next().await {
            failed = failed.or_else(|| drive.joined(ended).err());
        }
        while let Some(ended) = drive.below.next().await {
            failed = failed.or_else(|| ended.err());
        }
        match (driven, failed) {
            (Ok(driven), None) => Ok(driven),
            (Err(error), _) | (Ok(_), Some(error)) => Err(error),
        }
    }

    /// What is needed to drive a run that has begun.
    async fn take_over_run<'a>(
        &'a self,
        found: Found,
        driver: Option<RunFence>,
        raised: &Raised,
        stop: &'a CancellationToken,
    ) -> Result<Drive<'a>> {
        let run = found.run.id;
        self.keep_raise(&found.run, raised).await?;
        Ok(Drive {
            hands: Hands::new(&found.agents),
            plan: Arc::new(self.plan_of(found, raised).await?.driven_by(driver)),
            workers: Workers::new(),
            places: Places::default(),
            below: Below::default(),
            slots: &self.slots,
            alarms: Alarms::new(self, run).await?,
            ends: Arc::default(),
            stop,
        })
    }

    /// Makes a run ready to be worked on, unless a person holds it: it is launched, or its agents' sandbox
    /// is looked at again. Gives what was read for it, and the first task where it could be taken at once.
    async fn begin(
        &self,
        id: RunId,
        driver: Option<RunFence>,
    ) -> Result<(Found, Option<FirstTask>)> {
        loop {
            let found = self.found(self.parts.store.get(id).await?).await?;
            let Found {
                run,
                workflow,
                agents,
            } = &found;
            if run.halt.is_some() || run.state.is_final() {
                return Ok((found, None));
            }
            if run.state != WorkflowState::Ready {
                self.renew_sandbox(workflow, agents).await?;
                return Ok((found, None));
            }
            let mut specs = workflow.definition.agents.values();
            let are_usual = specs.all(|spec| spec.workspace.is_usual());
            let first = are_usual.then(|| self.first_claim(driver, &found));
            let (claim, place) = first.flatten().unzip();
            let of_run = (&**workflow, agents.clone());
            let claimed = match self.launch(run.clone(), driver, of_run, claim).await {
                // A person held or ended it meanwhile.
                Err(error) if error.is_conflict() => continue,
                launched => launched?,
            };
            if are_usual {
                let first = claimed.map(|claimed| *claimed).zip(place);
                return Ok((found, first));
            }
            // What they found in their workspaces is in their records now.
            return Ok((self.found(found.run).await?, None));
        }
    }

    async fn found(&self, run: Run) -> Result<Found> {
        Ok(Found {
            workflow: self.workflow_version(run.workflow_id).await?,
            agents: self.parts.store.agents_of_run(run.id).await?,
            run,
        })
    }

    /// What a run needs that was read as it is.
    pub(crate) async fn plan(&self, run: Run) -> Result<Plan> {
        let found = self.found(run).await?;
        self.plan_of(found, &Raised::default()).await
    }

    async fn plan_of(&self, found: Found, raised: &Raised) -> Result<Plan> {
        let Found {
            run,
            workflow,
            agents,
        } = found;
        let rows: Vec<&Agent> = agents.iter().map(|(agent, _)| agent).collect();
        // Nothing is used up before the first turn.
        let tasks = if run.usage == Usage::default() {
            Vec::new()
        } else {
            self.parts.store.tasks_of_run(run.id).await?
        };
        let above = self.above(&run, &workflow).await?;
        let budgets = Budgets::new(&workflow.definition, raised, &run, &rows, &tasks);
        let budgets = budgets.within(above);
        Ok(Plan::new(run, workflow, agents, budgets))
    }

    async fn hand_out_until_done(&self, drive: &mut Drive<'_>) -> Result<Driven> {
        let id = drive.plan.run.id;
        loop {
            drive.forget_hints(self);
            let Progress { run, queue } = self.heeded(id).await?;
            if run.state.is_final() {
                return Ok(Driven::Ended(run.state));
            }
            let is_closing = self.closing().is_cancelled();
            if drive.stop.is_cancelled() || (is_closing && drive.is_at_rest()) {
                return Ok(Driven::Interrupted);
            }
            if is_closing {
                self.wait(drive).await?;
            } else if let Some(halt) = &run.halt {
                match self.obey_with_below(&run, halt, drive).await? {
                    Some(driven) => return Ok(driven),
                    None => self.wait(drive).await?,
                }
            } else if run.state == WorkflowState::Ready {
                // A person held it before it was launched, and lets it go on.
                let (_, first) = self.begin(id, drive.plan.driver).await?;
                if let Some(first) = first {
                    self.set_to_work(first, drive);
                }
            } else if run.open_tasks == 0 {
                if let Some(state) = self.finish(&drive.plan, run).await? {
                    return Ok(Driven::Ended(state));
                }
            } else {
                self.go_on(drive, queue).await?;
                self.wait(drive).await?;
            }
        }
    }

    /// Does what a person said, and tells the runs below that this process drives; `None` while workers
    /// stop.
    async fn obey_with_below(
        &self,
        run: &Run,
        halt: &Halt,
        drive: &Drive<'_>,
    ) -> Result<Option<Driven>> {
        if !drive.below.is_empty() {
            self.pass_on(run.id, halt).await?;
        }
        self.obey(run, halt, !drive.is_at_rest()).await
    }

    /// Does what there is to do now.
    async fn go_on(&self, drive: &mut Drive<'_>, queue: Queue) -> Result<()> {
        let id = drive.plan.run.id;
        self.ask_people(&drive.plan).await?;
        self.go_on_below(&drive.plan, &mut drive.below, drive.stop)
            .await?;
        let queue = self.awake(id, queue).await?;
        drive.alarms.is_held = false;
        drive.places.look();
        if queue.ready > 0 {
            self.hand_out(drive, queue.claims()).await?;
        }
        drive.places.looked();
        let is_waiting = drive.plan.has_calls && drive.workers.is_empty() && queue.ready == 0;
        self.drivers.note_waiting(id, is_waiting);
        if queue.due_in.is_some() && drive.alarms.due_in.is_none() {
            self.watch(id).await?;
        }
        drive.alarms.due_in = queue.due_in;
        Ok(())
    }

    pub(crate) async fn progress_of(&self, id: RunId) -> Result<Progress> {
        let progress = self.parts.store.progress_of(id).await?;
        progress.ok_or_else(|| Error::Broken(format!("run {id} is gone")))
    }

    /// Waits until there may be something to do: a worker ended, a hint came, or the sweep.
    async fn wait(&self, drive: &mut Drive<'_>) -> Result<()> {
        let run = drive.plan.run.id;
        let sweep = tokio::time::sleep(drive.alarms.look_in(self.options.sweep));
        tokio::pin!(sweep);
        let closing = self.closing();
        let is_closing = closing.is_cancelled();
        loop {
            tokio::select! {
                biased;
                () = drive.stop.cancelled() => return Ok(()),
                () = closing.cancelled(), if !is_closing => return Ok(()),
                Some(ended) = drive.workers.join_next() => return drive.all_joined(ended),
                () = drive.ends.notified() => return Ok(()),
                Some(ended) = drive.below.next() => return ended,
                _ = drive.alarms.watch.tick(), if drive.alarms.due_in.is_some() => self.watch(run).await?,
                hint = drive.alarms.hints.recv() => {
                    if drive.hear(self, hint.as_ref()) {
                        return Ok(());
                    }
                }
                () = drive.places.come(drive.slots), if drive.places.is_wanted() => return Ok(()),
                () = &mut sweep => {
                    drive.hands.doubt();
                    drive.below.doubt();
                    return Ok(());
                }
            }
        }
    }

    /// What waits in the queue, once the tasks are awake whose time has come.
    async fn awake(&self, run: RunId, queue: Queue) -> Result<Queue> {
        if queue.due_in != Some(Duration::ZERO) {
            return Ok(queue);
        }
        self.wake(run, false).await?;
        Ok(self.progress_of(run).await?.queue)
    }

    /// Says in the store that this process looks after the waiting tasks of a run.
    async fn watch(&self, run_id: RunId) -> Result<()> {
        let lease = self.lease();
        let watch = Change::Watch {
            run_id,
            owner: lease.owner,
            lease: lease.duration,
        };
        self.commit(Batch::free(Decision::default().with(watch)))
            .await
    }

    /// Lets the tasks of a run go on whose wait for a limit is over; with `early` all that wait.
    ///
    /// # Errors
    /// The store fails.
    pub async fn wake(&self, run_id: RunId, early: bool) -> Result<()> {
        let wake = Change::Wake { run_id, early };
        self.commit(Batch::free(Decision::default().with(wake)))
            .await
    }
}
