//! Handing out: ready tasks of a driven run to its free agents.

use std::sync::Arc;

use fusion_core::{Agent, EventType, NewEvent, RunId, Seat, error_chain};
use fusion_persistence::{Claim, Claimed, RunFence};
use futures::future::join_all;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::{Drive, Found};
use crate::follow::Follow;
use crate::plan::Plan;
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
            let claim = |agent| {
                self.parts
                    .store
                    .claim_task(self.claim_for(&drive.plan, agent))
            };
            let claims = asking.iter().map(|(agent, _)| claim(agent));
            let claims = join_all(claims).await;
            let mut failed = None;
            for ((_, place), claimed) in asking.into_iter().zip(claims) {
                match claimed {
                    Ok(Some(claimed)) => {
                        left -= 1;
                        has_begun = true;
                        self.set_to_work((claimed, place), drive);
                    }
                    Ok(None) => {}
                    Err(error) => failed = failed.or(Some(error.into())),
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

    /// Asks for the first ready task that fits an agent.
    pub(crate) fn claim_for(&self, plan: &Plan, agent: &Agent) -> Claim {
        Claim {
            capability_sets: plan.sets_of(agent),
            ..self.claim_own((plan.run.id, plan.driver), agent)
        }
    }

    /// Asks for the first ready task that is an agent's own.
    fn claim_own(&self, (run, driver): (RunId, Option<RunFence>), agent: &Agent) -> Claim {
        let id = agent.id;
        let told = format!("assigned to {}", agent.name);
        Claim {
            agent: id,
            run,
            capability_sets: Vec::new(),
            lease: self.lease(),
            driver,
            event: NewEvent::of_run(self.moment(), EventType::TaskAssigned, run, told).by(Some(id)),
        }
    }

    /// Asks for the first task of a run that is about to be launched, when there is a place for the agent
    /// whose own it is.
    pub(super) fn first_claim(
        &self,
        driver: Option<RunFence>,
        found: &Found,
    ) -> Option<(Claim, OwnedSemaphorePermit)> {
        let definition = &found.workflow.definition;
        let first = definition.steps.iter().find(|step| step.needs.is_empty())?;
        let Seat::Agent(name) = definition.seat(first) else {
            return None;
        };
        let mut agents = found.agents.iter().map(|(agent, _)| agent);
        let agent = agents.find(|agent| agent.name == name)?;
        let place = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        Some((self.claim_own((found.run.id, driver), agent), place))
    }

    /// Lets a worker of its own do what an agent has claimed, and what it is given with each end.
    pub(super) fn set_to_work(
        &self,
        (claimed, place): (Claimed, OwnedSemaphorePermit),
        drive: &mut Drive<'_>,
    ) {
        let id = claimed.agent.id;
        let (coordinator, plan) = (self.clone(), Arc::clone(&drive.plan));
        let (stop, ends) = (drive.stop.clone(), Arc::clone(&drive.ends));
        drive.hands.began(id);
        drive.workers.spawn(async move {
            let worked = coordinator.work_on(&plan, claimed, &stop, &ends).await;
            drop(place);
            (id, worked)
        });
    }

    async fn work_on(
        &self,
        plan: &Plan,
        first: Claimed,
        stop: &CancellationToken,
        ends: &Notify,
    ) -> Result<()> {
        let mut next = Some(first);
        while let Some(claimed) = next {
            let follow = Follow::in_run();
            let worked = Box::pin(self.work(plan, claimed, stop, &follow)).await;
            next = follow.into_next();
            if let (Err(error), Some(claimed)) = (&worked, &next) {
                let why = error_chain(error);
                self.give_back_claimed(claimed, &why).await?;
            }
            worked?;
            if next.is_some() && plan.has_others() {
                ends.notify_one();
            }
        }
        Ok(())
    }
}
