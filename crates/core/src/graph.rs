//! The graph of a workflow: its faults, its order, what a failure reaches.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// Why a set of nodes and edges is not a graph that can run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphFault {
    /// Two nodes have one name.
    #[error("'{0}' is declared twice")]
    Duplicate(String),
    /// An edge names a node that is not there.
    #[error("'{node}' needs '{missing}', which does not exist")]
    Unknown {
        /// The node whose edge it is.
        node: String,
        /// The name that is not there.
        missing: String,
    },
    /// Nodes wait for each other; the first is repeated at the end.
    #[error("these wait for each other: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
}

/// A checked acyclic graph. Nodes are numbered in the order they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskGraph {
    predecessors: Vec<Vec<usize>>,
    successors: Vec<Vec<usize>>,
    order: Vec<usize>,
}

impl TaskGraph {
    /// Checks nodes and, for each, the names of those that must end before it.
    ///
    /// Takes time in proportion to nodes plus edges. A name given twice in one node's
    /// needs counts once.
    ///
    /// # Errors
    /// All duplicates and unknown names; or, where there are none, one cycle, named.
    pub fn new(nodes: &[(&str, Vec<&str>)]) -> Result<Self, Vec<GraphFault>> {
        let mut faults = Vec::new();
        let mut numbers = HashMap::with_capacity(nodes.len());
        for (number, (name, _)) in nodes.iter().enumerate() {
            if numbers.insert(*name, number).is_some() {
                faults.push(GraphFault::Duplicate((*name).to_owned()));
            }
        }
        let mut predecessors = vec![Vec::new(); nodes.len()];
        for ((name, needs), before) in nodes.iter().zip(&mut predecessors) {
            for need in needs.iter().collect::<BTreeSet<_>>() {
                match numbers.get(*need) {
                    Some(number) => before.push(*number),
                    None => faults.push(GraphFault::Unknown {
                        node: (*name).to_owned(),
                        missing: (*need).to_owned(),
                    }),
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let successors = invert(&predecessors);
        let order = topological_order(&predecessors, &successors);
        if order.len() < nodes.len() {
            let cycle = find_cycle(&predecessors, &order);
            let names = cycle.iter().filter_map(|number| nodes.get(*number));
            return Err(vec![GraphFault::Cycle(
                names.map(|(name, _)| (*name).to_owned()).collect(),
            )]);
        }
        Ok(Self {
            predecessors,
            successors,
            order,
        })
    }

    /// The nodes so that each comes after all it needs; ties keep the given order.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// How many nodes must end before this one.
    #[must_use]
    pub fn unmet(&self, node: usize) -> usize {
        self.predecessors.get(node).map_or(0, Vec::len)
    }

    /// Everything that comes after this node, directly or not, nearest first, without itself.
    #[must_use]
    pub fn downstream(&self, node: usize) -> Vec<usize> {
        reach(&self.successors, node)
    }

    /// Everything that comes before this node, directly or not, nearest first, without itself.
    #[must_use]
    pub fn upstream(&self, node: usize) -> Vec<usize> {
        reach(&self.predecessors, node)
    }
}

fn invert(predecessors: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut successors = vec![Vec::new(); predecessors.len()];
    for (node, before) in predecessors.iter().enumerate() {
        for need in before {
            if let Some(after) = successors.get_mut(*need) {
                after.push(node);
            }
        }
    }
    successors
}

/// Kahn's algorithm (Communications of the ACM 5, 1962): shorter than the input when there is a cycle.
fn topological_order(predecessors: &[Vec<usize>], successors: &[Vec<usize>]) -> Vec<usize> {
    let mut unmet: Vec<usize> = predecessors.iter().map(Vec::len).collect();
    let mut ready: VecDeque<usize> = unmet
        .iter()
        .enumerate()
        .filter(|(_, count)| **count == 0)
        .map(|(node, _)| node)
        .collect();
    let mut order = Vec::with_capacity(unmet.len());
    while let Some(node) = ready.pop_front() {
        order.push(node);
        for after in successors.get(node).into_iter().flatten() {
            if let Some(count) = unmet.get_mut(*after) {
                *count -= 1;
                if *count == 0 {
                    ready.push_back(*after);
                }
            }
        }
    }
    order
}

/// Walks back from a node that never got ready until a node comes again.
fn find_cycle(predecessors: &[Vec<usize>], ordered: &[usize]) -> Vec<usize> {
    let done: BTreeSet<usize> = ordered.iter().copied().collect();
    let mut path: Vec<usize> = Vec::new();
    let mut position = HashMap::new();
    let mut next = (0..predecessors.len()).find(|node| !done.contains(node));
    while let Some(node) = next {
        if let Some(start) = position.insert(node, path.len()) {
            let mut cycle: Vec<usize> = path.split_off(start);
            cycle.push(node);
            cycle.reverse();
            return cycle;
        }
        path.push(node);
        next = predecessors
            .get(node)
            .and_then(|before| before.iter().find(|need| !done.contains(need)))
            .copied();
    }
    path
}

fn reach(edges: &[Vec<usize>], from: usize) -> Vec<usize> {
    let mut seen = BTreeSet::from([from]);
    let mut queue = VecDeque::from([from]);
    let mut reached = Vec::new();
    while let Some(node) = queue.pop_front() {
        for next in edges.get(node).into_iter().flatten() {
            if seen.insert(*next) {
                reached.push(*next);
                queue.push_back(*next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::{GraphFault, TaskGraph};
    use proptest::prelude::*;

    fn graph(nodes: &[(&str, &[&str])]) -> Result<TaskGraph, Vec<GraphFault>> {
        let nodes: Vec<(&str, Vec<&str>)> = nodes
            .iter()
            .map(|(name, needs)| (*name, needs.to_vec()))
            .collect();
        TaskGraph::new(&nodes)
    }

    #[test]
    fn a_cycle_is_named_in_the_order_of_its_edges() {
        let fault =
            graph(&[("a", &[]), ("b", &["a", "d"]), ("c", &["b"]), ("d", &["c"])]).unwrap_err();
        let [GraphFault::Cycle(names)] = fault.as_slice() else {
            panic!("{fault:?}")
        };
        assert_eq!(names.first(), names.last());
        let mut members = names.clone();
        members.pop();
        members.sort();
        assert_eq!(members, ["b", "c", "d"]);
        let position = |name: &str| names.iter().position(|other| other == name).unwrap();
        let follows = |from: &str, to: &str| (position(from) + 1) % 3 == position(to);
        assert!(
            follows("b", "c") && follows("c", "d") && follows("d", "b"),
            "{names:?}"
        );
    }

    #[test]
    fn a_step_that_needs_itself_is_a_cycle() {
        assert_eq!(
            graph(&[("a", &["a"])]),
            Err(vec![GraphFault::Cycle(vec!["a".into(), "a".into()])])
        );
    }

    #[test]
    fn duplicates_and_unknown_names_are_told_together() {
        assert_eq!(
            graph(&[("a", &["x"]), ("a", &["y"])]),
            Err(vec![
                GraphFault::Duplicate("a".into()),
                GraphFault::Unknown {
                    node: "a".into(),
                    missing: "x".into()
                },
                GraphFault::Unknown {
                    node: "a".into(),
                    missing: "y".into()
                },
            ])
        );
    }

    /// Random acyclic graphs: each node needs some of those before it in a hidden order.
    fn acyclic() -> impl Strategy<Value = Vec<Vec<usize>>> {
        (1_usize..40).prop_flat_map(|size| {
            let needs: Vec<_> = (0..size)
                .map(|node| {
                    proptest::collection::vec(0..size, 0..4).prop_map(move |raw| {
                        raw.into_iter()
                            .filter(|need| *need < node)
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            needs.prop_shuffle_labels(size)
        })
    }

    /// Renames the nodes, so that the hidden order is not the order of the file.
    trait ShuffleLabels {
        fn prop_shuffle_labels(self, size: usize) -> BoxedStrategy<Vec<Vec<usize>>>;
    }

    impl<S> ShuffleLabels for Vec<S>
    where
        S: Strategy<Value = Vec<usize>> + 'static,
    {
        fn prop_shuffle_labels(self, size: usize) -> BoxedStrategy<Vec<Vec<usize>>> {
            (self, Just((0..size).collect::<Vec<_>>()).prop_shuffle())
                .prop_map(|(needs, label)| {
                    let mut shuffled = vec![Vec::new(); needs.len()];
                    for (node, before) in needs.iter().enumerate() {
                        shuffled[label[node]] = before.iter().map(|need| label[*need]).collect();
                    }
                    shuffled
                })
                .boxed()
        }
    }

    fn build(needs: &[Vec<usize>]) -> Result<TaskGraph, Vec<GraphFault>> {
        let names: Vec<String> = (0..needs.len()).map(|node| format!("n{node}")).collect();
        let nodes: Vec<(&str, Vec<&str>)> = needs
            .iter()
            .enumerate()
            .map(|(node, before)| {
                (
                    names[node].as_str(),
                    before.iter().map(|need| names[*need].as_str()).collect(),
                )
            })
            .collect();
        TaskGraph::new(&nodes)
    }

    proptest! {
        #[test]
        fn every_node_comes_after_all_it_needs(needs in acyclic()) {
            let graph = build(&needs).unwrap();
            let mut place = vec![usize::MAX; needs.len()];
            for (position, node) in graph.order().iter().enumerate() {
                place[*node] = position;
            }
            for (node, before) in needs.iter().enumerate() {
                for need in before {
                    prop_assert!(place[*need] < place[node]);
                }
            }
        }

        #[test]
        fn upstream_and_downstream_are_each_others_mirror(needs in acyclic()) {
            let graph = build(&needs).unwrap();
            for node in 0..needs.len() {
                for after in graph.downstream(node) {
                    prop_assert!(graph.upstream(after).contains(&node));
                }
                prop_assert!(!graph.downstream(node).contains(&node));
            }
        }

        #[test]
        fn one_edge_back_makes_a_cycle_and_every_edge_of_it_is_real(needs in acyclic(), pick in any::<prop::sample::Index>()) {
            let graph = build(&needs).unwrap();
            let node = pick.index(needs.len());
            let Some(after) = graph.downstream(node).last().copied() else { return Ok(()) };
            let mut closed = needs;
            closed[node].push(after);
            let faults = build(&closed).unwrap_err();
            let [GraphFault::Cycle(names)] = faults.as_slice() else { panic!("{faults:?}") };
            let numbers: Vec<usize> = names.iter().map(|name| name.trim_start_matches('n').parse().unwrap()).collect();
            for pair in numbers.windows(2) {
                prop_assert!(closed[pair[1]].contains(&pair[0]), "{numbers:?} {closed:?}");
            }
        }
    }

    #[test]
    fn ten_thousand_nodes_and_fifty_thousand_edges_are_a_graph() {
        let needs: Vec<Vec<usize>> = (0..10_000_usize)
            .map(|node| (1..=5).filter_map(|back| node.checked_sub(back)).collect())
            .collect();
        let graph = build(&needs).unwrap();
        assert_eq!(graph.order().len(), 10_000);
        assert_eq!(graph.downstream(0).len(), 9_999);
    }
}
