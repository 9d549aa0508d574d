//! The runs that this process works on, and those that a person wants to be worked on at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_core::RunId;

use crate::Raised;

/// Who drives what in this process.
#[derive(Debug, Default)]
pub(crate) struct Drivers {
    driven: Mutex<BTreeSet<RunId>>,
    /// Those of them of which nothing is at work or ready: they wait for runs below them.
    waiting: Mutex<BTreeSet<RunId>>,
    /// Runs that a person let go on, with the budgets that he gave them.
    wanted: Mutex<BTreeMap<RunId, Raised>>,
}

/// The place of a driver. Dropping it says that it is done.
#[derive(Debug)]
pub(crate) struct AtTheWheel {
    drivers: Arc<Drivers>,
    run: RunId,
}

impl Drivers {
    /// A driver begins.
    pub(crate) fn enter(self: &Arc<Self>, run: RunId) -> AtTheWheel {
        locked(&self.driven).insert(run);
        AtTheWheel {
            drivers: Arc::clone(self),
            run,
        }
    }

    /// Whether a run has a driver.
    pub(crate) fn has(&self, run: RunId) -> bool {
        locked(&self.driven).contains(&run)
    }

    /// Whether nothing of a driven run is at work or ready, because it waits for runs below it.
    pub(crate) fn note_waiting(&self, run: RunId, is_waiting: bool) {
        let mut waiting = locked(&self.waiting);
        if is_waiting {
            waiting.insert(run);
        } else {
            waiting.remove(&run);
        }
    }

    /// How many such runs there are: they need no room, and what they wait for does.
    pub(crate) fn waiting(&self) -> usize {
        locked(&self.waiting).len()
    }

    /// Whether no run has a driver.
    pub(crate) fn are_done(&self) -> bool {
        locked(&self.driven).is_empty()
    }

    /// A person wants a run to go on, with these budgets.
    pub(crate) fn want(&self, run: RunId, raised: Raised) {
        locked(&self.wanted).insert(run, raised);
    }

    /// Whether a person wants a run to go on.
    pub(crate) fn is_wanted(&self, run: RunId) -> bool {
        locked(&self.wanted).contains_key(&run)
    }

    /// The budgets that a person gave a run that is now taken up.
    pub(crate) fn taken_up(&self, run: RunId) -> Raised {
        locked(&self.wanted).remove(&run).unwrap_or_default()
    }
}

impl Drop for AtTheWheel {
    fn drop(&mut self) {
        self.drivers.note_waiting(self.run, false);
        locked(&self.drivers.driven).remove(&self.run);
    }
}

/// Every change under these locks is one step, so a poisoned one holds whole values.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
