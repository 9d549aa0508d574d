//! The port to the journal of a task.

use async_trait::async_trait;
use fusion_core::JournalEntry;

/// One write to a journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The intent of a new effect.
    Begin(JournalEntry),
    /// The outcome of an effect, or its next attempt.
    Update(JournalEntry),
}

/// The journal refused a write; whoever keeps it knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal refused a write")]
pub struct JournalRefused;

/// Where a task's journal is kept.
///
/// Contract: when `record` has answered `Ok`, the records survive a crash, all of them and
/// in order. When it answers an error nothing of them was written, and the runtime starts no
/// further effect: the lease may be lost, and another worker may be at the task.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes records together.
    ///
    /// # Errors
    /// The lease is lost, or the store fails.
    async fn record(&self, records: Vec<Record>) -> Result<(), JournalRefused>;
}
