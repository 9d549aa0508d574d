//! The port to the store.
//!
//! Reading and writing are two traits: who only shows things holds a [`Reader`] and can't
//! write by construction. All writing goes through three methods of [`Store`]:
//! [`commit`](Store::commit), [`claim_task`](Store::claim_task) and
//! [`extend_leases`](Store::extend_leases).

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod reader;
mod store;

pub use error::{Error, Result, Source};
pub use reader::{
    AgentReader, EventFilter, EventReader, JournalReader, Reader, RunFilter, RunReader, TaskReader,
    WorkflowReader,
};
pub use store::{Batch, Claim, Claimed, Committed, Fence, Lease, Store};
