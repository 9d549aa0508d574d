//! What the commit that ends a task brings with it: the next task of its agent, or the end of the run
//! (ADR 0050).

use std::sync::{Mutex, MutexGuard, PoisonError};

use fusion_persistence::{Batch, Claimed, Fence};

use crate::plan::Plan;
use crate::worker::Job;
use crate::{Coordinator, Result};

/// What follows a task, as its worker sees it.
#[derive(Debug)]
pub(crate) struct Follow {
    is_driven: bool,
    next: Mutex<Option<Box<Claimed>>>,
}

impl Follow {
    /// For a task of a driven run: the next one of the same agent.
    pub(crate) const fn in_run() -> Self {
        Self::new(true)
    }

    /// For a task of its own: nothing.
    pub(crate) const fn nothing() -> Self {
        Self::new(false)
    }

    const fn new(is_driven: bool) -> Self {
        Self {
            is_driven,
            next: Mutex::new(None),
        }
    }

    /// The task that its agent was given with the end of the one before.
    pub(crate) fn into_next(self) -> Option<Claimed> {
        // A poisoned lock still holds a whole claim.
        let next = self.next.into_inner();
        next.unwrap_or_else(PoisonError::into_inner)
            .map(|claimed| *claimed)
    }

    fn locked(&self) -> MutexGuard<'_, Option<Box<Claimed>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coordinator {
    /// Commits a batch that ends a task, and asks for the next one in the same commit where the agent may
    /// go on.
    pub(crate) async fn commit_and_follow(&self, job: &Job<'_>, batch: Batch) -> Result<()> {
        let next = self
            .may_go_on(job)
            .then(|| self.claim_for(job.plan, &job.agent));
        let committed = self.commit_as_worker(batch.then_claim(next)).await?;
        *job.follow.locked() = committed.claimed;
        Ok(())
    }

    /// Whether the worker of a task goes on with the next one. It gives its place up when all places are
    /// taken, so that others which wait for one get it.
    fn may_go_on(&self, job: &Job<'_>) -> bool {
        job.follow.is_driven
            && !job.stop.is_cancelled()
            && !job.at_work.hand.is_told()
            && !self.closing().is_cancelled()
            && self.slots.available_permits() > 0
    }

    /// Gives a task back that was claimed and can't be begun.
    pub(crate) async fn give_back_claimed(&self, claimed: &Claimed, why: &str) -> Result<()> {
        let task = &claimed.task;
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        let decision = task.take_back(None, why, self.moment())?;
        self.commit(Batch::release(fence, decision)).await
    }
}

impl Plan {
    /// Whether more can come of the end of a task than the next one of the same agent: its driver looks then.
    pub(crate) fn has_others(&self) -> bool {
        self.workspaces.len() > 1 || self.has_calls || !self.asking.is_empty()
    }
}
