//! Budgets that other processes use up too.

use std::fmt::Debug;

use async_trait::async_trait;
use fusion_core::{Usage, WorstCase};

use crate::Result;

/// The budgets around those of a run, for the calls of one task, which come one after the other.
///
/// Room that was held is free once the usage of the call is booked, the next call holds its own, or the
/// task is over.
#[async_trait]
pub trait SharedBudget: Debug + Send + Sync {
    /// Holds room for a call in all of them. Waits while calls under way hold it.
    ///
    /// # Errors
    /// [`Error::OverBudget`](crate::Error::OverBudget): it can't fit, whatever becomes of the calls under
    /// way. Else it could not be found out.
    async fn hold(&self, call: &WorstCase) -> Result<()>;

    /// The call that room is held for was lost on its way and cost this; where nobody can say, its worst
    /// case counts as used. Tells whether it may be repeated under the same room.
    fn lose(&self, cost: Option<Usage>) -> bool;
}
