//! Which standing agents wait for work, as far as this process knows. A hint: the store decides.

use std::collections::{BTreeMap, BTreeSet};

use fusion_core::{AgentId, CapabilitySet};

/// Agents that wait, by what they can do; who waits longest comes first.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// What each can do, and its place among its like.
    agents: BTreeMap<AgentId, (CapabilitySet, u64)>,
    by_set: BTreeMap<CapabilitySet, BTreeMap<u64, AgentId>>,
    /// The next place.
    next: u64,
}

impl Idle {
    /// An agent waits for work.
    pub(super) fn put(&mut self, agent: AgentId, can: CapabilitySet) {
        self.remove(agent);
        let place = self.next;
        self.next = self.next.saturating_add(1);
        let alike = self.by_set.entry(can.clone()).or_default();
        alike.insert(place, agent);
        self.agents.insert(agent, (can, place));
    }

    /// An agent does not wait; says what it can do when it did.
    pub(super) fn remove(&mut self, agent: AgentId) -> Option<CapabilitySet> {
        let (can, place) = self.agents.remove(&agent)?;
        if let Some(alike) = self.by_set.get_mut(&can) {
            alike.remove(&place);
            if alike.is_empty() {
                self.by_set.remove(&can);
            }
        }
        Some(can)
    }

    /// The one that waits longest of those that can do exactly this.
    pub(super) fn first(&self, can: &CapabilitySet) -> Option<AgentId> {
        self.by_set.get(can)?.values().next().copied()
    }

    /// What those who wait can do, each set once.
    pub(super) fn sets(&self) -> Vec<CapabilitySet> {
        self.by_set.keys().cloned().collect()
    }

    /// What an agent that waits can do.
    pub(super) fn get(&self, agent: AgentId) -> Option<&CapabilitySet> {
        self.agents.get(&agent).map(|(can, _)| can)
    }

    /// Only these wait.
    pub(super) fn keep(&mut self, known: &BTreeSet<AgentId>) {
        let gone: Vec<AgentId> = self
            .agents
            .keys()
            .filter(|agent| !known.contains(agent))
            .copied()
            .collect();
        for agent in gone {
            self.remove(agent);
        }
    }
}

#[cfg(test)]
mod tests {
    use fusion_core::{AgentId, CapabilitySet};
    use uuid::Uuid;

    use super::Idle;

    fn agent(number: u128) -> AgentId {
        AgentId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn who_waits_longest_comes_first_among_its_like() {
        let (x, y) = (
            CapabilitySet::from_iter(["x"]),
            CapabilitySet::from_iter(["y"]),
        );
        let mut idle = Idle::default();
        idle.put(agent(2), x.clone());
        idle.put(agent(1), x.clone());
        idle.put(agent(3), y.clone());
        assert_eq!(idle.first(&x), Some(agent(2)));
        idle.put(agent(2), x.clone());
        assert_eq!(idle.first(&x), Some(agent(1)));
        assert_eq!(idle.remove(agent(1)), Some(x.clone()));
        assert_eq!(idle.remove(agent(1)), None);
        assert_eq!(idle.sets(), [x.clone(), y.clone()]);
        idle.keep(&[agent(3)].into());
        assert_eq!((idle.first(&x), idle.first(&y)), (None, Some(agent(3))));
        assert_eq!(idle.sets(), [y]);
    }
}
