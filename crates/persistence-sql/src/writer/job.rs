//! A job of the writer: what a caller wants, and what came of it.

use std::sync::Arc;

use fusion_core::{AgentId, Change, Decision, NewEvent, NewOutboxEntry};
use fusion_persistence::{
    Batch, Claim, Claimed, Committed, Lease, Listeners, PoolAnswer, PoolClaim, Prune, Result,
};
use tokio::sync::oneshot;

use crate::nodes::{NodeDone, NodeWork};

/// What a caller wants, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Job {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<Done>>,
}

#[derive(Debug)]
pub(super) enum Work {
    Commit(Arc<Batch>),
    Claim(Box<Claim>),
    Take(Box<PoolClaim>),
    Extend(Lease),
    Node(NodeWork),
    Prune(Prune),
}

impl Work {
    /// The agent of a claim.
    pub(super) fn claimant(&self) -> Option<AgentId> {
        match self {
            Self::Claim(claim) => Some(claim.agent),
            Self::Take(claim) => Some(claim.agent),
            Self::Commit(_) | Self::Extend(_) | Self::Node(_) | Self::Prune(_) => None,
        }
    }
}

impl Work {
    /// Whether nothing of it is written, whatever comes of it.
    pub(super) fn is_tried(&self) -> bool {
        matches!(self, Self::Commit(batch) if batch.dry_run)
    }
}

#[derive(Debug)]
pub(super) enum Done {
    Committed(Committed),
    Claimed(Option<Box<Claimed>>),
    Taken(PoolAnswer),
    Count(u64),
    Node(NodeDone),
}

/// A job whose rows are written in the open transaction.
pub(super) struct Written {
    pub(super) job: Job,
    pub(super) done: Done,
    /// What is told beside the events in the job: a claim, deliveries that ended.
    pub(super) told: Vec<NewEvent>,
}

impl Written {
    fn decision(&self) -> Option<&Decision> {
        match &self.job.work {
            Work::Commit(batch) => Some(&batch.decision),
            Work::Claim(_) | Work::Take(_) | Work::Extend(_) | Work::Node(_) | Work::Prune(_) => {
                None
            }
        }
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &NewEvent> {
        let own = self.decision().map_or(&[][..], |decision| &decision.events);
        own.iter().chain(&self.told)
    }

    /// What is asked for once the jobs of the transaction are counted.
    pub(super) fn then(&self) -> Option<&Claim> {
        match &self.job.work {
            Work::Commit(batch) => batch.then.as_deref(),
            Work::Claim(_) | Work::Take(_) | Work::Extend(_) | Work::Node(_) | Work::Prune(_) => {
                None
            }
        }
    }

    /// The same job with the task that it was given.
    pub(super) fn give(&mut self, given: Option<(Claimed, NewEvent)>) {
        if let (Done::Committed(committed), Some((claimed, told))) = (&mut self.done, given) {
            committed.claimed = Some(Box::new(claimed));
            self.told.push(told);
        }
    }

    /// Who is thought to listen in a run.
    pub(super) fn listeners(&self) -> Option<&Listeners> {
        match &self.job.work {
            Work::Commit(batch) => batch.listeners.as_ref(),
            Work::Claim(_) | Work::Take(_) | Work::Extend(_) | Work::Node(_) | Work::Prune(_) => {
                None
            }
        }
    }

    /// Whether nothing was written: a claim that found nothing, for example.
    pub(super) fn is_nothing(&self) -> bool {
        match &self.done {
            Done::Claimed(claimed) => claimed.is_none(),
            Done::Taken(answer) => matches!(answer, PoolAnswer::Nothing | PoolAnswer::Unfit),
            Done::Count(count) => *count == 0,
            Done::Node(done) => done.is_nothing(),
            Done::Committed(_) => false,
        }
    }

    pub(super) fn changes(&self) -> &[Change] {
        self.decision()
            .map_or(&[], |decision| decision.changes.as_slice())
    }

    pub(super) fn outbox(&self) -> &[NewOutboxEntry] {
        self.decision()
            .map_or(&[], |decision| decision.outbox.as_slice())
    }
}
