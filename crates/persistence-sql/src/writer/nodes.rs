//! What nodes ask of the writer.

use fusion_persistence::{Kept, Lease, NodeChange, Result, RunFence, TakeRuns};

use super::job::{Done, Job, Work};
use super::{Attempt, Writer, mixed_up, over, tell, why};
use crate::nodes::{NodeDone, NodeWork};
use crate::session::Session;

/// Carries out a heartbeat that nothing else is to be written with, where the database needs no transaction
/// for it. Gives the jobs back that are to be done in one.
pub(super) async fn keep_alone(
    session: &mut impl Session,
    mut group: Vec<Job>,
) -> std::result::Result<Vec<Job>, Attempt> {
    let lease = match group.as_slice() {
        [
            Job {
                work: Work::Node(NodeWork::Keep(lease)),
                ..
            },
        ] => *lease,
        _ => return Ok(group),
    };
    let kept = match session.keep_node(lease).await {
        Ok(Some(kept)) => kept,
        Ok(None) => return Ok(group),
        Err(failure) => return Err(over(group, failure.into())),
    };
    if let Some(job) = group.pop() {
        tell(job, Ok(Done::Node(NodeDone::Kept(kept))));
    }
    Err(Attempt::Over((group, why(mixed_up()))))
}

impl Writer {
    pub(crate) async fn take_runs(&self, take: TakeRuns) -> Result<Vec<RunFence>> {
        match self.node(NodeWork::Take(take)).await? {
            NodeDone::Taken(taken) => Ok(taken),
            NodeDone::Changed(_) | NodeDone::Kept(_) => Err(mixed_up()),
        }
    }

    pub(crate) async fn change_node(&self, change: NodeChange) -> Result<u64> {
        match self.node(NodeWork::Change(Box::new(change))).await? {
            NodeDone::Changed(count) => Ok(count),
            NodeDone::Taken(_) | NodeDone::Kept(_) => Err(mixed_up()),
        }
    }

    pub(crate) async fn keep_node(&self, lease: Lease) -> Result<Kept> {
        match self.node(NodeWork::Keep(lease)).await? {
            NodeDone::Kept(kept) => Ok(kept),
            NodeDone::Taken(_) | NodeDone::Changed(_) => Err(mixed_up()),
        }
    }

    async fn node(&self, work: NodeWork) -> Result<NodeDone> {
        match self.ask(Work::Node(work)).await? {
            Done::Node(done) => Ok(done),
            Done::Committed(_) | Done::Claimed(_) | Done::Taken(_) | Done::Count(_) => {
                Err(mixed_up())
            }
        }
    }
}
