//! Who runs each step and who may talk: the agents and capabilities that are named.

use std::collections::BTreeSet;

use fusion_core::CapabilitySet;

use crate::fault::{Faults, RawFault};
use crate::read::{Draft, Marked, StepDraft};

/// Agents of a run at most.
const MAX_AGENTS: u64 = 1_000;

pub(super) fn check(draft: &Draft<'_>, faults: &mut Faults) {
    let agents = &draft.workflow().agents;
    let offered: BTreeSet<&str> = agents
        .values()
        .flat_map(|agent| agent.capabilities.iter())
        .collect();
    check_copies(draft, faults);
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

/// Several agents of one name are called after it, with a number.
fn check_copies(draft: &Draft<'_>, faults: &mut Faults) {
    let workflow = draft.workflow();
    for name in &draft.agent_names {
        let copies = name.text.rsplit_once('-').and_then(|(base, number)| {
            let spec = workflow.agents.get(base).filter(|spec| spec.count > 1)?;
            let number: u32 = number.parse().ok()?;
            (1..=spec.count)
                .contains(&number)
                .then_some((base, spec.count))
        });
        if let Some((base, count)) = copies {
            let message = format!("'{}' is one of the {count} agents '{base}'", name.text);
            faults.add(RawFault::new(message, &name.span).help("give one of them another name"));
        }
    }
    let copies = workflow.agents.values().map(|spec| u64::from(spec.count));
    let total: u64 = copies.sum();
    if let (true, Some(last)) = (total > MAX_AGENTS, draft.agent_names.last()) {
        let message =
            format!("the workflow has {total} agents in all, and {MAX_AGENTS} are the limit");
        faults.add(RawFault::new(message, &last.span).help("lower the `count` of some"));
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
