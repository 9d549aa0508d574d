//! A process that does all there is to do, until it is told to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fusion_core::{AgentId, Run, RunId, error_chain};
use fusion_messaging::{Received, Subscription};
use fusion_persistence::{Due, Page, Repository, RunFence, RunFilter};
use futures::FutureExt as _;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::delegation::Floor;
use crate::due::Sweep;
use crate::nodes::{FREE, Neighbours, NodeCall, NodeEars};
use crate::pulse::agent_of;
use crate::{Coordinator, Driven, Error, Result};

/// Says that something of a run moved, or that one was made.
const RUNS: &str = "workflow.*.events";

/// Says that a message waits for an agent.
const INBOXES: &str = "agent.*.inbox";

/// Hints that are dealt with in one go: as many as wait at most.
const HINTS: usize = 1_000;

/// Open runs that are looked at in one go.
const AT_ONCE: u32 = 1_000;

/// How many sweeps of the scheduler make the rest between two of the host.
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
    /// Something of these runs moved.
    Runs(BTreeSet<RunId>),
    /// These agents were sent something.
    Mail(BTreeSet<AgentId>),
    /// Runs moved or agents were sent something, and nobody knows which.
    Missed,
    /// Something about the nodes that share the work.
    Node(NodeCall),
    /// Everything.
    Sweep,
}

type Ended = std::result::Result<(Id, Result<Driven>), JoinError>;

/// What the host listens to.
struct Ears {
    runs: Subscription,
    inboxes: Subscription,
    node: Option<NodeEars>,
    sweep: Sweep,
    /// Hints were lost, or what was heard could not be dealt with.
    has_missed: bool,
}

impl Ears {
    async fn new(coordinator: &Coordinator) -> Result<Self> {
        let node = NodeEars::new(coordinator).await?;
        let finds: fn(&Due) -> bool = match node {
            // Free runs are looked for more often.
            Some(_) => |due| due.mail || due.half_done_agents,
            None => |due| due.mail || due.half_done_agents || due.open_runs,
        };
        let sweep = coordinator.sweep_for(finds, coordinator.options.sweep * SWEEPS);
        // Where others drive most runs, what moves in them is not to be heard.
        let runs = if node.is_some() { FREE } else { RUNS };
        Ok(Self {
            runs: coordinator.listen(runs).await?,
            inboxes: coordinator.listen(INBOXES).await?,
            node,
            sweep,
            has_missed: false,
        })
    }

    async fn next(
        &mut self,
        coordinator: &Coordinator,
        fleet: &mut Fleet,
        cancel: &CancellationToken,
    ) -> Call {
        let Fleet {
            drivers,
            neighbours,
            ..
        } = fleet;
        if std::mem::take(&mut self.has_missed) {
            return Call::Missed;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => Call::Stop,
            Some(ended) = drivers.join_next_with_id() => Call::Ended(ended),
            call = NodeEars::next(&mut self.node, neighbours) => Call::Node(call),
            () = self.sweep.come() => Call::Sweep,
            Some(hint) = self.inboxes.recv() => {
                let hints = self.all(hint, |ears| &mut ears.inboxes);
                let is_left = |hint: &Received| !coordinator.is_taken_up(&hint.payload);
                let left = hints.iter().filter(|hint| is_left(hint));
                Call::Mail(left.filter_map(|hint| agent_of(hint.subject.as_str())).collect())
            }
            Some(hint) = self.runs.recv() => {
                let hints = self.all(hint, |ears| &mut ears.runs);
                Call::Runs(hints.iter().filter_map(|hint| run_of(hint.subject.as_str())).collect())
            }
        }
    }

    /// The hints that are there: one look serves all that tell of the same. Notes whether others were
    /// lost.
    fn all(&mut self, first: Received, of: fn(&mut Self) -> &mut Subscription) -> Vec<Received> {
        let mut hints = vec![first];
        while hints.len() < HINTS
            && let Some(Some(hint)) = of(self).recv().now_or_never()
        {
            hints.push(hint);
        }
        self.has_missed |= hints.iter().any(|hint| hint.lost_before > 0);
        hints
    }
}

/// The runs in the hands of this process.
#[derive(Default)]
pub(crate) struct Fleet {
    /// Stops all drivers.
    stop: CancellationToken,
    drivers: JoinSet<Result<Driven>>,
    by_task: BTreeMap<Id, Drive>,
    driven: BTreeMap<RunId, Id>,
    /// Runs that could not go on, and when they are taken up again.
    resting: BTreeMap<RunId, Rest>,
    pub(crate) neighbours: Neighbours,
}

/// A run in the hands of a driver.
#[derive(Debug, Clone, Copy)]
struct Drive {
    run: RunId,
    /// By what right, where others may drive it.
    fence: Option<RunFence>,
}

/// What is to become of a run whose driver ended.
struct Left {
    drive: Drive,
    /// How long it rests; `None` for one that is not this process's any more.
    rest: Option<Duration>,
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
    /// what to look at; losing them costs a few heartbeats. Schedules that are due start their runs. A run that
    /// can't go on (its provider refuses, say) rests for a minute, then for longer, or until a person
    /// resumes it.
    ///
    /// # Errors
    /// The bus can't be listened to. A store that fails is tried again.
    pub async fn host(&self, cancel: &CancellationToken) -> Result<()> {
        let mut ears = Ears::new(self).await?;
        self.begin_hosting();
        let mut floor = Floor::new(self).await?;
        let mut schedules = self.hear_of_schedules().await?;
        let working = async {
            tokio::join!(
                Box::pin(self.keep_working(&mut ears, cancel)),
                Box::pin(self.delegate_where_work_is_done(&mut floor, cancel)),
                Box::pin(self.keep_schedules(&mut schedules, cancel))
            )
        };
        tokio::select! {
            ((), (), ()) = working => {}
            () = self.keep_pulse() => {}
        }
        self.take_last_samples().await;
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
            let call = ears.next(self, &mut fleet, cancel).await;
            if let Err(error) = self.answer(call, &mut fleet, ears).await {
                let error = error_chain(&error);
                tracing::error!(error, "what is to do could not be looked for");
                ears.sweep.again();
                ears.has_missed = true;
                tokio::time::sleep(AFTER_A_FAILURE).await;
            }
        }
        self.drain(&mut fleet).await;
    }

    /// Lets what is under way come to its end for a while, then cuts it off.
    async fn drain(&self, fleet: &mut Fleet) {
        self.part.host(false);
        self.stop_soon();
        self.tell_draining().await;
        let draining = timeout(self.options.drain, self.see_all_off(fleet)).await;
        if draining.is_err() {
            fleet.cut_off();
            self.see_all_off(fleet).await;
        }
    }

    async fn answer(&self, call: Call, fleet: &mut Fleet, ears: &mut Ears) -> Result<()> {
        match call {
            Call::Stop => Ok(()),
            Call::Ended(ended) => {
                let run = self.see_off(fleet, ended).await;
                // A person may have let it go on while its driver was about to end.
                if let Some(run) = run.filter(|run| self.drivers.is_wanted(*run)) {
                    self.take_up(fleet, run).await?;
                }
                self.take_up_all_mail().await.map(|_| ())
            }
            Call::Runs(runs) => {
                for run in runs {
                    self.take_up(fleet, run).await?;
                }
                Ok(())
            }
            Call::Node(call) => self.answer_node(call, fleet, &mut ears.node).await,
            Call::Mail(agents) => {
                for agent in agents {
                    self.take_up_mail(agent).await?;
                }
                Ok(())
            }
            Call::Missed => {
                if let Some(node) = &mut ears.node {
                    node.look_in(Duration::ZERO);
                }
                self.take_up_all_mail().await?;
                self.take_up_open_runs(fleet).await
            }
            Call::Sweep => self.sweep(fleet).await,
        }
    }

    /// Looks for everything that there is to do.
    async fn sweep(&self, fleet: &mut Fleet) -> Result<()> {
        let due = self.may_be_due();
        if due.half_done_agents {
            self.clear_remains().await?;
        } else {
            self.clear_snapshots().await?;
        }
        if due.mail {
            self.take_up_all_mail().await?;
        }
        if due.open_runs {
            self.take_up_open_runs(fleet).await?;
        }
        Ok(())
    }

    /// Drives every open run that nobody drives. Where others may drive them too, the look at the other
    /// nodes finds those that are free.
    async fn take_up_open_runs(&self, fleet: &mut Fleet) -> Result<()> {
        if self.options.node.is_some() {
            return Ok(());
        }
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
            for run in open.into_iter().filter(|run| !run.is_paused()) {
                if self.drivers.is_wanted(run.id) {
                    fleet.resting.remove(&run.id);
                }
                if !fleet.has(run.id) && self.is_free(&run).await? {
                    self.launch_driver(fleet, run.id, None);
                }
            }
        }
    }

    /// Drives a run of which something was heard, unless it is driven, rests or has ended.
    async fn take_up(&self, fleet: &mut Fleet, id: RunId) -> Result<()> {
        if self.options.node.is_some() {
            return self.hear_of(fleet, id).await;
        }
        if self.drivers.is_wanted(id) {
            fleet.resting.remove(&id);
        }
        if fleet.has(id) {
            return Ok(());
        }
        let found: Option<Run> = self.parts.store.find(id).await?;
        let is_to_drive =
            |run: &Run| !run.state.is_final() && !run.is_paused() && !run.is_standalone;
        if let Some(run) = found.filter(is_to_drive)
            && self.is_free(&run).await?
        {
            self.launch_driver(fleet, id, None);
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

    pub(crate) fn launch_driver(&self, fleet: &mut Fleet, run: RunId, fence: Option<RunFence>) {
        let (coordinator, stop) = (self.clone(), fleet.stop.child_token());
        if let Some(fence) = fence {
            self.part.driving.begin(fence, stop.clone());
        }
        let raised = self.drivers.taken_up(run);
        let driving = async move { coordinator.drive_alone((run, fence), &raised, &stop).await };
        let task = fleet.drivers.spawn(driving).id();
        fleet.by_task.insert(task, Drive { run, fence });
        fleet.driven.insert(run, task);
    }

    async fn see_all_off(&self, fleet: &mut Fleet) {
        while let Some(ended) = fleet.drivers.join_next_with_id().await {
            self.see_off(fleet, ended).await;
        }
    }

    /// Takes a driver off the list, and gives its run up; says which that was.
    async fn see_off(&self, fleet: &mut Fleet, ended: Ended) -> Option<RunId> {
        let Left { drive, rest } = fleet.ended(ended)?;
        if let Some(fence) = drive.fence {
            self.hand_back(fence, rest).await;
        }
        Some(drive.run)
    }
}

impl Fleet {
    /// Whether a run is driven, or rests.
    fn has(&self, run: RunId) -> bool {
        let rests = |rest: &Rest| rest.until > Instant::now();
        self.driven.contains_key(&run) || self.resting.get(&run).is_some_and(rests)
    }

    /// Whether a run is driven.
    pub(crate) fn drives(&self, run: RunId) -> bool {
        self.driven.contains_key(&run)
    }

    /// Stops all drivers at once.
    pub(crate) fn cut_off(&self) {
        self.stop.cancel();
    }

    /// How many runs are driven.
    pub(crate) fn size(&self) -> usize {
        self.driven.len()
    }

    fn ended(&mut self, ended: Ended) -> Option<Left> {
        let (task, driven) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let broken = Error::Broken(format!("a driver broke off: {error}"));
                (error.id(), Err(broken))
            }
        };
        let drive = self.by_task.remove(&task)?;
        let run = drive.run;
        self.driven.remove(&run);
        let rest = match driven {
            Ok(_) => {
                self.resting.remove(&run);
                Some(Duration::ZERO)
            }
            Err(error) => self.rest_after(run, &error),
        };
        Some(Left { drive, rest })
    }

    /// How long a run rests that could not go on; `None` for one that another process drives now.
    fn rest_after(&mut self, run: RunId, error: &Error) -> Option<Duration> {
        let is_elsewhere = error.is_elsewhere();
        let what = if is_elsewhere {
            "a run is driven elsewhere now"
        } else {
            "a run can't go on now"
        };
        tracing::warn!(run.id = %run, error = error_chain(error), "{what}");
        (!is_elsewhere).then(|| self.rest(run))
    }

    fn rest(&mut self, run: RunId) -> Duration {
        let before = self.resting.get(&run).map(|rest| rest.time);
        let time = before.map_or(FIRST_REST, |time| (time * 2).min(LONGEST_REST));
        let until = Instant::now() + time;
        self.resting.insert(run, Rest { until, time });
        time
    }
}

/// The run in `workflow.{id}.events`.
fn run_of(subject: &str) -> Option<RunId> {
    subject.split('.').nth(1)?.parse().ok()
}
