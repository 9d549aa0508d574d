//! Writing: the one door.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{
    Agent, AgentId, AgentState, Decision, NewEvent, NodeId, RunId, Task, TaskId, Timestamp,
};
use serde_json::Value;

use crate::{Kept, NodeChange, PoolAnswer, PoolClaim, Reader, Result, RunFence, TakeRuns};

/// So many attempts are kept of each webhook: the last ones.
pub const WEBHOOK_ATTEMPTS: u32 = 100;

/// Proof of the right to write about a task: the number its claim gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The task.
    pub task: TaskId,
    /// `Task::fence` as the claim returned it.
    pub number: u64,
}

/// By what right a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// It is about no leased task.
    Free,
    /// By the worker that holds this lease; the task stays leased.
    Held(Fence),
    /// By who drives a run.
    Driven(RunFence),
    /// By anybody, once this lease has run out by the clock of the database. The lease was lost, and
    /// the decision ends the task.
    Expired(Fence),
    /// By the worker that holds this lease and gives the task back to the queue: the lease ends and
    /// the fence rises by one. The decision must not write the task's row.
    Release(Fence),
    /// By anybody, once this lease has run out by the clock of the database: else as `Release`.
    Rescue(Fence),
}

/// A request that has the same effect however often it is sent (the header `Idempotency-Key`).
#[derive(Debug, Clone, PartialEq)]
pub struct Idempotency {
    /// Where the key is unique: method and path, say.
    pub scope: String,
    /// Chosen by the client.
    pub key: String,
    /// SHA-256 of the request, in hex: another request under the same key is refused.
    pub request_hash: String,
    /// What the request is answered with, now and when it is repeated.
    pub answer: Value,
    /// When it was asked.
    pub created_at: Timestamp,
    /// Until when it is remembered.
    pub expires_at: Timestamp,
}

/// What is remembered of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// SHA-256 of the request, in hex.
    pub request_hash: String,
    /// What it was answered with.
    pub answer: Value,
}

/// Who listens in a run, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// The run.
    pub run: RunId,
    /// The subscriptions of each of its agents that has any and has not ended.
    pub patterns: BTreeMap<AgentId, Vec<String>>,
}

impl Listeners {
    /// Those of these agents of a run who listen.
    pub fn among<'a>(run: RunId, agents: impl IntoIterator<Item = &'a Agent>) -> Self {
        let listens = |agent: &&Agent| {
            agent.state != AgentState::Terminated && !agent.message_subscriptions.is_empty()
        };
        let listeners = agents.into_iter().filter(listens);
        let patterns = listeners.map(|agent| (agent.id, agent.message_subscriptions.clone()));
        Self {
            run,
            patterns: patterns.collect(),
        }
    }
}

/// What is written together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Refuse everything unless this holds.
    pub guard: Guard,
    /// Refuse everything when this was written before.
    pub idempotency: Option<Idempotency>,
    /// Refuse everything unless just these agents listen.
    pub listeners: Option<Listeners>,
    /// Rows, events and what to publish.
    pub decision: Decision,
    /// Asked for once all this is written, in the same commit.
    pub then: Option<Box<Claim>>,
    /// Only try it: refused with `DryRun` where all of it can be written.
    pub dry_run: bool,
}

impl Batch {
    /// A batch under a right.
    #[must_use]
    pub const fn new(guard: Guard, decision: Decision) -> Self {
        Self {
            guard,
            idempotency: None,
            listeners: None,
            decision,
            then: None,
            dry_run: false,
        }
    }

    /// The same batch, to be tried and not written.
    #[must_use]
    pub fn dry_run(self) -> Self {
        Self {
            dry_run: true,
            idempotency: None,
            then: None,
            ..self
        }
    }

    /// A batch about no leased task.
    #[must_use]
    pub const fn free(decision: Decision) -> Self {
        Self::new(Guard::Free, decision)
    }

    /// A batch of the worker that holds a task.
    #[must_use]
    pub const fn fenced(fence: Fence, decision: Decision) -> Self {
        Self::new(Guard::Held(fence), decision)
    }

    /// A batch of who drives a run.
    #[must_use]
    pub const fn driven(fence: RunFence, decision: Decision) -> Self {
        Self::new(Guard::Driven(fence), decision)
    }

    /// A batch that ends a task whose worker let its lease run out.
    #[must_use]
    pub const fn expired(fence: Fence, decision: Decision) -> Self {
        Self::new(Guard::Expired(fence), decision)
    }

    /// The same batch, from who tells something only where nobody of this run listens: to be told
    /// otherwise, and to decide again.
    #[must_use]
    pub fn unheard_in(self, run: RunId) -> Self {
        self.heard_by(Listeners {
            run,
            patterns: BTreeMap::new(),
        })
    }

    /// The same batch, from who tells something to those who listen: to be told when others do, and to
    /// decide again.
    #[must_use]
    pub fn heard_by(self, listeners: Listeners) -> Self {
        Self {
            listeners: Some(listeners),
            ..self
        }
    }

    /// The same batch, from who goes on with the next task: it is leased in the same commit.
    #[must_use]
    pub fn then_claim(self, claim: Option<Claim>) -> Self {
        Self {
            then: claim.map(Box::new),
            ..self
        }
    }

    /// A batch that gives a task back to the queue. The decision must not write the task's row.
    #[must_use]
    pub const fn release(fence: Fence, decision: Decision) -> Self {
        Self::new(Guard::Release(fence), decision)
    }

    /// A batch that takes a task back from a worker that let its lease run out.
    #[must_use]
    pub const fn rescue(fence: Fence, decision: Decision) -> Self {
        Self::new(Guard::Rescue(fence), decision)
    }
}

/// What a commit says back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Committed {
    /// Place in the log of the last event of the batch; 0 when it had none.
    pub last_seq: u64,
    /// The task that was asked for, when there was one.
    pub claimed: Option<Box<Claimed>>,
}

/// How long a claim holds, by the clock of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it.
    pub owner: NodeId,
    /// How long without an extension.
    pub duration: Duration,
}

/// An idle agent that asks for work.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The agent.
    pub agent: AgentId,
    /// The run whose unassigned tasks it may take.
    pub run: RunId,
    /// The keys of the capability sets that it satisfies.
    pub capability_sets: Vec<String>,
    /// The lease it gets.
    pub lease: Lease,
    /// By what right it is asked for: nothing is given to a driver that lost the run. `None` for who
    /// needs none.
    pub driver: Option<RunFence>,
    /// Appended with the claim, once the task is known.
    pub event: NewEvent,
}

/// A task and the agent that holds it, as they were committed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The task, assigned.
    pub task: Task,
    /// The agent, idle.
    pub agent: Agent,
}

/// What is too old to keep. Each call deletes one small batch, so that live traffic hardly waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prune {
    /// Delete events from the front of the log that happened before this.
    pub events_before: Option<Timestamp>,
    /// Delete messages that were sent before this, and their deliveries, unless one is pending.
    pub messages_before: Option<Timestamp>,
    /// Delete metrics samples taken before this.
    pub metrics_before: Option<Timestamp>,
    /// Forget idempotency keys that expired before this.
    pub keys_before: Option<Timestamp>,
    /// Delete outbox entries up to this place: they were published.
    pub outbox_up_to: Option<u64>,
    /// Delete outbox entries that were committed before this.
    pub outbox_before: Option<Timestamp>,
    /// Take out rows of runs whose deletion has begun, whatever their age.
    pub deleted_runs: bool,
    /// At most this many rows of each kind.
    pub limit: u32,
}

/// The one door for writes.
///
/// Contract, the same for every adapter and checked by the module `conformance`:
///
/// - `commit` writes all of a batch or nothing. When it has answered `Ok`, the batch
///   survives a crash of the process and of the machine.
/// - An `Update` is refused with `Conflict` when the row's version is not the one in the
///   value; a written row has its version raised by one.
/// - A batch with a fence is refused with `Fenced` unless the task is assigned or running
///   under exactly that number; a rescue also while the lease has not run out.
/// - A batch of a driver is refused with `NotDriver` unless he holds the run under exactly that number,
///   and its claims get nothing.
/// - `take_runs` gives a run to one node only, however many ask at once; a run that has ended is given
///   to nobody.
/// - A batch whose idempotency key was used is refused with `Repeated`, which brings the answer of
///   the first, or with `KeyReused` when the request was another.
/// - An update to a state that the row's state machine does not reach is refused with `Refused`.
/// - Events and messages get dense, rising `seq` in the order of the commits, each in its own log.
/// - A batch that sends a message to an agent for whom as many wait as may is refused with
///   `InboxFull`, however many send at once.
/// - Room that a batch holds in an account fits beside what the account has used and what other tasks
///   hold there, however many ask at once; else it is refused with `OverBudget`. It comes free when
///   the task settles, asks again, or is not under that lease any more.
/// - A claim that goes with a batch sees all that the batch changed, and is committed with it or not at
///   all. That it finds nothing refuses nothing.
/// - A batch that names who listens in a run is refused with `Heard` when others do: who subscribed, or
///   gave it up, with an event before those of the batch, however many commit at once.
/// - A project is archived only while nothing of it is open ([`OpenWork`](crate::OpenWork)), else the
///   batch is refused with `InUse`. While it is archived, whatever would open something of it is refused
///   with `Archived`: a new agent, a new version of a workflow, a run of such a version, a task of the
///   pool, a schedule that is made or let go on. However many commit at once.
/// - A dry run writes nothing. It is refused as its batch would be where a row, its version, what refers
///   to it or a guard stands in the way; else with `DryRun`.
/// - A run is deleted only once it and all runs below it have ended, and while nothing open needs one of
///   them: no run goes on from it, no task waits for one of its tasks, nobody has to read a message of it.
///   Else the batch is refused with `Needed`. From that commit on a run that goes on from it is refused
///   with `NotFound`, and sums of costs are what they were; pruning takes out its rows, in batches.
/// - A settlement ends each delivery once, and tells only of those that it ended.
/// - A batch that fails does not disturb those that are committed at the same time.
/// - `claim_task` gives one task to one agent only, however many ask at once; the claimed
///   task has a fence one higher than before. Order: priority, then age, then id. An agent that
///   is not idle, or holds a task already, is given none, and nobody is given a task of a run that is held. A postponed task is given to nobody until
///   its time has come and it was woken.
/// - `claim_from_pool` does the same for the tasks of the pool. First come those given to the agent that
///   an agent began; then the better rank of the next that was given to it and of the one whose
///   turn it is of the queues: of the project with the fewest tasks at work, then by rank, then by
///   id. When there is none, the agent gets a task that was given to another one which is not idle, which
///   nobody began and which is not demanded of that one: of who has the most such tasks, the one
///   with the best rank, and the event says that it was stolen, from whom and by whom.
/// - What a task of the pool waits for is counted as it is when it is created.
#[async_trait]
pub trait Store: Reader + Debug {
    /// Writes a batch.
    ///
    /// # Errors
    /// See the contract; nothing was written.
    async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.commit_shared(Arc::new(batch)).await
    }

    /// The same for who keeps the batch, to write it again without a copy.
    ///
    /// # Errors
    /// See the contract; nothing was written.
    async fn commit_shared(&self, batch: Arc<Batch>) -> Result<Committed>;

    /// Leases the first ready task that fits an agent, moving it from queued to assigned.
    ///
    /// # Errors
    /// The store fails; no task was leased.
    async fn claim_task(&self, claim: Claim) -> Result<Option<Claimed>>;

    /// Leases a task of the pool to an idle agent, moving it from queued to assigned: see the contract.
    ///
    /// # Errors
    /// The store fails; no task was leased.
    async fn claim_from_pool(&self, claim: PoolClaim) -> Result<PoolAnswer>;

    /// Prolongs every lease of a node, counted from now; says how many there are.
    ///
    /// # Errors
    /// The store fails; the leases end when they were to end.
    async fn extend_leases(&self, lease: Lease) -> Result<u64>;

    /// Prolongs every lease of a node, on tasks and runs, counted from now, and notes that it was seen.
    ///
    /// # Errors
    /// The store fails; the leases end when they were to end.
    async fn keep_node(&self, lease: Lease) -> Result<Kept>;

    /// Leases runs to a node that drives them from now on.
    ///
    /// # Errors
    /// The store fails; no run was leased.
    async fn take_runs(&self, take: TakeRuns) -> Result<Vec<RunFence>>;

    /// Writes a change about nodes; the answer is said at each of them.
    ///
    /// # Errors
    /// The store fails; nothing was written.
    async fn change_node(&self, change: NodeChange) -> Result<u64>;

    /// Deletes one small batch of what is too old; says how many rows. 0 means that nothing is left.
    ///
    /// # Errors
    /// The store fails; nothing was deleted.
    async fn prune(&self, old: Prune) -> Result<u64>;
}
