//! A workflow's steps and what needs what, drawn.

use std::collections::{BTreeMap, BTreeSet};

use fusion_api_types::WorkflowGraph;

use crate::text::{clean_line, count};

/// Text for people: each step below the first one that it needs, with the others it needs beside it.
pub(crate) fn tree(graph: &WorkflowGraph) -> String {
    let mut below: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for step in &graph.steps {
        let above = step.needs.first().map(String::as_str);
        below.entry(above).or_default().push(&step.id);
    }
    let others: BTreeMap<&str, &[String]> = graph
        .steps
        .iter()
        .filter_map(|step| Some((step.id.as_str(), step.needs.get(1..)?)))
        .collect();
    let steps = count(graph.steps.len() as u64, "step");
    let mut text = format!("{} ({steps})\n", clean_line(&graph.name));
    // What is left to draw: the step, and what stands before it on its line.
    let mut pending: Vec<(&str, String, bool)> = Vec::new();
    push(&mut pending, below.get(&None), "");
    let mut drawn = BTreeSet::new();
    while let Some((id, before, is_last)) = pending.pop() {
        if !drawn.insert(id) {
            continue;
        }
        let branch = if is_last { "└─ " } else { "├─ " };
        text.push_str(&format!("{before}{branch}{}", clean_line(id)));
        let also = others.get(id).copied().unwrap_or_default();
        if !also.is_empty() {
            let also: Vec<String> = also.iter().map(|id| clean_line(id)).collect();
            text.push_str(&format!("  (needs {} too)", also.join(", ")));
        }
        text.push('\n');
        let before = format!("{before}{}", if is_last { "   " } else { "│  " });
        push(&mut pending, below.get(&Some(id)), &before);
    }
    text
}

/// The first is drawn first.
fn push<'g>(
    pending: &mut Vec<(&'g str, String, bool)>,
    steps: Option<&Vec<&'g str>>,
    before: &str,
) {
    let steps = steps.map(Vec::as_slice).unwrap_or_default();
    for (number, id) in steps.iter().enumerate().rev() {
        pending.push((id, before.to_owned(), number + 1 == steps.len()));
    }
}

/// A flowchart of Mermaid. Nodes have numbers: an id may be a word of its own there.
pub(crate) fn mermaid(graph: &WorkflowGraph) -> String {
    let mut text = "flowchart TD\n".to_owned();
    for (number, step) in graph.steps.iter().enumerate() {
        let id = clean_line(&step.id).replace('"', "#quot;");
        text.push_str(&format!("  s{number}[\"{id}\"]\n"));
    }
    for (from, to) in edges(graph) {
        text.push_str(&format!("  s{from} --> s{to}\n"));
    }
    text
}

/// A graph of Graphviz.
pub(crate) fn dot(graph: &WorkflowGraph) -> String {
    let quoted = |text: &str| {
        let text = clean_line(text).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{text}\"")
    };
    let mut text = format!("digraph {} {{\n", quoted(&graph.name));
    for step in &graph.steps {
        text.push_str(&format!("  {};\n", quoted(&step.id)));
    }
    for step in &graph.steps {
        for need in &step.needs {
            text.push_str(&format!("  {} -> {};\n", quoted(need), quoted(&step.id)));
        }
    }
    text.push_str("}\n");
    text
}

/// The edges, by the places of their steps.
fn edges(graph: &WorkflowGraph) -> Vec<(usize, usize)> {
    let places: BTreeMap<&str, usize> = graph
        .steps
        .iter()
        .enumerate()
        .map(|(number, step)| (step.id.as_str(), number))
        .collect();
    let mut edges = Vec::new();
    for (to, step) in graph.steps.iter().enumerate() {
        let needs = step.needs.iter();
        let from = needs.filter_map(|need| places.get(need.as_str()).copied());
        edges.extend(from.map(|from| (from, to)));
    }
    edges
}
