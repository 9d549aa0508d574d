//! The leases of this process on runs: taken, kept, lost, given up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusion_core::{Change, Decision, Row, RunId};
use fusion_persistence::{NodeChange, RunFence, TakeRuns, Wanted};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::hold::is_fence_off;
use crate::{Coordinator, Error, Result};

/// The runs that this process drives, and how their drivers are told that they lost them.
#[derive(Debug, Default)]
pub(crate) struct Driving(Mutex<BTreeMap<RunId, (RunFence, CancellationToken)>>);

impl Driving {
    pub(crate) fn begin(&self, fence: RunFence, lost: CancellationToken) {
        self.locked().insert(fence.run, (fence, lost));
    }

    pub(crate) fn end(&self, fence: RunFence) {
        let mut driven = self.locked();
        let held = driven.get(&fence.run).map(|(held, _)| *held);
        if held == Some(fence) {
            driven.remove(&fence.run);
        }
    }

    fn size(&self) -> u64 {
        u64::try_from(self.locked().len()).unwrap_or(u64::MAX)
    }

    /// Stops the drivers of all that are not held any more.
    fn keep_only(&self, held: &[RunFence]) {
        for (fence, lost) in self.locked().values() {
            if !held.contains(fence) && !lost.is_cancelled() {
                tracing::warn!(run.id = %fence.run, "the run was taken over by another process");
                lost.cancel();
            }
        }
    }

    /// Every change under the lock is one step, so a poisoned one holds a whole map.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<RunId, (RunFence, CancellationToken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Coordinator {
    /// Leases a run to this process, where several may drive it; nothing where it owns the store.
    ///
    /// # Errors
    /// Another process drives it, or the store fails.
    pub(crate) async fn take_run(&self, run: RunId) -> Result<Option<RunFence>> {
        if self.options.node.is_none() {
            return Ok(None);
        }
        let taken = self.take_runs(Wanted::This(run)).await?.pop();
        taken.map(Some).ok_or(Error::Elsewhere { run })
    }

    /// Leases runs to this process.
    pub(crate) async fn take_runs(&self, wanted: Wanted) -> Result<Vec<RunFence>> {
        let lease = self.lease();
        let taken = self.parts.store.take_runs(TakeRuns { wanted, lease });
        Ok(taken.await?)
    }

    /// Gives a run up: others may take it once `rest` is over, unless it has ended.
    pub(crate) async fn give_up_run(&self, fence: RunFence, rest: Duration) -> Result<()> {
        let release = NodeChange::Release { fence, rest };
        if self.parts.store.change_node(release).await? > 0 && rest.is_zero() {
            self.hint_free(fence.run);
        }
        Ok(())
    }

    /// Keeps the runs that a decision makes for this process where it drives what it makes; says of the
    /// others that they are free, once they are written.
    pub(crate) fn reserve_runs(&self, decision: &mut Decision) -> Vec<RunId> {
        if self.options.node.is_none() {
            return Vec::new();
        }
        let made: Vec<RunId> = decision.changes.iter().filter_map(made_run).collect();
        if self.part.is_hosting() {
            return made;
        }
        let lease = self.lease();
        for run_id in made {
            decision.changes.push(Change::Reserve {
                run_id,
                owner: lease.owner,
                lease: lease.duration,
            });
        }
        Vec::new()
    }

    /// Prolongs all leases of this process. Its own time counts from the moment at which it asked.
    pub(crate) async fn keep_leases(&self) -> Result<()> {
        let sent = self.parts.clock.elapsed();
        let kept = self.parts.store.keep_node(self.lease()).await?;
        self.part.hold.renew(sent, self.options.lease);
        if is_fence_off() {
            return Ok(());
        }
        if kept.runs < self.part.driving.size() {
            let held = self.parts.store.runs_of_node(self.node).await?;
            self.part.driving.keep_only(&held);
        }
        let at_work = u64::try_from(self.crew.size()).unwrap_or(u64::MAX);
        if kept.tasks < at_work {
            self.stop_lost().await?;
        }
        Ok(())
    }

    /// Nothing else may hold the leases up. Ends when the store fails.
    pub(crate) async fn keep_node(&self) -> Result<()> {
        let period = self.options.heartbeat;
        let mut heartbeat = interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let keeping = async {
            loop {
                self.keep_leases().await?;
                // The store may have been away for longer than the leases last.
                if !self.is_out_of_time() {
                    heartbeat.tick().await;
                }
            }
        };
        tokio::select! {
            kept = keeping => kept,
            () = self.fence_itself() => Ok(()),
        }
    }
}

/// The run that a change makes and that is to be driven.
fn made_run(change: &Change) -> Option<RunId> {
    if let Change::Create(Row::Run(run)) = change {
        return (!run.is_standalone).then_some(run.id);
    }
    None
}
