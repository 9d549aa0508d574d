//! Which runs this process takes: its share of what is free, as it hears of it.

use std::collections::BTreeMap;
use std::time::Duration;

use fusion_core::{Load, NodeId, RunId};
use fusion_persistence::NodeSeen;
use tokio::time::Instant;

/// The head start of a node that has less to do.
const HEAD_START: Duration = Duration::from_millis(30);

/// The runs that were heard of, and how much the others have to do.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// In an order of this node's own: several that take a part each begin at different places.
    heard: BTreeMap<u128, RunId>,
    take_at: Option<Instant>,
    /// Other nodes that take runs, as they were last seen.
    others: Vec<Load>,
}

impl Share {
    /// When to take some of what was heard of.
    pub(crate) const fn take_at(&self) -> Option<Instant> {
        self.take_at
    }

    /// A run seems to be free.
    pub(crate) fn hear(&mut self, run: RunId, own: Load, node: NodeId) {
        let place = mixed(run.uuid().as_u128() ^ node.uuid().as_u128());
        self.heard.insert(place, run);
        if self.take_at.is_none() {
            self.take_at = Some(Instant::now() + self.wait(own));
        }
    }

    /// What to take now of what was heard of.
    pub(crate) fn part(&mut self, own: Load) -> Vec<RunId> {
        let room = usize::try_from(own.capacity.saturating_sub(own.runs)).unwrap_or(usize::MAX);
        if room == 0 {
            // Who has room hears of them too; what nobody takes is found at the next look.
            self.heard.clear();
        }
        let part = self.heard.len().div_ceil(self.others.len() + 1).min(room);
        let mut taken = Vec::with_capacity(part);
        while taken.len() < part
            && let Some((_, run)) = self.heard.pop_first()
        {
            taken.push(run);
        }
        self.take_at = (!self.heard.is_empty()).then(|| Instant::now() + HEAD_START);
        taken
    }

    /// How many of so many free runs to take, of which all hear at about the same time.
    pub(crate) fn part_of(&self, free: u32, own: Load) -> u32 {
        let nodes = u32::try_from(self.others.len()).unwrap_or(u32::MAX);
        let room = own.capacity.saturating_sub(own.runs);
        free.div_ceil(nodes.saturating_add(1)).min(room)
    }

    pub(crate) fn remember(&mut self, others: Vec<Load>) {
        self.others = others;
    }

    /// Who has less to do goes first.
    fn wait(&self, own: Load) -> Duration {
        if self.others.iter().all(|other| !other.is_less_than(own)) {
            Duration::ZERO
        } else {
            HEAD_START
        }
    }
}

/// Ids that were made one after the other differ little: spreads them.
const fn mixed(number: u128) -> u128 {
    number
        .wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        .rotate_left(64)
}

/// The other nodes that take runs and are heard of.
pub(super) fn others_among(nodes: &[NodeSeen], own: NodeId, lease: Duration) -> Vec<Load> {
    let others = nodes.iter().filter(|seen| {
        seen.node.id != own
            && seen.node.takes_runs()
            && seen.silent_for < lease
            && seen.shows_life != Some(false)
    });
    let load = |seen: &NodeSeen| Load {
        runs: seen.runs,
        capacity: seen.node.capacity,
    };
    others.map(load).collect()
}

#[cfg(test)]
mod tests {
    use fusion_core::{Load, NodeId, RunId};
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::{HEAD_START, Share};

    const fn load(runs: u32, capacity: u32) -> Load {
        Load { runs, capacity }
    }

    fn heard(share: &mut Share, own: Load, node: u128) {
        for number in 0..10 {
            let run = RunId::from_uuid(Uuid::from_u128(number));
            share.hear(run, own, NodeId::from_uuid(Uuid::from_u128(node)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_least_to_do_goes_first() {
        let mut idle = Share::default();
        idle.remember(vec![load(3, 10)]);
        heard(&mut idle, load(0, 10), 1);
        assert_eq!(idle.take_at(), Some(Instant::now()));
        let mut busy = Share::default();
        busy.remember(vec![load(0, 10)]);
        heard(&mut busy, load(3, 10), 1);
        assert_eq!(busy.take_at(), Some(Instant::now() + HEAD_START));
    }

    #[tokio::test(start_paused = true)]
    async fn each_takes_its_part_then_leaves_the_others_time() {
        let mut one = Share::default();
        one.remember(vec![load(0, 10)]);
        heard(&mut one, load(0, 10), 1);
        let first = one.part(load(0, 10));
        assert_eq!(first.len(), 5);
        assert_eq!(one.take_at(), Some(Instant::now() + HEAD_START));
        let rest: Vec<RunId> = std::iter::repeat_with(|| one.part(load(5, 10)))
            .take(4)
            .flatten()
            .collect();
        assert_eq!((rest.len(), one.take_at()), (5, None));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_room_takes_nothing() {
        let mut full = Share::default();
        heard(&mut full, load(2, 2), 1);
        assert_eq!((full.part(load(2, 2)), full.take_at()), (Vec::new(), None));
        assert_eq!(full.part_of(5, load(2, 2)), 0);
        assert_eq!(full.part_of(5, load(0, 2)), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn two_nodes_begin_at_different_places() {
        let parts: Vec<Vec<RunId>> = [1, 2]
            .into_iter()
            .map(|node| {
                let mut share = Share::default();
                share.remember(vec![load(0, 100)]);
                heard(&mut share, load(0, 100), node << 64);
                share.part(load(0, 100))
            })
            .collect();
        assert_ne!(parts[0], parts[1]);
    }
}
