//! The workers of this process, by the agent that they work for: how they are told to stop, and how
//! somebody waits until they have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fusion_core::{AgentId, PauseAt};
use tokio_util::sync::CancellationToken;

/// Everybody at work in this process. An agent works on one task at a time, so it has one worker.
#[derive(Debug, Default)]
pub(crate) struct Crew(Mutex<BTreeMap<AgentId, Hand>>);

/// The signals of one worker.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hand {
    /// Cuts off what is under way.
    pub(crate) now: CancellationToken,
    /// Begins nothing further.
    pub(crate) next_step: CancellationToken,
    /// The worker is done: nothing of it runs any more.
    gone: CancellationToken,
}

/// The place of a worker in the crew. Dropping it says that the worker is done.
#[derive(Debug)]
pub(crate) struct AtWork {
    crew: Arc<Crew>,
    agent: AgentId,
    pub(crate) hand: Hand,
}

impl Crew {
    /// A worker begins.
    pub(crate) fn enter(self: &Arc<Self>, agent: AgentId) -> AtWork {
        let hand = Hand::default();
        self.locked().insert(agent, hand.clone());
        AtWork {
            crew: Arc::clone(self),
            agent,
            hand,
        }
    }

    /// Tells the worker of an agent to stop, when there is one.
    pub(crate) fn stop(&self, agent: AgentId, at: PauseAt) {
        if let Some(hand) = self.locked().get(&agent) {
            match at {
                PauseAt::Now => hand.now.cancel(),
                PauseAt::NextStep => hand.next_step.cancel(),
            }
        }
    }

    /// Waits until the worker of an agent is done, when there is one.
    pub(crate) async fn gone(&self, agent: AgentId) {
        let hand = self.locked().get(&agent).cloned();
        if let Some(hand) = hand {
            hand.gone.cancelled().await;
        }
    }

    /// Whether an agent has a worker.
    pub(crate) fn has(&self, agent: AgentId) -> bool {
        self.locked().contains_key(&agent)
    }

    /// The agents that have a worker.
    pub(crate) fn agents(&self) -> Vec<AgentId> {
        self.locked().keys().copied().collect()
    }

    /// Every change under the lock is one step, so a poisoned one holds a whole map.
    fn locked(&self) -> MutexGuard<'_, BTreeMap<AgentId, Hand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.crew.locked().remove(&self.agent);
        self.hand.gone.cancel();
    }
}

/// Agents that an operation of this process is about to make or to end.
#[derive(Debug, Default)]
pub(crate) struct InHand(Mutex<BTreeSet<AgentId>>);

/// Agents in hand, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    in_hand: Arc<InHand>,
    agents: Vec<AgentId>,
}

impl InHand {
    /// Takes agents in hand, all or none: none when another operation has one of them.
    pub(crate) fn take(self: &Arc<Self>, agents: Vec<AgentId>) -> Option<Taken> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.iter().any(|agent| taken.contains(agent)) {
            return None;
        }
        taken.extend(agents.iter().copied());
        Some(Taken {
            in_hand: Arc::clone(self),
            agents,
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut taken = self
            .in_hand
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for agent in &self.agents {
            taken.remove(agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fusion_core::{AgentId, PauseAt};
    use uuid::Uuid;

    use super::Crew;

    #[tokio::test]
    async fn who_waits_for_a_worker_waits_until_it_is_gone() {
        let crew = Arc::<Crew>::default();
        let agent = AgentId::from_uuid(Uuid::from_u128(1));
        let at_work = crew.enter(agent);
        crew.stop(agent, PauseAt::NextStep);
        assert!(at_work.hand.next_step.is_cancelled() && !at_work.hand.now.is_cancelled());
        let mut waiting = Box::pin(crew.gone(agent));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(at_work);
        waiting.await;
        assert_eq!(crew.agents(), []);
    }
}
