//! Waiting for a store that is away.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{
    Account, Agent, AgentId, Approval, Delivery, Event, EventId, Held, JournalEntry, Message,
    MessageId, NamedSnapshot, NodeId, OutboxEntry, PoolQueue, Run, RunId, Spent, Task, TaskId,
    Timestamp, Undelivered, Workflow, WorkflowId, Workspace, WorkspaceId, error_chain,
};
use tokio::time::{Instant, sleep};

use crate::{
    AccountReader, AgentReader, AgentWork, ApprovalReader, Batch, Claim, Claimed, Committed,
    CostQuery, CostReader, Costs, Due, Entity, Error, EventBounds, EventFilter, EventReader, Find,
    JournalReader, Kept, KeptFileReader, Lease, Loss, Mark, MarkReader, MessageFilter,
    MessageReader, NamedFiles, NodeChange, NodeReader, NodeSeen, OutboxReader, Outlook, Page,
    PoolAnswer, PoolClaim, PoolReader, Progress, Prune, Remembered, Result, RunFence, Seen, Store,
    TakeRuns, TaskReader, Top, TopQuery, TopReader, WorkflowReader,
};

/// How long to wait for a store that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The wait before the second try; it doubles with each further one.
    pub first_wait: Duration,
    /// The longest wait between two tries.
    pub longest_wait: Duration,
    /// When to give up and pass the error on.
    pub give_up_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(2),
            give_up_after: Duration::from_secs(600),
        }
    }
}

/// A store whose callers wait while it is away, instead of being told so: for the engine, whose
/// work goes on by itself when the store is back. Whoever answers a person or a request takes the
/// store itself.
///
/// Only `Unavailable`, which says that nothing was written, leads to another try, so that nothing is
/// written twice. A full disk is passed on: it does not go away by itself.
#[derive(Debug, Clone)]
pub struct Patient<S> {
    store: S,
    patience: Patience,
}

impl<S> Patient<S> {
    /// A patient view of a store.
    pub const fn new(store: S, patience: Patience) -> Self {
        Self { store, patience }
    }

    /// The store itself, for who does not wait.
    pub const fn inner(&self) -> &S {
        &self.store
    }

    /// The same for who has no other use for this view.
    pub fn into_inner(self) -> S {
        self.store
    }

    async fn patiently<'s, T, F>(&'s self, call: impl Fn(&'s S) -> F + Send) -> Result<T>
    where
        S: Sync,
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let give_up = Instant::now() + self.patience.give_up_after;
        let mut wait = self.patience.first_wait;
        loop {
            match call(&self.store).await {
                Err(error @ Error::Unavailable { .. }) if Instant::now() + wait < give_up => {
                    if wait == self.patience.first_wait {
                        tracing::error!(error = error_chain(&error), "waiting for the database");
                    }
                }
                other => return other,
            }
            sleep(wait).await;
            wait = (wait * 2).min(self.patience.longest_wait);
        }
    }
}

#[async_trait]
impl<S: Find<T>, T: Entity> Find<T> for Patient<S> {
    async fn find(&self, id: T::Id) -> Result<Option<T>> {
        self.patiently(|store| store.find(id)).await
    }

    async fn page(&self, filter: &T::Filter, page: Page<T::Id>) -> Result<Vec<T>> {
        self.patiently(|store| store.page(filter, page)).await
    }

    async fn page_seen(&self, filter: &T::Filter, page: Page<T::Id>) -> Result<Vec<Arc<Seen<T>>>> {
        self.patiently(|store| store.page_seen(filter, page)).await
    }

    async fn count_rows(&self, filter: &T::Filter) -> Result<u64> {
        self.patiently(|store| store.count_rows(filter)).await
    }
}

impl<S: MarkReader> MarkReader for Patient<S> {
    fn mark(&self) -> Option<Mark> {
        self.store.mark()
    }
}

/// Forwards the methods of a trait, each patiently.
macro_rules! forward {
    ($name:ident { $(fn $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl<S: $name + Send + Sync> $name for Patient<S> {
            $(async fn $method(&self, $($argument: $kind),*) -> Result<$answer> {
                self.patiently(|store| store.$method($($argument),*)).await
            })*
        }
    };
}

forward! { WorkflowReader {
    fn latest_workflow(name: &str) -> Option<Workflow>;
    fn newest_version(name: &str) -> Option<WorkflowId>;
} }

forward! { AgentReader {
    fn agents_of_run(run: RunId) -> Vec<(Agent, Workspace)>;
    fn work_of_agent(agent: AgentId) -> AgentWork;
    fn used_process_uids() -> BTreeSet<u32>;
    fn process_uids_used_of(uids: &[u32]) -> BTreeSet<u32>;
} }

forward! { TaskReader {
    fn tasks_of_run(run: RunId) -> Vec<Task>;
    fn run_with_tasks(run: RunId) -> Option<(Run, Vec<Task>)>;
    fn tasks_named(run: RunId, names: &[String]) -> Vec<Task>;
    fn downstream(task: TaskId) -> Vec<Task>;
    fn items_of(fan_out: TaskId) -> Vec<Task>;
    fn has_failed_item(fan_out: TaskId) -> bool;
    fn progress_of(run: RunId) -> Option<Progress>;
    fn is_worked_on(run: RunId) -> bool;
    fn expired_leases(limit: u32) -> Vec<Task>;
} }

forward! { ApprovalReader {
    fn overdue_approvals(limit: u32) -> Vec<Approval>;
} }

forward! { AccountReader {
    fn spent(accounts: &[Account]) -> Vec<Spent>;
    fn held(accounts: &[Account]) -> Vec<Held>;
} }

forward! { CostReader {
    fn costs(query: &CostQuery) -> Costs;
} }

forward! { TopReader {
    fn top(query: &TopQuery) -> Top;
} }

forward! { KeptFileReader {
    fn loose_files(after: Option<&str>, limit: u32) -> BTreeMap<String, u64>;
    fn files_named(files: &BTreeSet<String>) -> NamedFiles;
    fn files_named_since(files: &BTreeSet<String>, place: u64) -> Option<BTreeSet<String>>;
    fn is_being_deleted(run: RunId) -> bool;
} }

forward! { PoolReader {
    fn pool_queues() -> Vec<PoolQueue>;
    fn pool_given(limit: u32) -> Vec<AgentId>;
    fn pool_due_in() -> Option<Duration>;
    fn pool_awaited(limit: u32) -> Vec<TaskId>;
    fn pool_doomed(ended: Option<TaskId>, limit: u32) -> Vec<(Task, Task)>;
    fn dependents(task: TaskId, limit: u32) -> Vec<Task>;
} }

forward! { JournalReader {
    fn journal(task: TaskId) -> Vec<JournalEntry>;
    fn activity(run: RunId) -> Vec<JournalEntry>;
} }

forward! { EventReader {
    fn event(id: EventId) -> Option<Event>;
    fn events_after(filter: &EventFilter, after: u64, limit: u32) -> Vec<Event>;
    fn event_bounds() -> EventBounds;
    fn events_before(filter: &EventFilter, before: Option<u64>, limit: u32) -> Vec<Event>;
} }

forward! { MessageReader {
    fn inbox(agent: AgentId, after: u64, limit: u32) -> Vec<Message>;
    fn deliveries(message: MessageId) -> Vec<Delivery>;
    fn hops_heard(agent: AgentId, since: Timestamp) -> Vec<(AgentId, u32)>;
    fn messages_after(filter: &MessageFilter, after: u64, limit: u32) -> Vec<Message>;
    fn message_ids(first: MessageId, last: MessageId, limit: u32) -> Vec<MessageId>;
    fn last_message() -> u64;
    fn agents_with_mail(limit: u32) -> Vec<AgentId>;
    fn overdue_deliveries(limit: u32) -> Vec<Undelivered>;
    fn stranded_deliveries(limit: u32) -> Vec<Undelivered>;
} }

forward! { NodeReader {
    fn outlook(with_due: bool) -> Outlook;
    fn due() -> Due;
    fn nodes(limit: u32) -> Vec<NodeSeen>;
    fn runs_of_node(node: NodeId) -> Vec<RunFence>;
    fn losses(task: TaskId) -> Vec<Loss>;
    fn snapshot_of(workspace: WorkspaceId) -> Option<NamedSnapshot>;
} }

forward! { OutboxReader {
    fn outbox_after(after: u64, limit: u32) -> Vec<OutboxEntry>;
    fn remembered(scope: &str, key: &str) -> Option<Remembered>;
} }

#[async_trait]
impl<S: Store> Store for Patient<S> {
    async fn commit_shared(&self, batch: Arc<Batch>) -> Result<Committed> {
        self.patiently(|store| store.commit_shared(Arc::clone(&batch)))
            .await
    }

    async fn claim_task(&self, claim: Claim) -> Result<Option<Claimed>> {
        self.patiently(|store| store.claim_task(claim.clone()))
            .await
    }

    async fn claim_from_pool(&self, claim: PoolClaim) -> Result<PoolAnswer> {
        self.patiently(|store| store.claim_from_pool(claim.clone()))
            .await
    }

    async fn extend_leases(&self, lease: Lease) -> Result<u64> {
        self.patiently(|store| store.extend_leases(lease)).await
    }

    async fn keep_node(&self, lease: Lease) -> Result<Kept> {
        self.patiently(|store| store.keep_node(lease)).await
    }

    async fn take_runs(&self, take: TakeRuns) -> Result<Vec<RunFence>> {
        self.patiently(|store| store.take_runs(take.clone())).await
    }

    async fn change_node(&self, change: NodeChange) -> Result<u64> {
        self.patiently(|store| store.change_node(change.clone()))
            .await
    }

    async fn prune(&self, old: Prune) -> Result<u64> {
        self.patiently(|store| store.prune(old)).await
    }
}
