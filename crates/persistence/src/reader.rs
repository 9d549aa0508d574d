//! Reading: one small trait per entity, and [`Reader`] for all of them.
//!
//! Every read sees one committed state: never half a batch.

use std::collections::BTreeSet;

use async_trait::async_trait;
use fusion_core::{
    Agent, Event, JournalEntry, NodeId, Run, RunId, Task, TaskId, Workflow, WorkflowId, Workspace,
};

use crate::Result;

/// Reads workflow definitions.
#[async_trait]
pub trait WorkflowReader {
    /// One version of a definition.
    ///
    /// # Errors
    /// It does not exist, or the store fails.
    async fn workflow(&self, id: WorkflowId) -> Result<Workflow>;

    /// The newest version stored under a name, or `None` for a new name.
    ///
    /// # Errors
    /// The store fails.
    async fn latest_workflow(&self, name: &str) -> Result<Option<Workflow>>;
}

/// Which runs to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFilter {
    /// Only those that have not ended.
    pub unfinished_only: bool,
    /// At most this many, the newest first.
    pub limit: u32,
}

/// Reads runs.
#[async_trait]
pub trait RunReader {
    /// One run.
    ///
    /// # Errors
    /// It does not exist, or the store fails.
    async fn run(&self, id: RunId) -> Result<Run>;

    /// Runs, the newest first.
    ///
    /// # Errors
    /// The store fails.
    async fn runs(&self, filter: RunFilter) -> Result<Vec<Run>>;
}

/// Reads agents and their workspaces.
#[async_trait]
pub trait AgentReader {
    /// The agents that a run spawned, with their workspaces, ordered by name.
    ///
    /// # Errors
    /// The store fails.
    async fn agents_of_run(&self, run: RunId) -> Result<Vec<(Agent, Workspace)>>;

    /// The user ids that workspaces belong to, of living agents and of ended ones.
    ///
    /// # Errors
    /// The store fails.
    async fn used_process_uids(&self) -> Result<BTreeSet<u32>>;
}

/// Reads tasks.
#[async_trait]
pub trait TaskReader {
    /// One task.
    ///
    /// # Errors
    /// It does not exist, or the store fails.
    async fn task(&self, id: TaskId) -> Result<Task>;

    /// The tasks of a run, in the order they were created.
    ///
    /// # Errors
    /// The store fails.
    async fn tasks_of_run(&self, run: RunId) -> Result<Vec<Task>>;

    /// The tasks of a run that have one of these names, in no order.
    ///
    /// # Errors
    /// The store fails.
    async fn tasks_named(&self, run: RunId, names: &[String]) -> Result<Vec<Task>>;

    /// Whether a run has a task that some agent could claim now.
    ///
    /// # Errors
    /// The store fails.
    async fn has_ready_task(&self, run: RunId) -> Result<bool>;

    /// The tasks under a lease of any node but this one: after a restart, those of the dead process.
    ///
    /// # Errors
    /// The store fails.
    async fn tasks_held_by_others(&self, node: NodeId) -> Result<Vec<Task>>;
}

/// Reads journals.
#[async_trait]
pub trait JournalReader {
    /// The journal of a task, in order of `seq`.
    ///
    /// # Errors
    /// The store fails.
    async fn journal(&self, task: TaskId) -> Result<Vec<JournalEntry>>;

    /// The newest journal entry of each task of a run that is not ended: what it does now.
    ///
    /// # Errors
    /// The store fails.
    async fn activity(&self, run: RunId) -> Result<Vec<JournalEntry>>;
}

/// Which events to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those after this place in the log.
    pub after: u64,
    /// Only those of this run.
    pub run: Option<RunId>,
    /// At most this many.
    pub limit: u32,
}

/// Reads the event log.
#[async_trait]
pub trait EventReader {
    /// Events in the order of the log. A later call with `after` set to the last `seq`
    /// never misses one that committed in between.
    ///
    /// # Errors
    /// The store fails.
    async fn events(&self, filter: EventFilter) -> Result<Vec<Event>>;
}

/// Reads everything.
pub trait Reader:
    WorkflowReader + RunReader + AgentReader + TaskReader + JournalReader + EventReader + Send + Sync
{
}

impl<T> Reader for T where
    T: WorkflowReader
        + RunReader
        + AgentReader
        + TaskReader
        + JournalReader
        + EventReader
        + Send
        + Sync
{
}
