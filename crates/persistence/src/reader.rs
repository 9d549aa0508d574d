//! Reading: [`Find`] for every entity, what else the engine asks, and [`Reader`] for all of it.
//!
//! Every read sees one committed state: never half a batch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{
    Account, Agent, AgentId, ApiToken, Approval, Capability, Delivery, Event, EventId, Held,
    JournalEntry, Message, MessageId, OutboxEntry, Project, ProviderConfig, ResourceMetrics, Run,
    RunId, Schedule, Spent, Task, TaskId, Timestamp, Undelivered, Usage, Webhook, WebhookAttempt,
    Workflow, WorkflowId, Workspace,
};

use crate::{
    CostReader, Entity, EventFilter, KeptFileReader, MessageFilter, NodeReader, PoolReader,
    Remembered, Result, Seen, TopReader,
};

/// A page of a list, newest first.
///
/// The list is walked by keyset: what is inserted meanwhile moves nothing, so that no row of the
/// list is seen twice or left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<Id> {
    /// Only rows older than the one with this id: the last of the page before.
    pub after: Option<Id>,
    /// At most this many.
    pub limit: u32,
}

impl<Id> Page<Id> {
    /// The newest rows.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }
}

/// Finds the rows of one entity.
#[async_trait]
pub trait Find<T: Entity>: Send + Sync {
    /// One row; `None` when there is none with this id.
    ///
    /// # Errors
    /// The store fails.
    async fn find(&self, id: T::Id) -> Result<Option<T>>;

    /// Rows, the newest id first.
    ///
    /// # Errors
    /// The store fails.
    async fn page(&self, filter: &T::Filter, page: Page<T::Id>) -> Result<Vec<T>>;

    /// The same rows, to be shown. A row that is in every cell as it was when it was last given here may be
    /// the value that was given then, with what was written of it.
    ///
    /// # Errors
    /// The store fails.
    async fn page_seen(&self, filter: &T::Filter, page: Page<T::Id>) -> Result<Vec<Arc<Seen<T>>>>;

    /// How many rows there are.
    ///
    /// # Errors
    /// The store fails.
    async fn count_rows(&self, filter: &T::Filter) -> Result<u64>;
}

/// A state of a store. Of two equal marks of one store it is known that nobody committed anything between
/// them, in this process or another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(i64);

impl Mark {
    /// The mark that a store tells by this number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }
}

/// Tells whether anything has changed.
pub trait MarkReader {
    /// The state that is committed now: a read that begins later sees it or a newer one. `None` where the
    /// store can't tell at once.
    fn mark(&self) -> Option<Mark>;
}

/// Reads workflow definitions by name.
#[async_trait]
pub trait WorkflowReader {
    /// The newest version stored under a name, or `None` for a new name.
    ///
    /// # Errors
    /// The store fails.
    async fn latest_workflow(&self, name: &str) -> Result<Option<Workflow>>;

    /// The id of that version alone.
    ///
    /// # Errors
    /// The store fails.
    async fn newest_version(&self, name: &str) -> Result<Option<WorkflowId>>;
}

/// What an agent was given to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentWork {
    /// What the model calls of all its tasks used.
    pub usage: Usage,
    /// Its tasks that ended well.
    pub completed: u64,
    /// Its tasks that failed.
    pub failed: u64,
    /// The task that it works on; where there is none, the oldest of those that wait for it.
    pub task: Option<Task>,
}

/// Reads agents together with their workspaces.
#[async_trait]
pub trait AgentReader {
    /// The agents that work for a run, with their workspaces, ordered by name: those that it spawned,
    /// or, when it spawned none, the standing agents that its tasks were given to.
    ///
    /// # Errors
    /// The store fails.
    async fn agents_of_run(&self, run: RunId) -> Result<Vec<(Agent, Workspace)>>;

    /// What an agent was given to do, in all; nothing of an agent that is not there.
    ///
    /// # Errors
    /// The store fails.
    async fn work_of_agent(&self, agent: AgentId) -> Result<AgentWork>;

    /// The user ids that workspaces belong to, of living agents and of ended ones.
    ///
    /// # Errors
    /// The store fails.
    async fn used_process_uids(&self) -> Result<BTreeSet<u32>>;

    /// Those of some user ids that workspaces belong to.
    ///
    /// # Errors
    /// The store fails.
    async fn process_uids_used_of(&self, uids: &[u32]) -> Result<BTreeSet<u32>>;
}

/// The queue of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// Tasks that some agent could claim now; no more than [`Queue::COUNTED`] are counted.
    pub ready: u32,
    /// Until the first wait of a task is over, by the clock of the database; zero when it is over and
    /// nobody has woken the task yet.
    pub due_in: Option<Duration>,
}

impl Queue {
    /// So many ready tasks may be more.
    pub const COUNTED: u32 = 64;

    /// How many claims can find a task; `None` when that is not known.
    #[must_use]
    pub const fn claims(&self) -> Option<u32> {
        if self.ready < Self::COUNTED {
            Some(self.ready)
        } else {
            None
        }
    }
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The run.
    pub run: Run,
    /// What waits.
    pub queue: Queue,
}

/// Reads tasks as the engine needs them.
#[async_trait]
pub trait TaskReader {
    /// The tasks of a run, in the order they were created.
    ///
    /// # Errors
    /// The store fails.
    async fn tasks_of_run(&self, run: RunId) -> Result<Vec<Task>>;

    /// A run and its tasks, in the order they were created, as they are at one moment; `None` without such a
    /// run.
    ///
    /// # Errors
    /// The store fails.
    async fn run_with_tasks(&self, run: RunId) -> Result<Option<(Run, Vec<Task>)>>;

    /// The tasks of a run that have one of these names, in no order.
    ///
    /// # Errors
    /// The store fails.
    async fn tasks_named(&self, run: RunId, names: &[String]) -> Result<Vec<Task>>;

    /// The tasks that need a task, directly or through others, and have not ended, in the order they
    /// were created. Costs in proportion to what comes after the task, not to its run.
    ///
    /// # Errors
    /// The store fails.
    async fn downstream(&self, task: TaskId) -> Result<Vec<Task>>;

    /// The items that a task was fanned out into, in the order of their list.
    ///
    /// # Errors
    /// The store fails.
    async fn items_of(&self, fan_out: TaskId) -> Result<Vec<Task>>;

    /// Whether an item of a task that was fanned out has failed.
    ///
    /// # Errors
    /// The store fails.
    async fn has_failed_item(&self, fan_out: TaskId) -> Result<bool>;

    /// A run and what waits in its queue, as they are at one moment; `None` without such a run.
    ///
    /// # Errors
    /// The store fails.
    async fn progress_of(&self, run: RunId) -> Result<Option<Progress>>;

    /// Whether a process may be at work on a run: one owns the database, or, where many may write,
    /// the run, or a task of it, is under a lease that has not run out by the clock of the database.
    ///
    /// # Errors
    /// The store fails.
    async fn is_worked_on(&self, run: RunId) -> Result<bool>;

    /// Tasks whose lease has run out by the clock of the database: their worker is dead, or so slow
    /// that it must be taken for dead. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn expired_leases(&self, limit: u32) -> Result<Vec<Task>>;
}

/// Reads questions to people.
#[async_trait]
pub trait ApprovalReader {
    /// Pending questions that have expired by the clock of the database. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn overdue_approvals(&self, limit: u32) -> Result<Vec<Approval>>;
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

/// Which part of the event log is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventBounds {
    /// Place of the first event that is left; one more than `last` when none is.
    pub oldest: u64,
    /// Place of the newest event; 0 when none was ever told.
    pub last: u64,
}

/// Reads the event log.
#[async_trait]
pub trait EventReader {
    /// One event; `None` when there is none with this id.
    ///
    /// # Errors
    /// The store fails.
    async fn event(&self, id: EventId) -> Result<Option<Event>>;

    /// The first events after a place in the log, in the order of the log. A later call with
    /// `after` set to the last `seq` never misses one that committed in between. Less than `limit`
    /// of them says that there are no more for now.
    ///
    /// # Errors
    /// `Gone` when events after that place have been deleted by age; else the store fails.
    async fn events_after(
        &self,
        filter: &EventFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>>;

    /// Where the log begins and ends now.
    ///
    /// # Errors
    /// The store fails.
    async fn event_bounds(&self) -> Result<EventBounds>;

    /// A page of the events before a place in the log, in its falling order: the newest first. All of
    /// the log without a place. An event that was told late stands where it was told, whatever time it
    /// has.
    ///
    /// # Errors
    /// The store fails.
    async fn events_before(
        &self,
        filter: &EventFilter,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Event>>;
}

/// Bytes of content, as JSON text, after which one look at an inbox gives no further message.
pub const INBOX_BYTES: u32 = 1024 * 1024;

/// Reads messages as their recipients do, and in the order of the message log.
#[async_trait]
pub trait MessageReader {
    /// What waits for an agent after a place in the message log, in the order of the log: pending and
    /// not expired by the clock of the database. At most `limit` messages, and none more once their
    /// contents have [`INBOX_BYTES`]: the first comes whatever it has, so that only an empty answer
    /// says that there are no more.
    ///
    /// # Errors
    /// The store fails.
    async fn inbox(&self, agent: AgentId, after: u64, limit: u32) -> Result<Vec<Message>>;

    /// What became of a message at each of its recipients, in the order of their ids.
    ///
    /// # Errors
    /// The store fails.
    async fn deliveries(&self, message: MessageId) -> Result<Vec<Delivery>>;

    /// How far the talk with each other agent has come, as this agent knows it: the hops of the last
    /// message of each that it read at this time or later, in no order.
    ///
    /// # Errors
    /// The store fails.
    async fn hops_heard(&self, agent: AgentId, since: Timestamp) -> Result<Vec<(AgentId, u32)>>;

    /// The first messages after a place in the message log, in its order. A later call with `after`
    /// set to the last `seq` never misses one that committed in between.
    ///
    /// # Errors
    /// The store fails.
    async fn messages_after(
        &self,
        filter: &MessageFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Message>>;

    /// The first ids of messages from one to another, both with them, in rising order: for who knows
    /// how an id begins.
    ///
    /// # Errors
    /// The store fails.
    async fn message_ids(
        &self,
        first: MessageId,
        last: MessageId,
        limit: u32,
    ) -> Result<Vec<MessageId>>;

    /// The place of the newest message in the log; 0 when none was ever sent.
    ///
    /// # Errors
    /// The store fails.
    async fn last_message(&self) -> Result<u64>;

    /// Pending deliveries that have expired by the clock of the database. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn overdue_deliveries(&self, limit: u32) -> Result<Vec<Undelivered>>;

    /// Standing agents that are idle and have a pending delivery, in no order. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn agents_with_mail(&self, limit: u32) -> Result<Vec<AgentId>>;

    /// Pending deliveries to agents that have ended. At most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn stranded_deliveries(&self, limit: u32) -> Result<Vec<Undelivered>>;
}

/// Reads accounts that many runs use up.
#[async_trait]
pub trait AccountReader {
    /// What these accounts have used, in their order.
    ///
    /// # Errors
    /// The store fails.
    async fn spent(&self, accounts: &[Account]) -> Result<Vec<Spent>>;

    /// The room that calls under way hold in these accounts, in their order.
    ///
    /// # Errors
    /// The store fails.
    async fn held(&self, accounts: &[Account]) -> Result<Vec<Held>>;
}

/// Reads what waits to be published, and what was asked before.
#[async_trait]
pub trait OutboxReader {
    /// The first entries after a place in the outbox, in their order.
    ///
    /// # Errors
    /// The store fails.
    async fn outbox_after(&self, after: u64, limit: u32) -> Result<Vec<OutboxEntry>>;

    /// What was answered to a request under an idempotency key, while it is remembered.
    ///
    /// # Errors
    /// The store fails.
    async fn remembered(&self, scope: &str, key: &str) -> Result<Option<Remembered>>;
}

/// Declares [`Reader`] from the traits that it is made of.
macro_rules! reader {
    ($($part:path),* $(,)?) => {
        /// Reads everything.
        pub trait Reader: $($part +)* Send + Sync {}

        impl<T> Reader for T where T: $($part +)* Send + Sync {}
    };
}

reader! {
    Find<Agent>,
    Find<ApiToken>,
    Find<Approval>,
    Find<Capability>,
    Find<JournalEntry>,
    Find<Message>,
    Find<Project>,
    Find<ProviderConfig>,
    Find<ResourceMetrics>,
    Find<Run>,
    Find<Schedule>,
    Find<Task>,
    Find<Webhook>,
    Find<WebhookAttempt>,
    Find<Workflow>,
    Find<Workspace>,
    MarkReader,
    WorkflowReader,
    AccountReader,
    CostReader,
    TopReader,
    KeptFileReader,
    AgentReader,
    TaskReader,
    ApprovalReader,
    PoolReader,
    JournalReader,
    EventReader,
    MessageReader,
    OutboxReader,
    NodeReader,
}
