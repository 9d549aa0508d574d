//! Nodes: processes at work on one store, and how they share what is to be done.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::transition::text_enum;
use crate::{NodeId, Timestamp};

text_enum! {
    /// Whether a node takes work.
    NodeState {
        /// It does what its roles say.
        Up = "up",
        /// It ends what it has begun and takes nothing new.
        Draining = "draining",
        /// It ended, or was found dead.
        Down = "down",
    }
}

text_enum! {
    /// What a node is there for.
    NodeRole {
        /// Answers requests.
        Api = "api",
        /// Drives runs.
        Worker = "worker",
    }
}

/// A process at work on a store, from its start to its end: one that starts again is another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Names the process.
    pub id: NodeId,
    /// Rises with each start of any process on this store.
    pub epoch: u64,
    /// What people call it: the name of its machine, unless it was given one.
    pub name: String,
    /// Which fusion-kit it runs.
    pub version: String,
    /// What it is there for.
    pub roles: BTreeSet<NodeRole>,
    /// Runs that it drives at once.
    pub capacity: u32,
    /// Whether it takes work.
    pub state: NodeState,
    /// When it started, by the clock of the database.
    pub started_at: Timestamp,
    /// When it last kept its leases, by the same clock.
    pub last_seen: Timestamp,
}

impl Node {
    /// Whether it takes runs, as far as its row says.
    #[must_use]
    pub fn takes_runs(&self) -> bool {
        self.state == NodeState::Up && self.roles.contains(&NodeRole::Worker)
    }
}

/// How much one node has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Runs that it drives.
    pub runs: u32,
    /// Runs that it may drive at once.
    pub capacity: u32,
}

impl Load {
    /// Whether more of its capacity is free, as a part of it.
    #[must_use]
    pub fn is_less_than(self, other: Self) -> bool {
        u64::from(self.runs) * u64::from(other.capacity)
            < u64::from(other.runs) * u64::from(self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn loads_are_compared_by_their_part_of_the_capacity() {
        let load = |runs, capacity| Load { runs, capacity };
        assert!(load(1, 10).is_less_than(load(1, 5)));
        assert!(!load(1, 5).is_less_than(load(1, 10)));
        assert!(!load(0, 5).is_less_than(load(0, 10)));
    }
}
