//! The port to the store.
//!
//! Reading and writing are two traits: who only shows things holds a [`Reader`] and can't
//! write by construction. All writing goes through the methods of [`Store`]:
//! [`commit`](Store::commit), [`claim_task`](Store::claim_task),
//! [`extend_leases`](Store::extend_leases), [`take_runs`](Store::take_runs),
//! [`change_node`](Store::change_node) and [`prune`](Store::prune).
//!
//! [`Repository`] and [`WriteRepository`] give every entity the same short methods over these two.

#[cfg(feature = "conformance")]
pub mod conformance;
mod costs;
mod entity;
mod error;
mod filter;
mod kept_files;
mod nodes;
mod open_work;
mod patient;
mod pool;
mod reader;
mod repository;
mod seen;
mod store;
mod top;

pub use costs::{CostQuery, CostReader, CostRow, CostSum, Costs};
pub use entity::{Deletable, Entity, Identifies, Selects};
pub use error::{ANOTHER_NAME, Error, Result, Source, unarchive};
pub use filter::{
    AgentFilter, ApprovalFilter, CapabilityFilter, EventFilter, JournalFilter, MessageFilter,
    MetricsFilter, ProjectFilter, ProviderFilter, RunFilter, ScheduleFilter, TaskFilter,
    TokenFilter, WebhookAttemptFilter, WebhookFilter, WorkflowFilter, WorkspaceFilter,
};
pub use kept_files::{KeptFileReader, NamedFiles};
pub use nodes::{
    Due, Kept, Loss, NodeChange, NodeReader, NodeSeen, Outlook, RunFence, TakeRuns, Wanted,
};
pub use open_work::OpenWork;
pub use patient::{Patience, Patient};
pub use pool::{PoolAnswer, PoolClaim, PoolReader};
pub use reader::{
    AccountReader, AgentReader, AgentWork, ApprovalReader, EventBounds, EventReader, Find,
    INBOX_BYTES, JournalReader, Mark, MarkReader, MessageReader, OutboxReader, Page, Progress,
    Queue, Reader, TaskReader, WorkflowReader,
};
pub use repository::{Repository, WriteRepository};
pub use seen::Seen;
pub use store::{
    Batch, Claim, Claimed, Committed, Fence, Guard, Idempotency, Lease, Listeners, Prune,
    Remembered, Store, WEBHOOK_ATTEMPTS,
};
pub use top::{Sampled, SampledTotal, Top, TopQuery, TopReader, TopRow};
