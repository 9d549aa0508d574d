//! What nodes ask of the writer.

use fusion_persistence::{Kept, Lease, NodeChange, Result, RunFence, TakeRuns};

use super::job::{Done, Work};
use super::{Writer, mixed_up};
use crate::nodes::{NodeDone, NodeWork};

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
