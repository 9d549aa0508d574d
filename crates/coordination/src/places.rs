//! Places for agents at work: as many as may work at once in this process.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How one that hands out tasks comes by places. It keeps the one that it waited for until it has looked
/// for work: several that wait and give theirs back to look would pass one place around for ever.
#[derive(Debug, Default)]
pub(crate) struct Places {
    kept: Option<OwnedSemaphorePermit>,
    is_wanted: bool,
}

impl Places {
    /// Looks for work from here on: nothing is known of what it lacks.
    pub(crate) const fn look(&mut self) {
        self.is_wanted = false;
    }

    /// A place, when there is one; else one is waited for.
    pub(crate) fn take(&mut self, all: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let kept = self.kept.take();
        let place = kept.or_else(|| Arc::clone(all).try_acquire_owned().ok());
        self.is_wanted = place.is_none();
        place
    }

    /// Whether a task was not handed out because as many agents work as may.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Waits until there is a place, and keeps it.
    pub(crate) async fn come(&mut self, all: &Arc<Semaphore>) {
        // Nobody closes it.
        self.kept = Arc::clone(all).acquire_owned().await.ok();
    }

    /// Looked for work: a place that was not needed is for others.
    pub(crate) fn looked(&mut self) {
        self.kept = None;
    }
}
