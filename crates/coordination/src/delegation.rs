//! Hands the tasks of the pool to standing agents: at once, when a hint says that there is one.
//!
//! What is kept here are hints: which agents wait, which queues there are, what the tasks wait for. The
//! store decides who gets what. A hint that was lost is made up for by the sweep.

mod idle;
mod job;

use std::collections::BTreeSet;
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentState, CapabilitySet, Change, Decision, EventId, EventType, NewEvent,
    PoolQueue, Severity, TaskId, error_chain,
};
use fusion_messaging::Subscription;
use fusion_persistence::{AgentFilter, Batch, Page, PoolAnswer, PoolClaim, Repository};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::due::Sweep;
use crate::places::Places;
use crate::pulse::agent_of;
use crate::tasks::{POOL, PoolNews};
use crate::{Coordinator, Result};
use idle::Idle;

/// Says that an agent was spawned, held, let go on or ended.
const STATUS: &str = "agent.*.status";

/// How a task ended.
const ENDS: [&str; 3] = ["task.completed.*", "task.failed.*", "task.cancelled.*"];

/// Rows that are looked at in one go.
const AT_ONCE: u32 = 1_000;

/// Tasks that others wait for and that are kept in mind.
const AWAITED: u32 = 1_000_000;

/// How many sweeps of the scheduler make the rest between two of the pool, where other processes write to the
/// store.
const SWEEPS: u32 = 5;

/// The same where none does: no hint is lost then, but for a flood of them, which is told.
const SWEEPS_ALONE: u32 = 30;

/// The wait after the store failed.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// What is to be looked at.
enum Call {
    Stop,
    /// A task came into the pool.
    News(PoolNews),
    /// A task ended: well, or not.
    Ended(TaskId, bool),
    /// Something about an agent changed.
    Agent(AgentId),
    /// These have no worker any more.
    Freed(BTreeSet<AgentId>),
    /// A worker of the pool ended.
    Worker,
    /// A wait is over.
    Due,
    /// There is a place for one agent more.
    Place,
    /// Everything.
    Sweep,
}

/// What a look brought.
enum Turn {
    /// The agent got a task.
    Taken,
    /// There is nothing for it.
    Nothing,
    /// It does not wait any more.
    Gone,
    /// As many agents work as may.
    Full,
}

/// What the pool is known to be, and who works for it in this process.
pub(crate) struct Floor {
    news: Subscription,
    status: Subscription,
    ends: [Subscription; 3],
    sweep: Sweep,
    idle: Idle,
    queues: BTreeSet<PoolQueue>,
    awaited: BTreeSet<TaskId>,
    due: Option<Instant>,
    places: Places,
    workers: JoinSet<()>,
    /// Stops all workers.
    stop: CancellationToken,
}

impl Floor {
    /// Listens to what is said, from now on.
    pub(crate) async fn new(coordinator: &Coordinator) -> Result<Self> {
        let is_alone = coordinator.options.grace.is_zero();
        let sweeps = if is_alone { SWEEPS_ALONE } else { SWEEPS };
        // Who waits for work is known, as long as there is none.
        let sweep = coordinator.sweep_for(
            |due| due.pool || due.standing_at_work,
            coordinator.options.sweep * sweeps,
        );
        coordinator.crew.keep_freed();
        let [completed, failed, cancelled] = ENDS;
        Ok(Self {
            news: coordinator.listen(POOL).await?,
            status: coordinator.listen(STATUS).await?,
            ends: [
                coordinator.listen(completed).await?,
                coordinator.listen(failed).await?,
                coordinator.listen(cancelled).await?,
            ],
            sweep,
            idle: Idle::default(),
            queues: BTreeSet::new(),
            awaited: BTreeSet::new(),
            due: None,
            places: Places::default(),
            workers: JoinSet::new(),
            stop: CancellationToken::new(),
        })
    }

    /// Waits until nobody works for the pool.
    async fn emptied(&mut self) {
        while self.workers.join_next().await.is_some() {}
    }

    /// Lets what is under way come to its end for a while, then cuts it off.
    async fn drain(&mut self, time: Duration) {
        if timeout(time, self.emptied()).await.is_err() {
            self.stop.cancel();
            self.emptied().await;
        }
    }

    async fn next(&mut self, coordinator: &Coordinator, cancel: &CancellationToken) -> Call {
        let [completed, failed, cancelled] = &mut self.ends;
        let closing = coordinator.closing();
        let due = async {
            match self.due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let (hint, read): (_, Reading) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Call::Stop,
            () = closing.cancelled() => return Call::Stop,
            Some(_) = self.workers.join_next() => return Call::Worker,
            freed = coordinator.crew.freed() => return Call::Freed(freed),
            Some(hint) = self.news.recv() => (hint, news),
            Some(hint) = self.status.recv() => (hint, |subject, _| agent_of(subject).map(Call::Agent)),
            Some(hint) = completed.recv() => (hint, |subject, _| ended(subject, true)),
            Some(hint) = failed.recv() => (hint, |subject, _| ended(subject, false)),
            Some(hint) = cancelled.recv() => (hint, |subject, _| ended(subject, false)),
            () = due => return Call::Due,
            () = self.places.come(&coordinator.slots), if self.places.is_wanted() => return Call::Place,
            () = self.sweep.come() => return Call::Sweep,
        };
        // What was lost may have been anything.
        let said = read(hint.subject.as_str(), &hint.payload);
        said.filter(|_| hint.lost_before == 0)
            .unwrap_or(Call::Sweep)
    }
}

/// Reads a hint by its subject and its payload.
type Reading = fn(&str, &[u8]) -> Option<Call>;

fn news(_: &str, payload: &[u8]) -> Option<Call> {
    serde_json::from_slice(payload).map(Call::News).ok()
}

/// The task in `task.{state}.{id}`.
fn ended(subject: &str, well: bool) -> Option<Call> {
    let id = subject.split('.').nth(2)?.parse().ok()?;
    Some(Call::Ended(id, well))
}

impl Coordinator {
    /// Hands out what comes into the pool until `cancel` is called; nothing of it is under way in this
    /// process any more when it returns.
    pub(crate) async fn delegate(&self, floor: &mut Floor, cancel: &CancellationToken) {
        while !cancel.is_cancelled() && !self.closing().is_cancelled() {
            let call = floor.next(self, cancel).await;
            if let Err(error) = self.attend(call, floor).await {
                let error = error_chain(&error);
                tracing::error!(error, "the pool could not be looked after");
                tokio::time::sleep(AFTER_A_FAILURE).await;
                floor.sweep.again();
            }
        }
        floor.drain(self.drain_time()).await;
    }

    async fn attend(&self, call: Call, floor: &mut Floor) -> Result<()> {
        match call {
            Call::Stop => Ok(()),
            Call::News(news) => self.take_in(news, floor).await,
            Call::Ended(task, well) => {
                if !floor.awaited.remove(&task) {
                    return Ok(());
                }
                if !well {
                    self.give_up_doomed(Some(task)).await?;
                }
                self.hand_out_pool(floor).await
            }
            Call::Agent(agent) => self.look_at_agent(agent, floor).await,
            Call::Freed(agents) => {
                for agent in agents {
                    self.look_at_agent(agent, floor).await?;
                }
                Ok(())
            }
            Call::Worker => self.look_at_waits(floor).await,
            Call::Due => {
                let wake = Decision::default().with(Change::WakePool);
                self.commit(Batch::free(wake)).await?;
                self.look_at_waits(floor).await?;
                self.hand_out_pool(floor).await
            }
            Call::Place => {
                floor.places.look();
                let handed_out = self.hand_out_pool(floor).await;
                floor.places.looked();
                handed_out
            }
            Call::Sweep => self.sweep_pool(floor).await,
        }
    }

    /// A task came into the pool: it goes to the agent that it was given to, or to one that waits.
    async fn take_in(&self, news: PoolNews, floor: &mut Floor) -> Result<()> {
        let queue = news.queue();
        floor.queues.insert(queue.clone());
        if let Some(wait) = news.wait_ms {
            let due = Instant::now() + Duration::from_millis(wait);
            floor.due = Some(floor.due.map_or(due, |before| before.min(due)));
        }
        for needed in news.awaited {
            if floor.awaited.insert(needed) {
                // It may have ended badly before it was kept in mind.
                self.give_up_doomed(Some(needed)).await?;
            }
        }
        if news.wait_ms.is_some() {
            // Nobody may have it before that time.
            return Ok(());
        }
        if let Some(agent) = news.agent
            && matches!(self.ask_for(agent, floor).await?, Turn::Taken | Turn::Full)
        {
            return Ok(());
        }
        for can in floor.idle.sets() {
            if !can.satisfies(&queue.capabilities) {
                continue;
            }
            while let Some(agent) = floor.idle.first(&can) {
                match self.ask_for(agent, floor).await? {
                    Turn::Taken | Turn::Full => return Ok(()),
                    Turn::Nothing => break,
                    Turn::Gone => {}
                }
            }
        }
        Ok(())
    }

    /// Hands out what there is: first to those that something was given to.
    async fn hand_out_pool(&self, floor: &mut Floor) -> Result<()> {
        for agent in self.parts.store.pool_given(AT_ONCE).await? {
            if matches!(self.ask_for(agent, floor).await?, Turn::Full) {
                return Ok(());
            }
        }
        for can in floor.idle.sets() {
            while let Some(agent) = floor.idle.first(&can) {
                match self.ask_for(agent, floor).await? {
                    Turn::Taken | Turn::Gone => {}
                    Turn::Nothing => break,
                    Turn::Full => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Asks the store for a task for an agent that waits, and puts it to work.
    async fn ask_for(&self, agent: AgentId, floor: &mut Floor) -> Result<Turn> {
        let Some(can) = floor.idle.get(agent).cloned() else {
            return Ok(Turn::Gone);
        };
        let Some(place) = floor.places.take(&self.slots) else {
            return Ok(Turn::Full);
        };
        let claim = self.pool_claim(agent, &can, floor);
        match self.parts.store.claim_from_pool(claim).await? {
            PoolAnswer::Nothing => Ok(Turn::Nothing),
            PoolAnswer::Unfit => {
                floor.idle.remove(agent);
                Ok(Turn::Gone)
            }
            PoolAnswer::Task(claimed) => {
                floor.idle.remove(agent);
                self.employ(*claimed, place, floor);
                Ok(Turn::Taken)
            }
        }
    }

    fn pool_claim(&self, agent: AgentId, can: &CapabilitySet, floor: &Floor) -> PoolClaim {
        let moment = self.moment();
        let fits = |queue: &&PoolQueue| can.satisfies(&queue.capabilities);
        PoolClaim {
            agent,
            queues: floor.queues.iter().filter(fits).cloned().collect(),
            lease: self.lease(),
            event: NewEvent {
                id: EventId::from_uuid(moment.ids.uuid()),
                timestamp: moment.now,
                event_type: EventType::TaskAssigned,
                severity: Severity::Info,
                source_agent_id: Some(agent),
                source_component: "coordination".to_owned(),
                run_id: None,
                data: json!({}),
                message: format!("assigned to agent {agent}"),
                message_queue_topic: None,
            },
        }
    }

    fn employ(
        &self,
        claimed: fusion_persistence::Claimed,
        place: OwnedSemaphorePermit,
        floor: &mut Floor,
    ) {
        // A worker may stop its own work only.
        let (coordinator, stop) = (self.clone(), floor.stop.child_token());
        floor.workers.spawn(async move {
            Box::pin(coordinator.do_task(claimed, &stop)).await;
            drop(place);
        });
    }

    /// Looks whether an agent waits for work, and for what there is for it.
    async fn look_at_agent(&self, id: AgentId, floor: &mut Floor) -> Result<()> {
        let found: Option<Agent> = self.parts.store.find(id).await?;
        let waits = |agent: &Agent| agent.is_standing() && agent.state == AgentState::Idle;
        match found.filter(waits) {
            Some(agent) => {
                floor.idle.put(id, agent.capabilities);
                self.ask_for(id, floor).await.map(|_| ())
            }
            None => {
                floor.idle.remove(id);
                Ok(())
            }
        }
    }

    /// Looks when the next wait is over.
    async fn look_at_waits(&self, floor: &mut Floor) -> Result<()> {
        let due_in = self.parts.store.pool_due_in().await?;
        floor.due = due_in.map(|due_in| Instant::now() + due_in);
        Ok(())
    }

    /// Looks at everything.
    async fn sweep_pool(&self, floor: &mut Floor) -> Result<()> {
        self.look_at_agents(floor).await?;
        self.look_at_waits(floor).await?;
        let awaited = self.parts.store.pool_awaited(AWAITED).await?;
        floor.awaited = awaited.into_iter().collect();
        if !floor.awaited.is_empty() {
            self.give_up_doomed(None).await?;
        }
        floor.queues = self.parts.store.pool_queues().await?.into_iter().collect();
        if floor.queues.is_empty() {
            return Ok(());
        }
        self.hand_out_pool(floor).await
    }

    /// Looks which agents wait, and lets those go that a dead process left at work on nothing.
    async fn look_at_agents(&self, floor: &mut Floor) -> Result<()> {
        let filter = AgentFilter {
            states: vec![AgentState::Idle, AgentState::Working],
            standing: true,
            ..AgentFilter::default()
        };
        let mut known = BTreeSet::new();
        let mut page = Page::first(AT_ONCE);
        loop {
            let agents: Vec<Agent> = self.parts.store.list(&filter, page).await?;
            let Some(last) = agents.last() else {
                floor.idle.keep(&known);
                return Ok(());
            };
            page.after = Some(last.id);
            for agent in agents {
                let age = (self.parts.clock.now() - agent.updated_at).to_std();
                let is_old = age.unwrap_or_default() > self.options.lease;
                if agent.state == AgentState::Idle {
                    known.insert(agent.id);
                    if floor.idle.get(agent.id) != Some(&agent.capabilities) {
                        floor.idle.put(agent.id, agent.capabilities);
                    }
                } else if is_old && !self.crew.has(agent.id) {
                    self.put_down(agent.id).await?;
                }
            }
        }
    }
}
