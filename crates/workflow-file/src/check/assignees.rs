//! Who runs each step and who may talk: the agents and capabilities that are named.

use std::collections::BTreeSet;

use fusion_core::CapabilitySet;

use crate::fault::{Faults, RawFault};
use crate::read::{Draft, Marked, StepDraft};

pub(super) fn check(draft: &Draft<'_>, faults: &mut Faults) {
    let agents = &draft.workflow().agents;
    let offered: BTreeSet<&str> = agents
        .values()
        .flat_map(|agent| agent.capabilities.iter())
        .collect();
    for agent in &draft.flow {
        check_agent(agent, draft, faults);
    }
    for step in &draft.steps {
        if let Some(agent) = &step.agent {
            check_agent(agent, draft, faults);
        }
        check_capabilities(step, draft, &offered, faults);
    }
}

fn check_agent(agent: &Marked<'_>, draft: &Draft<'_>, faults: &mut Faults) {
    let agents = &draft.workflow().agents;
    if !agents.contains_key(agent.text) {
        let help = faults.hint(agent.text, "agents", agents.keys().map(String::as_str));
        let message = format!("there is no agent '{}'", agent.text);
        faults.add(RawFault::new(message, &agent.span).help(help));
    }
}

fn check_capabilities(
    step: &StepDraft<'_>,
    draft: &Draft<'_>,
    offered: &BTreeSet<&str>,
    faults: &mut Faults,
) {
    let is_missing = |name: &&Marked<'_>| !offered.contains(name.text);
    let missing: Vec<_> = step.capabilities.iter().filter(is_missing).collect();
    for name in &missing {
        let help = faults.hint(name.text, "capabilities", offered.iter().copied());
        let message = format!("no agent has the capability '{}'", name.text);
        faults.add(RawFault::new(message, &name.span).help(help));
    }
    let Some(first) = step.capabilities.first() else {
        return;
    };
    let wanted: CapabilitySet = step.capabilities.iter().map(|name| name.text).collect();
    let mut agents = draft.workflow().agents.values();
    if missing.is_empty() && !agents.any(|agent| agent.capabilities.satisfies(&wanted)) {
        let message = format!("no agent has all of these capabilities: {wanted}");
        faults.add(RawFault::new(message, &first.span));
    }
}
