//! Writing: the one door.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{Agent, AgentId, Decision, NewEvent, NodeId, RunId, Task, TaskId};

use crate::{Reader, Result};

/// Proof of the right to write about a task: the number its claim gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// The task.
    pub task: TaskId,
    /// `Task::fence` as the claim returned it.
    pub number: u64,
}

/// What is written together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Refuse everything unless this lease still holds.
    pub fence: Option<Fence>,
    /// Give the fenced task back to the queue: its lease ends and its fence rises by one.
    pub requeue: bool,
    /// Rows and events.
    pub decision: Decision,
}

impl Batch {
    /// A batch about no leased task.
    #[must_use]
    pub const fn free(decision: Decision) -> Self {
        Self {
            fence: None,
            requeue: false,
            decision,
        }
    }

    /// A batch of the worker that holds a task.
    #[must_use]
    pub const fn fenced(fence: Fence, decision: Decision) -> Self {
        Self {
            fence: Some(fence),
            requeue: false,
            decision,
        }
    }

    /// A batch that gives a task back to the queue. The decision must not write the task's row.
    #[must_use]
    pub const fn requeue(fence: Fence, decision: Decision) -> Self {
        Self {
            fence: Some(fence),
            requeue: true,
            decision,
        }
    }
}

/// What a commit says back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Place in the log of the last event of the batch; 0 when it had none.
    pub last_seq: u64,
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

/// The one door for writes.
///
/// Contract, the same for every adapter and checked by the module `conformance`:
///
/// - `commit` writes all of a batch or nothing. When it has answered `Ok`, the batch
///   survives a crash of the process and of the machine.
/// - An `Update` is refused with `Conflict` when the row's version is not the one in the
///   value; a written row has its version raised by one.
/// - A batch with a fence is refused with `Fenced` unless the task is assigned or running
///   under exactly that number.
/// - Events get dense, rising `seq` in the order of the commits.
/// - A batch that fails does not disturb those that are committed at the same time.
/// - `claim_task` gives one task to one agent only, however many ask at once; the claimed
///   task has a fence one higher than before. Order: priority, then age, then id. An agent that
///   is not idle, or holds a task already, is given none.
#[async_trait]
pub trait Store: Reader + Debug {
    /// Writes a batch.
    ///
    /// # Errors
    /// See the contract; nothing was written.
    async fn commit(&self, batch: Batch) -> Result<Committed>;

    /// Leases the first ready task that fits an agent, moving it from queued to assigned.
    ///
    /// # Errors
    /// The store fails; no task was leased.
    async fn claim_task(&self, claim: Claim) -> Result<Option<Claimed>>;

    /// Prolongs every lease of a node, counted from now; says how many there are.
    ///
    /// # Errors
    /// The store fails; the leases end when they were to end.
    async fn extend_leases(&self, lease: Lease) -> Result<u64>;
}
