//! A worker of the kill storm in `tests/it/storm.rs`.
//!
//! It works on tasks as several agents at once. Beside the store it writes a ledger, a line before and
//! after each completion. It is naive on purpose: before it completes a task it reads the row again and
//! takes it as it is, so that only the fence keeps out the result of a worker that lost its lease.

use std::error::Error as StdError;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentState, CapabilitySet, Change, Decision, EffectClass, EntryKind,
    EntryState, EventType, IdSource, JournalEntry, JournalEntryId, Moment, NewEvent, NodeId, RunId,
    Task, TaskState, Timestamp, Usage,
};
use fusion_persistence::{
    Batch, Claim, Claimed, Error, Fence, JournalReader, Lease, Patient, Repository, Store,
    TaskReader,
};
use fusion_persistence_sql::SqlStore;
use futures::future::try_join_all;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::common::{Fault, Seeded, World, next, stop_at_end_of_input};

const LEASE: Duration = Duration::from_millis(300);
const HEARTBEAT: Duration = Duration::from_millis(100);

/// How long a turn of the model takes at most, in milliseconds.
const TURN: u64 = 200;

/// The wait before an agent without work asks again.
const IDLE: Duration = Duration::from_millis(20);

/// What the storm hands over, in this order.
struct Orders {
    url: String,
    ledger: String,
    /// Its number among the processes.
    process: usize,
    /// Tasks that it works on at once.
    slots: usize,
    /// Another one at every start: ids come from it.
    seed: u64,
    /// One task of how many is worked on under a lease that nobody extends; 0 for none.
    stalls: u64,
    fenced: bool,
}

fn orders(given: &mut impl Iterator<Item = String>) -> Result<Orders, Fault> {
    Ok(Orders {
        url: next(given)?,
        ledger: next(given)?,
        process: next(given)?,
        slots: next(given)?,
        seed: next(given)?,
        stalls: next(given)?,
        fenced: next(given)?,
    })
}

pub(crate) async fn work(given: &mut impl Iterator<Item = String>) -> Result<(), Fault> {
    let orders = orders(given)?;
    if !orders.fenced {
        fail::cfg("persistence_sql::fence_off", "return")?;
    }
    let stop = stop_at_end_of_input();
    let World { store, run, agents } = World::open(&orders.url).await?;
    let slots = orders.slots;
    let worker = Worker {
        agents: agents.into_iter().map(|agent| agent.id).collect(),
        ..Worker::new(orders, store, run)?
    };
    tokio::select! {
        ended = try_join_all((0..slots).map(|_| worker.slot(&stop))) => ended.map(|_| ()),
        broken = worker.beat() => broken,
        broken = worker.rescue() => broken,
    }
}

struct Worker {
    orders: Orders,
    store: Patient<SqlStore>,
    ledger: File,
    seeded: Seeded,
    run: RunId,
    /// All agents of the run: each process works for any of them.
    agents: Vec<AgentId>,
    node: NodeId,
    /// Holds leases that are never extended.
    stalled: NodeId,
    /// For half of the slots at once.
    may_stall: Semaphore,
}

impl Worker {
    fn new(orders: Orders, store: Patient<SqlStore>, run: RunId) -> Result<Self, Fault> {
        let seeded = Seeded::new(orders.seed);
        Ok(Self {
            ledger: OpenOptions::new().append(true).open(&orders.ledger)?,
            node: NodeId::from_uuid(seeded.uuid()),
            stalled: NodeId::from_uuid(seeded.uuid()),
            may_stall: Semaphore::new(orders.slots / 2),
            orders,
            store,
            seeded,
            run,
            agents: Vec::new(),
        })
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            now: Timestamp::UNIX_EPOCH,
            ids: &self.seeded,
        }
    }

    /// One line, on disk when this returns.
    fn note(&self, word: &str, fence: Fence) -> Result<(), Fault> {
        let process = self.orders.process;
        let line = format!("{word} {} {} {process}\n", fence.task, fence.number);
        (&self.ledger).write_all(line.as_bytes())?;
        Ok(self.ledger.sync_data()?)
    }

    async fn beat(&self) -> Result<(), Fault> {
        let lease = Lease {
            owner: self.node,
            duration: LEASE,
        };
        let mut beats = interval(HEARTBEAT);
        loop {
            beats.tick().await;
            self.store.extend_leases(lease).await?;
        }
    }

    /// As the engine does it (`coordination::recovery`).
    async fn rescue(&self) -> Result<(), Fault> {
        let mut looks = interval(HEARTBEAT);
        loop {
            looks.tick().await;
            for task in self.store.expired_leases(100).await? {
                self.take_back(&task).await?;
            }
        }
    }

    async fn take_back(&self, task: &Task) -> Result<(), Fault> {
        let agent = match task.agent_id {
            Some(agent) => Some(self.store.get(agent).await?),
            None => None,
        };
        let decision = task.take_back(agent, "its lease ran out", self.moment())?;
        match self
            .store
            .commit(Batch::rescue(fence_of(task), decision))
            .await
        {
            Err(Error::Fenced { .. } | Error::Conflict { .. }) => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }

    /// Works on one task after the other, each time for another agent.
    async fn slot(&self, stop: &CancellationToken) -> Result<(), Fault> {
        while !stop.is_cancelled() {
            let chance = self.seeded.chance(u64::try_from(self.agents.len())?);
            let agent = *self
                .agents
                .get(usize::try_from(chance)?)
                .ok_or("the run has no agents")?;
            let stall = self.stall();
            let owner = match &stall {
                Some(_) => self.stalled,
                None => self.node,
            };
            let Some(Claimed { task, agent }) =
                self.store.claim_task(self.claim(agent, owner)).await?
            else {
                sleep(IDLE).await;
                continue;
            };
            let fence = fence_of(&task);
            match Box::pin(self.execute(task, agent, stall.as_ref().map(|_| stop))).await {
                Err(error) if self.is_lost(&*error) => {
                    self.note("refused", fence)?;
                    self.let_go(fence).await?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// What was refused though the task is still held, as can be without the fence: others may have it.
    async fn let_go(&self, fence: Fence) -> Result<(), Fault> {
        let release = Batch::release(fence, Decision::default());
        match self.store.commit(release).await {
            Err(Error::Fenced { .. }) => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }

    /// Whether the next task is to be held too long, while this lives. The other slots take over.
    fn stall(&self) -> Option<SemaphorePermit<'_>> {
        let stalls = self.orders.stalls;
        let is_due = stalls > 0 && self.seeded.chance(stalls) == 0;
        is_due.then(|| self.may_stall.try_acquire().ok()).flatten()
    }

    fn claim(&self, agent: AgentId, owner: NodeId) -> Claim {
        let told = "assigned".to_owned();
        Claim {
            agent,
            run: self.run,
            capability_sets: vec![["x"].into_iter().collect::<CapabilitySet>().key()],
            lease: Lease {
                owner,
                duration: LEASE,
            },
            driver: None,
            event: NewEvent::of_run(self.moment(), EventType::TaskAssigned, self.run, told),
        }
    }

    /// Whether an error says that somebody else has the task. Only the fence may say so while it is on.
    fn is_lost(&self, error: &(dyn StdError + Send + Sync + 'static)) -> bool {
        match error.downcast_ref::<Error>() {
            Some(Error::Fenced { .. }) => true,
            Some(Error::Conflict { .. } | Error::Refused { .. }) => !self.orders.fenced,
            _ => false,
        }
    }

    async fn execute(
        &self,
        task: Task,
        agent: Agent,
        stalled: Option<&CancellationToken>,
    ) -> Result<(), Fault> {
        let fence = fence_of(&task);
        let (task, agent, opening) = task.begin(agent, json!({}), self.moment())?;
        self.store.commit(Batch::fenced(fence, opening)).await?;
        self.note("begun", fence)?;
        self.take_a_turn(fence, &task).await?;
        if let Some(stop) = stalled {
            self.wait_until_overtaken(fence, stop).await?;
        }
        self.note("done", fence)?;
        self.complete(fence, agent.id).await?;
        self.note("kept", fence)
    }

    /// A turn of the model: its intent, the time it takes, its outcome.
    async fn take_a_turn(&self, fence: Fence, task: &Task) -> Result<(), Fault> {
        let mut entry = self.begin_entry(fence, task).await?;
        sleep(Duration::from_millis(self.seeded.chance(TURN))).await;
        entry.state = EntryState::Finished;
        entry.outcome = Some(json!({ "fence": fence.number }));
        entry.finished_at = Some(Timestamp::UNIX_EPOCH);
        entry.usage.turns = 1;
        let decision = Decision::default()
            .with(Change::UpdateEntry(entry.clone()))
            .with(Change::BookUsage {
                run_id: self.run,
                task_id: task.id,
                usage: entry.usage,
            });
        match self.store.commit(Batch::fenced(fence, decision)).await {
            // Without the fence another worker may have written the outcome.
            Err(Error::Conflict { .. }) if !self.orders.fenced => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }

    async fn begin_entry(&self, fence: Fence, task: &Task) -> Result<JournalEntry, Fault> {
        loop {
            let past = self.store.journal(task.id).await?;
            let entry = match past.last() {
                Some(last) if last.state == EntryState::Started => JournalEntry {
                    attempts: last.attempts + 1,
                    ..last.clone()
                },
                _ => self.entry(task, u32::try_from(past.len())? + 1),
            };
            let change = if entry.attempts > 1 {
                Change::UpdateEntry(entry.clone())
            } else {
                Change::BeginEntry(entry.clone())
            };
            let decision = Decision::default().with(change);
            match self.store.commit(Batch::fenced(fence, decision)).await {
                Err(Error::Conflict { .. } | Error::Exists { .. }) if !self.orders.fenced => {}
                other => return Ok(other.map(|_| entry)?),
            }
        }
    }

    fn entry(&self, task: &Task, seq: u32) -> JournalEntry {
        JournalEntry {
            id: JournalEntryId::from_uuid(self.seeded.uuid()),
            task_id: task.id,
            run_id: task.run_id,
            seq,
            kind: EntryKind::Turn,
            name: "model".to_owned(),
            effect: EffectClass::ModelTurn,
            state: EntryState::Started,
            request: json!({}),
            outcome: None,
            usage: Usage::default(),
            attempts: 1,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
        }
    }

    /// Holds a task until somebody else has it, or has completed it.
    async fn wait_until_overtaken(
        &self,
        fence: Fence,
        stop: &CancellationToken,
    ) -> Result<(), Fault> {
        loop {
            let task = self.store.get(fence.task).await?;
            let is_in_other_hands = task.fence > fence.number && task.state != TaskState::Queued;
            if is_in_other_hands || stop.is_cancelled() {
                return Ok(());
            }
            sleep(IDLE).await;
        }
    }

    async fn complete(&self, fence: Fence, agent: AgentId) -> Result<(), Fault> {
        loop {
            let mut task = self.store.get(fence.task).await?;
            let mut agent = self.store.get(agent).await?;
            task.state = TaskState::Completed;
            task.output_artifacts = Some(json!({
                "fence": fence.number, "process": self.orders.process,
            }));
            let told = format!("{} completed", task.name);
            let event = task.event(self.moment(), EventType::TaskCompleted, told);
            let mut decision = Decision::default()
                .with(Change::ReleaseSuccessors(task.id))
                .with(Change::CloseTasks {
                    run_id: self.run,
                    count: 1,
                })
                .with(Change::update(task))
                .telling(event);
            if agent.state == AgentState::Working {
                agent.transition(AgentState::Idle, Timestamp::UNIX_EPOCH)?;
                decision = decision.with(Change::update(agent));
            }
            match self.store.commit(Batch::fenced(fence, decision)).await {
                Err(Error::Conflict { .. }) => {}
                other => return Ok(other.map(|_| ())?),
            }
        }
    }
}

const fn fence_of(task: &Task) -> Fence {
    Fence {
        task: task.id,
        number: task.fence,
    }
}
