//! A process that does all there is to do, until it is told to stop.

use std::collections::BTreeMap;
use std::time::Duration;

use fusion_core::{AgentId, Run, RunId, error_chain};
use fusion_messaging::Subscription;
use fusion_persistence::{Page, Repository, RunFilter};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::delegation::Floor;
use crate::pulse::agent_of;
use crate::{Coordinator, Driven, Error, Raised, Result};

/// Says that something of a run moved, or that one was made.
const RUNS: &str = "workflow.*.events";

/// Says that a message waits for an agent.
const INBOXES: &str = "agent.*.inbox";

/// Open runs that are looked at in one go.
const AT_ONCE: u32 = 1_000;

/// How many sweeps of the scheduler make one of the host: hints make it needless, but for lost ones.
const SWEEPS: u32 = 5;

/// The wait before a run that could not go on is taken up again. It doubles with each time.
const FIRST_REST: Duration = Duration::from_secs(60);

/// The longest of these waits.
const LONGEST_REST: Duration = Duration::from_secs(15 * 60);

/// The wait after the store failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// What is to be looked at.
enum Call {
    Stop,
    /// A driver ended.
    Ended(Ended),
    /// Something of a run moved.
    Run(RunId),
    /// An agent was sent something.
    Mail(AgentId),
    /// Everything.
    Sweep,
}

type Ended = std::result::Result<(Id, Result<Driven>), JoinError>;

/// What the host listens to.
struct Ears {
    runs: Subscription,
    inboxes: Subscription,
    sweep: Interval,
}

impl Ears {
    async fn new(coordinator: &Coordinator) -> Result<Self> {
        let mut sweep = interval(coordinator.options.sweep * SWEEPS);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            runs: coordinator.listen(RUNS).await?,
            inboxes: coordinator.listen(INBOXES).await?,
            sweep,
        })
    }

    async fn next(&mut self, fleet: &mut Fleet, cancel: &CancellationToken) -> Call {
        loop {
            let call = tokio::select! {
                biased;
                () = cancel.cancelled() => Some(Call::Stop),
                Some(ended) = fleet.drivers.join_next_with_id() => Some(Call::Ended(ended)),
                _ = self.sweep.tick() => Some(Call::Sweep),
                Some(hint) = self.inboxes.recv() => agent_of(hint.subject.as_str()).map(Call::Mail),
                Some(hint) = self.runs.recv() => run_of(hint.subject.as_str()).map(Call::Run),
            };
            if let Some(call) = call {
                return call;
            }
        }
    }
}

/// The runs in the hands of this process.
#[derive(Default)]
struct Fleet {
    /// Stops all drivers.
    stop: CancellationToken,
    drivers: JoinSet<Result<Driven>>,
    by_task: BTreeMap<Id, RunId>,
    driven: BTreeMap<RunId, Id>,
    /// Runs that could not go on, and when they are taken up again.
    resting: BTreeMap<RunId, Rest>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    time: Duration,
}

impl Coordinator {
    /// Works on every open run and on what standing agents are sent, until `cancel` is called: takes up
    /// what a dead process left, and what others add to the store. Nothing of it is under way in this
    /// process any more when it returns.
    ///
    /// What waits for nobody costs nothing here: an agent without work is a row. Hints of the bus say
    /// what to look at; losing them costs a few sweeps. A run that can't go on (its provider refuses,
    /// say) rests for a minute, then for longer, or until a person resumes it.
    ///
    /// # Errors
    /// The bus can't be listened to. A store that fails is tried again.
    pub async fn host(&self, cancel: &CancellationToken) -> Result<()> {
        let mut ears = Ears::new(self).await?;
        let mut floor = Floor::new(self).await?;
        let working = async {
            tokio::join!(
                self.keep_working(&mut ears, cancel),
                self.delegate(&mut floor, cancel)
            )
        };
        tokio::select! {
            ((), ()) = working => {}
            () = self.keep_pulse() => {}
        }
        self.write_notices().await;
        self.clear_mail().await;
        Ok(())
    }

    /// Works on the tasks of the pool only, until `cancel` is called. Nothing of it is under way in this
    /// process any more when it returns.
    ///
    /// # Errors
    /// The bus can't be listened to. A store that fails is tried again.
    pub async fn host_pool(&self, cancel: &CancellationToken) -> Result<()> {
        let mut floor = Floor::new(self).await?;
        tokio::select! {
            () = self.delegate(&mut floor, cancel) => {}
            () = self.keep_pulse() => {}
        }
        self.take_last_samples().await;
        self.write_notices().await;
        self.clear_mail().await;
        Ok(())
    }

    /// The pulse, taken up again after each failure of the store.
    async fn keep_pulse(&self) {
        loop {
            if let Err(error) = self.pulse().await {
                tracing::error!(error = error_chain(&error), "the leases could not be kept");
            }
            tokio::time::sleep(AFTER_A_FAILURE).await;
        }
    }

    async fn keep_working(&self, ears: &mut Ears, cancel: &CancellationToken) {
        let mut fleet = Fleet::default();
        while !cancel.is_cancelled() {
            let call = ears.next(&mut fleet, cancel).await;
            if let Err(error) = self.answer(call, &mut fleet).await {
                let error = error_chain(&error);
                tracing::error!(error, "what is to do could not be looked for");
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
        fleet.stop.cancel();
        while let Some(ended) = fleet.drivers.join_next_with_id().await {
            fleet.ended(ended);
        }
    }

    async fn answer(&self, call: Call, fleet: &mut Fleet) -> Result<()> {
        match call {
            Call::Stop => Ok(()),
            Call::Ended(ended) => {
                fleet.ended(ended);
                self.take_up_all_mail().await.map(|_| ())
            }
            Call::Run(run) => self.take_up(fleet, run).await,
            Call::Mail(agent) => self.take_up_mail(agent).await.map(|_| ()),
            Call::Sweep => self.sweep(fleet).await,
        }
    }

    /// Looks for everything that there is to do.
    async fn sweep(&self, fleet: &mut Fleet) -> Result<()> {
        self.clear_remains().await?;
        self.take_up_all_mail().await?;
        let mut page = Page::first(AT_ONCE);
        // Nobody drives a task of its own.
        let filter = RunFilter {
            standalone: Some(false),
            ..RunFilter::unfinished()
        };
        loop {
            let open: Vec<Run> = self.parts.store.list(&filter, page).await?;
            let Some(last) = open.last() else {
                return Ok(());
            };
            page.after = Some(last.id);
            for run in open {
                if !fleet.has(run.id) && self.is_free(&run).await? {
                    self.launch_driver(fleet, run.id);
                }
            }
        }
    }

    /// Drives a run of which something was heard, unless it is driven, rests or has ended.
    async fn take_up(&self, fleet: &mut Fleet, id: RunId) -> Result<()> {
        if fleet.has(id) {
            return Ok(());
        }
        let found: Option<Run> = self.parts.store.find(id).await?;
        if let Some(run) = found.filter(|run| !run.state.is_final() && !run.is_standalone)
            && self.is_free(&run).await?
        {
            self.launch_driver(fleet, id);
        }
        Ok(())
    }

    /// Whether no other process drives a run. Where this process is alone there is none; else a young
    /// run is left to who made it, and an older one to who holds a lease in it.
    async fn is_free(&self, run: &Run) -> Result<bool> {
        if self.options.grace.is_zero() {
            return Ok(true);
        }
        let age = (self.parts.clock.now() - run.created_at).to_std();
        let is_young = age.unwrap_or_default() < self.options.grace;
        Ok(!is_young && !self.parts.store.is_worked_on(run.id).await?)
    }

    fn launch_driver(&self, fleet: &mut Fleet, run: RunId) {
        let (coordinator, stop) = (self.clone(), fleet.stop.clone());
        let driving = async move {
            coordinator
                .drive_alone(run, &Raised::default(), &stop)
                .await
        };
        let task = fleet.drivers.spawn(driving).id();
        fleet.by_task.insert(task, run);
        fleet.driven.insert(run, task);
    }
}

impl Fleet {
    /// Whether a run is driven, or rests.
    fn has(&self, run: RunId) -> bool {
        let rests = |rest: &Rest| rest.until > Instant::now();
        self.driven.contains_key(&run) || self.resting.get(&run).is_some_and(rests)
    }

    fn ended(&mut self, ended: Ended) {
        let (task, driven) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let broken = Error::Broken(format!("a driver broke off: {error}"));
                (error.id(), Err(broken))
            }
        };
        let Some(run) = self.by_task.remove(&task) else {
            return;
        };
        self.driven.remove(&run);
        match driven {
            Ok(_) => {
                self.resting.remove(&run);
            }
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(run.id = %run, error, "a run can't go on now");
                let before = self.resting.get(&run).map(|rest| rest.time);
                let time = before.map_or(FIRST_REST, |time| (time * 2).min(LONGEST_REST));
                let until = Instant::now() + time;
                self.resting.insert(run, Rest { until, time });
            }
        }
    }
}

/// The run in `workflow.{id}.events`.
fn run_of(subject: &str) -> Option<RunId> {
    subject.split('.').nth(1)?.parse().ok()
}
