//! What calls cost that gave no turn.

use std::sync::{Mutex, PoisonError};

use fusion_core::Usage;
use fusion_providers::{Delta, DeltaSink};

/// Adds up what lost calls cost while a turn is asked for.
#[derive(Debug, Default)]
pub(crate) struct LostCalls(Mutex<Usage>);

impl LostCalls {
    /// What they cost since this was last asked.
    pub(crate) fn take_cost(&self) -> Usage {
        // A sum changes in one step: a poisoned lock still holds a whole one.
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl DeltaSink for LostCalls {
    fn take(&self, _: Delta<'_>) {}

    fn lost(&self, cost: Option<Usage>) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += cost.unwrap_or_default();
        true
    }
}
