//! Drives a run: hands ready tasks to idle agents until nothing is left to do.

use std::sync::Arc;
use std::time::Duration;

use fusion_core::{
    Agent, AgentState, Change, Decision, EventType, NewEvent, RunId, WorkflowState, run_subject,
};
use fusion_messaging::Subscription;
use fusion_persistence::{Batch, Claim, Guard, Queue, Repository, RunFence};
use futures::FutureExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::budgets::Budgets;
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

type Workers = JoinSet<Result<()>>;

/// What wakes the scheduler.
struct Alarms {
    /// Says that something of the run moved. Listened to before the first look, so that none is missed.
    hints: Subscription,
    /// When to say again that this process looks after the tasks that wait for a limit.
    watch: Interval,
    /// Until the first task that waits for a limit can be handed out again.
    due_in: Option<Duration>,
    /// A task was not handed out because as many agents work as may.
    is_full: bool,
    /// A task waits, and every agent of the run is held.
    is_held: bool,
}

/// What was not handed out.
struct Left {
    due_in: Option<Duration>,
    is_full: bool,
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
            is_full: false,
            is_held: false,
        })
    }

    /// One look at the store answers all hints that are there.
    fn forget_hints(&mut self) {
        while let Some(Some(_)) = self.hints.recv().now_or_never() {}
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
        self.clear_mail().await;
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
        self.begin(run, driver).await?;
        let mut workers = Workers::new();
        let stop = cancel.child_token();
        let driven = match self.plan(run, raised).await {
            Ok(mut plan) => {
                plan.driver = driver;
                self.hand_out_until_done(plan, &stop, &mut workers).await
            }
            Err(error) => Err(error),
        };
        stop.cancel();
        let mut failed = None;
        while let Some(ended) = workers.join_next().await {
            failed = failed.or_else(|| joined(ended).err());
        }
        match (driven, failed) {
            (Ok(driven), None) => Ok(driven),
            (Err(error), _) | (Ok(_), Some(error)) => Err(error),
        }
    }

    /// Makes a run ready to be worked on, unless a person holds it: it is launched, or its agents' sandbox
    /// is looked at again.
    async fn begin(&self, id: RunId, driver: Option<RunFence>) -> Result<()> {
        loop {
            let run = self.parts.store.get(id).await?;
            if run.halt.is_some() || run.state.is_final() {
                return Ok(());
            }
            if run.state != WorkflowState::Ready {
                return self.renew_sandbox(&run).await;
            }
            match self
                .launch(run, driver.map_or(Guard::Free, Guard::Driven))
                .await
            {
                // A person held or ended it meanwhile.
                Err(error) if error.is_conflict() => {}
                other => return other,
            }
        }
    }

    async fn hand_out_until_done(
        &self,
        plan: Plan,
        stop: &CancellationToken,
        workers: &mut Workers,
    ) -> Result<Driven> {
        let (id, plan) = (plan.run.id, Arc::new(plan));
        let mut alarms = Alarms::new(self, id).await?;
        loop {
            let run = self.parts.store.get(id).await?;
            if run.state.is_final() {
                return Ok(Driven::Ended(run.state));
            }
            let is_closing = self.closing().is_cancelled();
            if stop.is_cancelled() || (is_closing && workers.is_empty()) {
                return Ok(Driven::Interrupted);
            }
            if is_closing {
                self.wait(id, &mut alarms, stop, workers).await?;
            } else if let Some(halt) = &run.halt {
                match self.obey(&run, halt, !workers.is_empty()).await? {
                    Some(driven) => return Ok(driven),
                    None => self.wait(id, &mut alarms, stop, workers).await?,
                }
            } else if run.open_tasks == 0 {
                self.finish(&plan, run).await?;
            } else {
                let Left {
                    due_in,
                    is_full,
                    is_held,
                } = self.hand_out(&plan, stop, workers).await?;
                (alarms.is_full, alarms.is_held) = (is_full, is_held);
                if due_in.is_some() && alarms.due_in.is_none() {
                    self.watch(id).await?;
                }
                alarms.due_in = due_in;
                self.wait(id, &mut alarms, stop, workers).await?;
            }
        }
    }

    pub(crate) async fn plan(&self, id: RunId, raised: &Raised) -> Result<Plan> {
        let store = &self.parts.store;
        let run = store.get(id).await?;
        let workflow = store.get(run.workflow_id).await?;
        let agents = store.agents_of_run(id).await?;
        let rows: Vec<&Agent> = agents.iter().map(|(agent, _)| agent).collect();
        let tasks = store.tasks_of_run(id).await?;
        let budgets = Budgets::new(&workflow.definition, raised, &run, &rows, &tasks);
        Ok(Plan::new(run, workflow, agents, budgets))
    }

    /// Waits until there may be something to do: a worker ended, a hint came, or the sweep.
    async fn wait(
        &self,
        run: RunId,
        alarms: &mut Alarms,
        stop: &CancellationToken,
        workers: &mut Workers,
    ) -> Result<()> {
        let sweep = tokio::time::sleep(alarms.look_in(self.options.sweep));
        tokio::pin!(sweep);
        let closing = self.closing();
        let is_closing = closing.is_cancelled();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = closing.cancelled(), if !is_closing => return Ok(()),
                Some(ended) = workers.join_next() => return joined(ended),
                _ = alarms.watch.tick(), if alarms.due_in.is_some() => self.watch(run).await?,
                _ = alarms.hints.recv() => {
                    alarms.forget_hints();
                    return Ok(());
                }
                () = self.a_place(), if alarms.is_full => return Ok(()),
                () = &mut sweep => return Ok(()),
            }
        }
    }

    /// Waits until one agent more may work.
    pub(crate) async fn a_place(&self) {
        // Nobody closes it.
        drop(self.slots.acquire().await);
    }

    /// One claim for each idle agent, when there is anything to claim and a place. Says what is left.
    async fn hand_out(
        &self,
        plan: &Arc<Plan>,
        stop: &CancellationToken,
        workers: &mut Workers,
    ) -> Result<Left> {
        self.ask_people(plan).await?;
        let queue = self.queue(plan.run.id).await?;
        let mut left = Left {
            due_in: queue.due_in,
            is_full: false,
            is_held: false,
        };
        if !queue.has_ready {
            return Ok(left);
        }
        let agents = self.parts.store.agents_of_run(plan.run.id).await?;
        let is_held = |agent: &Agent| agent.state == AgentState::Paused;
        left.is_held = agents.iter().all(|(agent, _)| is_held(agent));
        for (agent, _) in agents {
            if agent.state != AgentState::Idle || stop.is_cancelled() {
                continue;
            }
            let Ok(place) = Arc::clone(&self.slots).try_acquire_owned() else {
                left.is_full = true;
                return Ok(left);
            };
            let told = format!("assigned to {}", agent.name);
            let claim = Claim {
                agent: agent.id,
                run: plan.run.id,
                capability_sets: plan.sets_of(&agent),
                lease: self.lease(),
                driver: plan.driver,
                event: NewEvent::of_run(self.moment(), EventType::TaskAssigned, plan.run.id, told)
                    .by(Some(agent.id)),
            };
            if let Some(claimed) = self.parts.store.claim_task(claim).await? {
                let (coordinator, plan, stop) = (self.clone(), Arc::clone(plan), stop.clone());
                workers.spawn(async move {
                    let worked = Box::pin(coordinator.work(&plan, claimed, &stop)).await;
                    drop(place);
                    worked
                });
            }
        }
        Ok(left)
    }

    /// What waits in the queue, once the tasks are awake whose time has come.
    async fn queue(&self, run_id: RunId) -> Result<Queue> {
        let queue = self.parts.store.queue_of(run_id).await?;
        if queue.due_in != Some(Duration::ZERO) {
            return Ok(queue);
        }
        self.wake(run_id, false).await?;
        Ok(self.parts.store.queue_of(run_id).await?)
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

/// A worker that panicked is a fault of ours; its task is taken back at the next start.
fn joined(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.map_err(|error| Error::Broken(format!("a worker broke off: {error}")))?
}
