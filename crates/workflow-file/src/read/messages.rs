//! What agents may say to each other: their subscriptions, and the message flow of the workflow.

use fusion_core::FlowRule;
use fusion_messaging::Pattern;

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::{Marked, value};
use crate::tree::{Kind, Node};

/// Patterns that one agent, or one rule of the flow, may name.
const MAX_PATTERNS: usize = 100;
/// Rules of a message flow.
const MAX_RULES: usize = 1_000;

const RULE: Keys = Keys {
    known: &["from", "to", "topics"],
    later: &[],
};

/// The rules of a message flow, and the names of agents in them.
#[derive(Default)]
pub(super) struct Flow<'n> {
    pub(super) rules: Vec<FlowRule>,
    pub(super) agents: Vec<Marked<'n>>,
}

/// The `message_flow` of a workflow.
pub(super) fn flow<'n>(node: &'n Node<'n>, faults: &mut Faults) -> Flow<'n> {
    let nodes = match &node.kind {
        Kind::List(nodes) => nodes.as_slice(),
        Kind::Map(_) => std::slice::from_ref(node),
        Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {
            let fault = RawFault::new("`message_flow` must be a list of rules", &node.span);
            faults.add(fault.help("a rule is such as { from: writer, to: [reviewer] }"));
            return Flow::default();
        }
    };
    if nodes.len() > MAX_RULES {
        let message = format!("`message_flow` has more than {MAX_RULES} rules");
        faults.add(RawFault::new(message, &node.span));
    }
    let mut flow = Flow::default();
    for node in nodes.iter().take(MAX_RULES) {
        let Some(section) = Section::open(node, "a rule of `message_flow`", &RULE, faults) else {
            continue;
        };
        let from = section.required("from", faults);
        let from = named(from, "from", faults);
        let to = section.get("to", faults);
        let to = named(to, "to", faults);
        let topics = section.get("topics", faults);
        flow.rules.push(FlowRule {
            from: texts(&from),
            to: texts(&to),
            topics: topics.map_or_else(Vec::new, |node| patterns(node, "topics", faults)),
        });
        flow.agents.extend(from);
        flow.agents.extend(to);
    }
    flow
}

fn named<'n>(node: Option<&'n Node<'n>>, key: &str, faults: &mut Faults) -> Vec<Marked<'n>> {
    let Some(node) = node else {
        return Vec::new();
    };
    let names = value::texts(node, key, "names of agents", faults);
    if matches!(&node.kind, Kind::List(nodes) if nodes.is_empty()) {
        let message = format!("`{key}` of a rule of `message_flow` names no agent");
        faults.add(RawFault::new(message, &node.span).help("leave a rule out that allows nothing"));
    }
    names
}

fn texts(names: &[Marked<'_>]) -> Vec<String> {
    names.iter().map(|name| name.text.to_owned()).collect()
}

/// Patterns of topics.
pub(super) fn patterns(node: &Node<'_>, key: &str, faults: &mut Faults) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let written = value::texts(node, key, "topic patterns", faults);
    if written.len() > MAX_PATTERNS {
        let message = format!("`{key}` has more than {MAX_PATTERNS} patterns");
        faults.add(RawFault::new(message, &node.span));
    }
    for pattern in written.into_iter().take(MAX_PATTERNS) {
        if let Some(fault) = fault_of(&pattern) {
            faults.add(fault);
        } else if found.iter().any(|known| known == pattern.text) {
            let message = format!("`{}` is named twice in `{key}`", pattern.text);
            faults.add(RawFault::new(message, &pattern.span));
        } else {
            found.push(pattern.text.to_owned());
        }
    }
    found
}

fn fault_of(pattern: &Marked<'_>) -> Option<RawFault> {
    // Ids are made when a run starts, and a run hears its own topics only.
    if pattern.text.contains(['{', '}']) {
        let message = format!("the pattern `{}` has a placeholder", pattern.text);
        let fault = RawFault::new(message, &pattern.span);
        return Some(fault.help(
            "write `*` in its place, such as `task.completed.*`: only what belongs to the run is heard",
        ));
    }
    let error = Pattern::of_topics(pattern.text).err()?;
    Some(RawFault::new(error.to_string(), &pattern.span))
}
