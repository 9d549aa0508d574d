//! Handing out: ready tasks of a driven run to its free agents.

use std::sync::Arc;

use fusion_core::{Agent, AgentId, EventType, NewEvent};
use fusion_persistence::{Claim, Claimed};
use futures::future::join_all;
use tokio::sync::OwnedSemaphorePermit;

use super::Drive;
use crate::{Coordinator, Result};

impl Drive<'_> {
    /// Those of the agents that get a place.
    fn with_places(
        &mut self,
        agents: impl Iterator<Item = Agent>,
    ) -> Vec<(Agent, OwnedSemaphorePermit)> {
        let mut placed = Vec::new();
        for agent in agents {
            match self.places.take(self.slots) {
                Some(place) => placed.push((agent, place)),
                None => break,
            }
        }
        placed
    }
}

impl Coordinator {
    /// One claim for each free agent, while there is a place and a task: of these no more than `at_most`
    /// are there. What an agent can do is looked up again when somebody may have changed it, and when
    /// none took anything.
    pub(super) async fn hand_out(&self, drive: &mut Drive<'_>, at_most: Option<u32>) -> Result<()> {
        let mut is_fresh = drive.hands.is_stale();
        if is_fresh {
            self.look_at_hands(drive).await?;
        }
        loop {
            let has_begun = self.ask_all(drive, at_most).await?;
            if is_fresh || has_begun || drive.places.is_wanted() || drive.stop.is_cancelled() {
                return Ok(());
            }
            self.look_at_hands(drive).await?;
            is_fresh = true;
        }
    }

    /// Claims for the free agents, side by side: the store does them in one transaction. Says whether one
    /// found a task.
    async fn ask_all(&self, drive: &mut Drive<'_>, at_most: Option<u32>) -> Result<bool> {
        let mut free = drive.hands.free().into_iter();
        let mut left = at_most.map_or(usize::MAX, |most| most as usize);
        let mut has_begun = false;
        loop {
            let asking = drive.with_places(free.by_ref().take(left));
            if asking.is_empty() || drive.stop.is_cancelled() {
                return Ok(has_begun);
            }
            let claims = asking.iter().map(|(agent, _)| self.claim_for(agent, drive));
            let claims = join_all(claims).await;
            let mut failed = None;
            for ((agent, place), claimed) in asking.into_iter().zip(claims) {
                match claimed {
                    Ok(Some(claimed)) => {
                        left -= 1;
                        has_begun = true;
                        self.set_to_work(agent.id, claimed, place, drive);
                    }
                    Ok(None) => {}
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            // What others claimed meanwhile is theirs to end.
            if let Some(error) = failed {
                return Err(error);
            }
        }
    }

    async fn look_at_hands(&self, drive: &mut Drive<'_>) -> Result<()> {
        let agents = self.parts.store.agents_of_run(drive.plan.run.id).await?;
        drive.hands.renew(&agents);
        drive.alarms.is_held = drive.hands.are_held();
        Ok(())
    }

    /// Leases the first task that fits an agent, where there is one.
    async fn claim_for(&self, agent: &Agent, drive: &Drive<'_>) -> Result<Option<Claimed>> {
        let (id, run) = (agent.id, drive.plan.run.id);
        let told = format!("assigned to {}", agent.name);
        let claim = Claim {
            agent: id,
            run,
            capability_sets: drive.plan.sets_of(agent),
            lease: self.lease(),
            driver: drive.plan.driver,
            event: NewEvent::of_run(self.moment(), EventType::TaskAssigned, run, told).by(Some(id)),
        };
        Ok(self.parts.store.claim_task(claim).await?)
    }

    /// Lets a worker of its own do what an agent has claimed.
    fn set_to_work(
        &self,
        id: AgentId,
        claimed: Claimed,
        place: OwnedSemaphorePermit,
        drive: &mut Drive<'_>,
    ) {
        let (coordinator, plan) = (self.clone(), Arc::clone(&drive.plan));
        let stop = drive.stop.clone();
        drive.hands.began(id);
        drive.workers.spawn(async move {
            let worked = Box::pin(coordinator.work(&plan, claimed, &stop)).await;
            drop(place);
            (id, worked)
        });
    }
}
