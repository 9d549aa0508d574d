//! The ids and the edges: what `needs` names.

use std::collections::HashSet;

use fusion_core::{GraphFault, TaskGraph};

use crate::check::Numbers;
use crate::check::ancestors::Ancestors;
use crate::fault::{Faults, RawFault};
use crate::read::{Draft, Marked, StepDraft};
use crate::tree::Span;

/// Numbers the steps by id and tells every id that is used twice.
pub(super) fn number_steps<'d>(draft: &'d Draft<'_>, faults: &mut Faults) -> Numbers<'d> {
    let mut numbers = Numbers::with_capacity(draft.steps.len());
    for (number, step) in draft.steps.iter().enumerate() {
        let id = step.spec.id.as_str();
        if id.is_empty() {
            continue;
        }
        if numbers.contains_key(id) {
            let fault = RawFault::new(format!("the step id '{id}' is used twice"), &step.id);
            faults.add(fault.help("give each step an id of its own"));
        } else {
            numbers.insert(id, number);
        }
    }
    numbers
}

/// Tells every workspace that a step can't share.
pub(super) fn check_shared(
    draft: &Draft<'_>,
    numbers: &Numbers<'_>,
    ancestors: Option<&Ancestors>,
    faults: &mut Faults,
) {
    for (own, step) in draft.steps.iter().enumerate() {
        let Some(shared) = &step.shared_with else {
            continue;
        };
        let id = &step.spec.id;
        let Some(number) = numbers.get(shared.text).copied() else {
            let ids = draft.steps.iter().map(|step| step.spec.id.as_str());
            let help = faults.hint(shared.text, "steps", ids);
            let message = format!("there is no step '{}'", shared.text);
            faults.add(RawFault::new(message, &shared.span).help(help));
            continue;
        };
        if ancestors.is_some_and(|ancestors| !ancestors.contains(own, number)) {
            let message = format!("step '{id}' does not need '{}'", shared.text);
            let help = format!("add `{}` to its `needs`", shared.text);
            faults.add(RawFault::new(message, &shared.span).help(help));
        } else if draft
            .steps
            .get(number)
            .is_some_and(|step| step.spec.foreach.is_some())
        {
            let message = format!("step '{}' has several workspaces", shared.text);
            let help = "a step with `foreach` is done by whoever is free";
            faults.add(RawFault::new(message, &shared.span).help(help));
        } else if draft
            .steps
            .get(number)
            .is_some_and(|step| step.spec.call.is_some())
        {
            let message = format!("step '{}' has no workspace", shared.text);
            let help = "the agents of the workflow that it runs have theirs";
            faults.add(RawFault::new(message, &shared.span).help(help));
        }
    }
}

/// Tells every wrong edge; gives the order of the steps if there is one.
pub(super) fn check(
    draft: &Draft<'_>,
    numbers: &Numbers<'_>,
    faults: &mut Faults,
) -> Option<Ancestors> {
    let needs: Vec<Vec<usize>> = draft
        .steps
        .iter()
        .map(|step| known_needs(step, draft, numbers, faults))
        .collect();
    if numbers.len() < draft.steps.len() {
        return None;
    }
    let nodes: Vec<(&str, Vec<&str>)> = draft
        .steps
        .iter()
        .zip(&needs)
        .map(|(step, needs)| {
            let named = needs.iter().filter_map(|need| draft.steps.get(*need));
            let names = named.map(|need| need.spec.id.as_str()).collect();
            (step.spec.id.as_str(), names)
        })
        .collect();
    match TaskGraph::new(&nodes) {
        Ok(graph) => Some(Ancestors::new(&needs, graph.order())),
        Err(graph_faults) => {
            for fault in graph_faults {
                tell_cycle(&fault, draft, numbers, faults);
            }
            None
        }
    }
}

/// The needs of a step that can be edges, by number; tells all others.
fn known_needs(
    step: &StepDraft<'_>,
    draft: &Draft<'_>,
    numbers: &Numbers<'_>,
    faults: &mut Faults,
) -> Vec<usize> {
    let id = &step.spec.id;
    let mut seen = HashSet::new();
    let mut known = Vec::new();
    for need in &step.needs {
        if !seen.insert(need.text) {
            let message = format!("step '{id}' needs '{}' twice", need.text);
            faults.add(RawFault::new(message, &need.span));
        } else if need.text == id {
            let message = format!("step '{id}' needs itself");
            faults.add(RawFault::new(message, &need.span));
        } else if let Some(number) = numbers.get(need.text) {
            known.push(*number);
        } else {
            let ids = draft.steps.iter().map(|step| step.spec.id.as_str());
            let help = faults.hint(need.text, "steps", ids);
            let message = format!("step '{id}' needs '{}', which does not exist", need.text);
            faults.add(RawFault::new(message, &need.span).help(help));
        }
    }
    known
}

fn tell_cycle(fault: &GraphFault, draft: &Draft<'_>, numbers: &Numbers<'_>, faults: &mut Faults) {
    let GraphFault::Cycle(names) = fault else {
        return;
    };
    let path = names.join(" -> ");
    let span = names.windows(2).find_map(|pair| match pair {
        [need, step] => {
            let number = numbers.get(step.as_str())?;
            place_of_need(&draft.steps.get(*number)?.needs, need)
        }
        _ => None,
    });
    let message = format!("these steps wait for each other: {path}");
    let fault = RawFault::new(message, &span.unwrap_or_default());
    faults.add(fault.help("take one of them out of the other's `needs`"));
}

fn place_of_need(needs: &[Marked<'_>], name: &str) -> Option<Span> {
    needs
        .iter()
        .find(|need| need.text == name)
        .map(|need| need.span.clone())
}
