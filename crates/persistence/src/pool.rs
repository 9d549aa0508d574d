//! The pool of tasks that any standing agent may take: reading it, and taking from it.

use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{AgentId, NewEvent, PoolQueue, Task, TaskId};

use crate::{Claimed, Lease, Result};

/// An idle standing agent that asks for a task of the pool.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolClaim {
    /// The agent.
    pub agent: AgentId,
    /// The queues whose tasks it can do, as far as the caller knows.
    pub queues: Vec<PoolQueue>,
    /// The lease it gets.
    pub lease: Lease,
    /// Appended with the claim, once the task is known; its run is that of the task.
    pub event: NewEvent,
}

/// What an agent gets that asks for a task of the pool.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolAnswer {
    /// This task.
    Task(Box<Claimed>),
    /// There is none for it; nor for another agent that can do the same and that none was given to.
    Nothing,
    /// It is not idle, or holds a task.
    Unfit,
}

/// Reads the pool as those need it who hand its tasks out.
#[async_trait]
pub trait PoolReader {
    /// The queues with a task that waits for an agent, for a time or for other tasks.
    ///
    /// # Errors
    /// The store fails.
    async fn pool_queues(&self) -> Result<Vec<PoolQueue>>;

    /// The agents that were given a task that they could take now, each once. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn pool_given(&self, limit: u32) -> Result<Vec<AgentId>>;

    /// Until the first wait of a task of the pool is over, by the clock of the database; zero when it
    /// is over and nobody has woken the task yet.
    ///
    /// # Errors
    /// The store fails.
    async fn pool_due_in(&self) -> Result<Option<Duration>>;

    /// The tasks that queued tasks of the pool wait for and that have not ended well, each once. At
    /// most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn pool_awaited(&self, limit: u32) -> Result<Vec<TaskId>>;

    /// Queued tasks of the pool that will never be ready, each with one that it needs and that failed or
    /// was cancelled. With `ended`, only those that need this one. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn pool_doomed(&self, ended: Option<TaskId>, limit: u32) -> Result<Vec<(Task, Task)>>;

    /// The tasks that need a task directly, in the order of their ids. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn dependents(&self, task: TaskId, limit: u32) -> Result<Vec<Task>>;
}
