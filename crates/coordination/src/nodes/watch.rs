//! The look that a node takes at the others once a second: who is dead, and what is left.

use std::collections::BTreeSet;
use std::time::Duration;

use fusion_core::{Load, NodeId, NodeState};
use fusion_persistence::{NodeChange, NodeSeen, Outlook};
use tokio::time::Instant;

use super::share::others_among;
use crate::{Coordinator, Result};

/// The time between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// The wait before the second look at a node that shows no sign of life: it may just be connecting
/// again.
const SECOND_LOOK: Duration = Duration::from_millis(250);

/// A database that began so lately is not asked who is dead, and a node that did is not judged: it
/// could not show that it lives.
const SETTLED: Duration = Duration::from_secs(5);

/// What is known from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Nodes that showed no sign of life at the last look.
    suspects: BTreeSet<NodeId>,
    /// When to look also at what sweeps would find; at once without it.
    due_at: Option<Instant>,
}

/// What a look found.
#[derive(Debug)]
pub(super) struct Found {
    /// The other nodes that take runs.
    pub(super) others: Vec<Load>,
    /// Runs that nobody drives.
    pub(super) free_runs: u32,
    /// This node was told to drain.
    pub(super) is_to_drain: bool,
    /// When to look again.
    pub(super) again_in: Duration,
}

impl Watch {
    /// When to look again.
    fn next_in(&self) -> Duration {
        if self.suspects.is_empty() {
            PERIOD
        } else {
            SECOND_LOOK
        }
    }

    /// The nodes that are dead: they showed no sign of life twice in a row.
    fn dead(&mut self, own: NodeId, outlook: &Outlook) -> Vec<NodeId> {
        if outlook.up_for < SETTLED {
            self.suspects.clear();
            return Vec::new();
        }
        let lifeless = |seen: &&NodeSeen| {
            seen.shows_life == Some(false) && seen.node.id != own && age(seen) >= SETTLED
        };
        let lifeless: BTreeSet<NodeId> = outlook
            .nodes
            .iter()
            .filter(lifeless)
            .map(|seen| seen.node.id)
            .collect();
        let dead: Vec<NodeId> = self.suspects.intersection(&lifeless).copied().collect();
        self.suspects = lifeless;
        for node in &dead {
            self.suspects.remove(node);
        }
        dead
    }
}

/// For how long a node has been there: one that just began may not show life yet.
fn age(seen: &NodeSeen) -> Duration {
    let kept = seen.node.last_seen - seen.node.started_at;
    kept.to_std().unwrap_or_default() + seen.silent_for
}

impl Coordinator {
    /// Looks at the nodes: ends the leases of those that are found dead, and gives lost tasks back to
    /// their runs.
    pub(super) async fn look_at_nodes(&self, watch: &mut Watch) -> Result<Found> {
        let with_due = watch.due_at.is_none_or(|at| at <= Instant::now());
        let mut outlook = self.parts.store.outlook(with_due).await?;
        if let Some(due) = outlook.due {
            self.tell_due(due);
            // With the look that is next to a heartbeat later.
            watch.due_at = Some(Instant::now() + self.options.heartbeat.saturating_sub(PERIOD / 2));
        }
        let dead = watch.dead(self.node, &outlook);
        if !dead.is_empty() {
            self.bury(&dead).await?;
            outlook = self.parts.store.outlook(false).await?;
        }
        let is_settled = outlook.up_for >= SETTLED;
        if outlook.has_lost_tasks && is_settled {
            self.recover().await?;
        }
        let own = outlook.nodes.iter().find(|seen| seen.node.id == self.node);
        Ok(Found {
            others: others_among(&outlook.nodes, self.node, self.options.lease),
            free_runs: if is_settled { outlook.free_runs } else { 0 },
            is_to_drain: own.is_some_and(|seen| seen.node.state == NodeState::Draining),
            again_in: watch.next_in(),
        })
    }

    /// Ends the leases of nodes that are dead.
    async fn bury(&self, dead: &[NodeId]) -> Result<()> {
        for node in dead {
            let ended = self.parts.store.change_node(NodeChange::Expire(*node));
            if ended.await? > 0 {
                tracing::warn!(node.id = %node, "a node died; its work goes on elsewhere");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use fusion_core::{Node, NodeId, NodeState, Timestamp};
    use fusion_persistence::{NodeSeen, Outlook};
    use uuid::Uuid;

    use super::{PERIOD, SECOND_LOOK, SETTLED, Watch};

    fn id(number: u128) -> NodeId {
        NodeId::from_uuid(Uuid::from_u128(number))
    }

    fn seen(number: u128, shows_life: Option<bool>) -> NodeSeen {
        NodeSeen {
            node: Node {
                id: id(number),
                epoch: 1,
                name: String::new(),
                version: String::new(),
                roles: BTreeSet::new(),
                capacity: 1,
                state: NodeState::Up,
                started_at: Timestamp::UNIX_EPOCH,
                last_seen: Timestamp::UNIX_EPOCH,
            },
            runs: 0,
            tasks: 0,
            silent_for: SETTLED,
            shows_life,
        }
    }

    fn outlook(up_for: Duration, nodes: Vec<NodeSeen>) -> Outlook {
        Outlook {
            nodes,
            free_runs: 0,
            has_lost_tasks: false,
            up_for,
            due: None,
        }
    }

    #[test]
    fn a_node_without_a_sign_of_life_is_dead_at_the_second_look() {
        let mut watch = Watch::default();
        let all = vec![
            seen(1, Some(false)),
            seen(2, Some(false)),
            seen(3, Some(true)),
            seen(4, None),
        ];
        let look = outlook(SETTLED, all);
        assert_eq!(watch.dead(id(1), &look), []);
        assert_eq!(watch.next_in(), SECOND_LOOK);
        assert_eq!(watch.dead(id(1), &look), [id(2)]);
        assert_eq!(watch.next_in(), PERIOD);
    }

    #[test]
    fn a_node_that_just_began_is_not_judged() {
        let mut watch = Watch::default();
        let mut young = seen(2, Some(false));
        young.silent_for = Duration::from_secs(1);
        let look = outlook(SETTLED, vec![young]);
        assert_eq!(watch.dead(id(1), &look), []);
        assert_eq!(watch.dead(id(1), &look), []);
    }

    #[test]
    fn a_node_that_connects_again_and_one_whose_database_just_began_are_alive() {
        let mut watch = Watch::default();
        let gone = outlook(SETTLED, vec![seen(2, Some(false))]);
        assert_eq!(watch.dead(id(1), &gone), []);
        assert_eq!(
            watch.dead(id(1), &outlook(SETTLED, vec![seen(2, Some(true))])),
            []
        );
        assert_eq!(watch.dead(id(1), &gone), []);
        let fresh = outlook(Duration::ZERO, vec![seen(2, Some(false))]);
        assert_eq!(watch.dead(id(1), &fresh), []);
        assert_eq!(watch.dead(id(1), &gone), []);
    }
}
