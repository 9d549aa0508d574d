//! The port to the journal of a task.

use std::fmt::Debug;

use async_trait::async_trait;
use fusion_core::{Decision, JournalEntry, MessageId};

/// One write to a journal.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The intent of a new effect, or something without an effect that is finished at once.
    Begin(JournalEntry),
    /// The outcome of an effect, or its next attempt.
    Update(JournalEntry),
    /// A message of the agent is sent: with the entry of the call that sent it.
    Send(Box<Decision>),
    /// Messages were read: with the entry that holds what they say.
    Acknowledge(Vec<MessageId>),
    /// The patterns that the agent listens to from now on.
    Subscriptions(Vec<String>),
    /// The task is begun anew, in a fresh conversation, and why: with the outcome that led to it.
    Anew(String),
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
pub trait Journal: Debug + Send + Sync {
    /// Writes records together.
    ///
    /// # Errors
    /// The lease is lost, or the store fails.
    async fn record(&self, records: Vec<Record>) -> Result<(), JournalRefused>;
}
