//! What a host does where several share the work: takes its share of the runs, and looks after the
//! others.

use std::time::Duration;

use fusion_core::{Load, RunId, error_chain};
use fusion_messaging::Subscription;
use fusion_persistence::{RunFence, Wanted};
use tokio::time::{Instant, sleep_until};

use super::{Share, watch::Watch};
use crate::host::Fleet;
use crate::{Coordinator, Result};

/// The wait before a further look while there is more to take than one's share.
const SOON: Duration = Duration::from_millis(250);

/// What is to be done about runs and nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeCall {
    /// A part of what was heard of can be taken.
    Take,
    /// It is time to look at the others.
    Look,
    /// What is under way in a node that drains had its time.
    Cut,
}

/// What a node listens to beside what every host does.
#[derive(Debug)]
pub(crate) struct NodeEars {
    drain: Subscription,
    look_at: Instant,
}

/// What is known of the others from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    pub(crate) share: Share,
    watch: Watch,
    is_draining: bool,
    /// When what is under way is cut off then.
    cut_at: Option<Instant>,
}

impl NodeEars {
    /// Listens where this process is a node.
    pub(crate) async fn new(coordinator: &Coordinator) -> Result<Option<Self>> {
        if coordinator.options.node.is_none() {
            return Ok(None);
        }
        let drain = format!("node.{}.drain", coordinator.node);
        Ok(Some(Self {
            drain: coordinator.listen(&drain).await?,
            look_at: Instant::now(),
        }))
    }

    /// The next call; never, where this process is no node.
    pub(crate) async fn next(ears: &mut Option<Self>, neighbours: &Neighbours) -> NodeCall {
        let Some(ears) = ears else {
            return std::future::pending().await;
        };
        let (take_at, cut_at) = (neighbours.share.take_at(), neighbours.cut_at);
        let call = tokio::select! {
            biased;
            () = sleep_until(take_at.unwrap_or(ears.look_at)), if take_at.is_some() => NodeCall::Take,
            () = sleep_until(cut_at.unwrap_or(ears.look_at)), if cut_at.is_some() => NodeCall::Cut,
            Some(_) = ears.drain.recv() => NodeCall::Look,
            () = sleep_until(ears.look_at) => NodeCall::Look,
        };
        // A look that fails is tried again then.
        ears.look_at = ears.look_at.max(Instant::now() + SOON);
        call
    }

    pub(crate) fn look_in(&mut self, wait: Duration) {
        self.look_at = Instant::now() + wait;
    }
}

impl Coordinator {
    fn load_of(&self, fleet: &Fleet) -> Load {
        let capacity = self.options.node.as_ref().map_or(0, |node| node.capacity);
        // A run that waits for one below it must not take the place of that.
        let at_work = fleet.size().saturating_sub(self.drivers.waiting());
        Load {
            runs: u32::try_from(at_work).unwrap_or(u32::MAX),
            capacity,
        }
    }

    fn takes_runs(&self, fleet: &Fleet) -> bool {
        self.is_worker() && !fleet.neighbours.is_draining
    }

    /// A run is said to be free.
    pub(crate) async fn hear_of(&self, fleet: &mut Fleet, run: RunId) -> Result<()> {
        if fleet.drives(run) || !self.takes_runs(fleet) {
            return Ok(());
        }
        if self.drivers.is_wanted(run) {
            // A person said here how it goes on.
            let taken = self.take_runs(Wanted::This(run)).await?;
            self.launch_drivers(fleet, taken);
            return Ok(());
        }
        let own = self.load_of(fleet);
        fleet.neighbours.share.hear(run, own, self.node);
        Ok(())
    }

    /// Does what a node has to do beside its runs.
    pub(crate) async fn answer_node(
        &self,
        call: NodeCall,
        fleet: &mut Fleet,
        ears: &mut Option<NodeEars>,
    ) -> Result<()> {
        match call {
            NodeCall::Take => {
                let own = self.load_of(fleet);
                let part = fleet.neighbours.share.part(own);
                let taken = self.take_runs(Wanted::These(part)).await?;
                self.launch_drivers(fleet, taken);
                Ok(())
            }
            NodeCall::Cut => {
                fleet.neighbours.cut_at = None;
                fleet.cut_off();
                Ok(())
            }
            NodeCall::Look => {
                let wait = self.look_around(fleet).await?;
                if let Some(ears) = ears {
                    ears.look_in(wait);
                }
                Ok(())
            }
        }
    }

    /// Takes what dead nodes left. Says when to look again.
    async fn look_around(&self, fleet: &mut Fleet) -> Result<Duration> {
        let found = self.look_at_nodes(&mut fleet.neighbours.watch).await?;
        fleet.neighbours.share.remember(found.others);
        if found.is_to_drain && !fleet.neighbours.is_draining {
            fleet.neighbours.is_draining = true;
            fleet.neighbours.cut_at = Some(Instant::now() + self.options.drain);
            self.stop_soon();
        }
        let mut left = found.free_runs;
        if left > 0 && self.takes_runs(fleet) {
            let own = self.load_of(fleet);
            let part = fleet.neighbours.share.part_of(left, own);
            let taken = match part {
                0 => Vec::new(),
                part => self.take_runs(Wanted::Free(part)).await?,
            };
            left = left.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
            let has_room = part > 0;
            self.launch_drivers(fleet, taken);
            if left > 0 && has_room {
                return Ok(found.again_in.min(SOON));
            }
        }
        Ok(found.again_in)
    }

    fn launch_drivers(&self, fleet: &mut Fleet, taken: Vec<RunFence>) {
        for fence in taken {
            self.launch_driver(fleet, fence.run, Some(fence));
        }
    }

    /// A driver ended: its run goes back, to rest where it could not go on.
    pub(crate) async fn hand_back(&self, fence: RunFence, rest: Option<Duration>) {
        self.part.driving.end(fence);
        let given_up = match rest {
            Some(rest) => self.give_up_run(fence, rest).await,
            None => Ok(()),
        };
        if let Err(error) = given_up {
            let error = error_chain(&error);
            tracing::warn!(run.id = %fence.run, error, "a run could not be given up: its lease runs out");
        }
    }
}
