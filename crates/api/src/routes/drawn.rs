//! A definition that comes as a graph: nodes and edges become the text of a workflow file.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use fusion_api_types::api::Fault;
use fusion_core::WorkflowDefinition;
use serde_json::{Map, Value, json};

use super::workflows::checked;
use crate::input::{Fields, MAX_BODY};
use crate::problem::{Refusal, Result};

/// Fields of a graph, beside those that each definition has.
pub(super) const FIELDS: [&str; 4] = [
    "name",
    "description",
    "dag_definition",
    "execution_parameters",
];

/// Nodes of a graph at most, as steps of a file.
const MAX_NODES: usize = 10_000;

/// Edges of a graph at most.
const MAX_EDGES: usize = 50_000;

/// A definition as it was given.
#[derive(Debug)]
pub(super) enum Given {
    /// The text of a file.
    Text(String),
    /// A graph, written as one.
    Graph(Written),
}

/// The text of a file, and which part of it stands for which part of a body.
#[derive(Debug, Default)]
pub(super) struct Written {
    text: String,
    parts: Vec<(Range<usize>, String)>,
}

impl Given {
    /// Reads the text, or else the graph. What is wrong with it is noted.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        if fields.has("dag_definition") {
            if fields.has("source") {
                fields.add("source", "can't be given together with dag_definition");
            }
            return Self::Graph(graph(fields));
        }
        for name in FIELDS {
            if fields.has(name) {
                fields.add(name, "goes with dag_definition only: a source has its own");
            }
        }
        if !fields.has("source") {
            fields.add("source", "is required, or else a dag_definition");
        }
        let text = fields.text("source", MAX_BODY).unwrap_or_default();
        Self::Text(text.to_owned())
    }

    /// The definition, and its text.
    ///
    /// # Errors
    /// It has faults: all of them, each with its place.
    pub(super) fn checked(self) -> Result<(WorkflowDefinition, String)> {
        match self {
            Self::Text(text) => Ok((checked(&text)?, text)),
            Self::Graph(written) => match fusion_workflow_file::parse(&written.text) {
                Ok(definition) => Ok((definition, written.text)),
                Err(faults) => {
                    let faults = faults.iter().map(|fault| written.fault(fault));
                    Err(Refusal::invalid(faults.collect()))
                }
            },
        }
    }
}

/// Reads a graph and writes it as a file.
fn graph(fields: &mut Fields<'_>) -> Written {
    let mut written = Written::default();
    let name = fields.needed_name("name");
    let description = fields.text("description", MAX_BODY).unwrap_or_default();
    let parameters = fields.object("execution_parameters");
    let Some(mut within) = fields.within("dag_definition", &["nodes", "edges"]) else {
        return written;
    };
    let nodes = within.list("nodes", MAX_NODES);
    let needs = needs(&mut within, nodes);
    written.part("{\"version\":1,\"name\":", &json!(name), "/name");
    written.part(",\"description\":", &json!(description), "/description");
    let parameters = parameters.and_then(|given| given.as_object().cloned());
    for (key, value) in parameters.unwrap_or_default() {
        if !value.is_null() {
            let pointer = format!("/execution_parameters/{key}");
            written.part(&format!(",{}:", json!(key)), &value, &pointer);
        }
    }
    written.text.push_str(",\"steps\":[");
    for (index, node) in nodes.iter().enumerate() {
        let pointer = format!("/dag_definition/nodes/{index}");
        let comma = if index == 0 { "" } else { "," };
        written.part(comma, &step(node, &needs), &pointer);
    }
    written.text.push_str("]}");
    fields.absorb(within);
    written
}

/// What each step needs, from the edges.
fn needs(graph: &mut Fields<'_>, nodes: &[Value]) -> BTreeMap<String, Vec<String>> {
    let ids = nodes.iter().filter_map(|node| node.get("id")?.as_str());
    let ids: BTreeSet<&str> = ids.collect();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if !graph.has("edges") {
        return needs;
    }
    let ends = |edge: &mut Fields<'_>| (edge.needed_name("from"), edge.needed_name("to"));
    let edges = graph.each("edges", (0, MAX_EDGES), &["from", "to"], ends);
    for (index, (from, to)) in edges.into_iter().enumerate() {
        for end in [&from, &to] {
            if !end.is_empty() && !ids.contains(end.as_str()) {
                graph.at("edges", index, &format!("there is no node '{end}'"));
            }
        }
        needs.entry(to).or_default().push(from);
    }
    needs
}

/// A node as a step: its keys are those of a step of a file; what is `null` or an empty list is left
/// out, as the API shows what is not there.
fn step(node: &Value, needs: &BTreeMap<String, Vec<String>>) -> Value {
    let Some(node) = node.as_object() else {
        return node.clone();
    };
    let is_there = |value: &Value| !value.is_null() && *value != json!([]);
    let there = node.iter().filter(|(_, value)| is_there(value));
    let mut step: Map<String, Value> = there
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let needed = step.get("id").and_then(Value::as_str);
    if let Some(needed) = needed.and_then(|id| needs.get(id)) {
        step.insert("needs".to_owned(), json!(needed));
    }
    Value::Object(step)
}

impl Written {
    /// Adds a part of the text that stands for what is at the pointer.
    fn part(&mut self, before: &str, value: &Value, pointer: &str) {
        self.text.push_str(before);
        let begin = self.text.len();
        self.text.push_str(&value.to_string());
        self.parts
            .push((begin..self.text.len(), pointer.to_owned()));
    }

    /// A fault of the text as one of the body.
    fn fault(&self, fault: &fusion_workflow_file::Fault) -> Fault {
        let mut parts = self.parts.iter();
        let part = parts.find(|(range, _)| range.contains(&fault.position.offset));
        let pointer = part.map_or("/dag_definition", |(_, pointer)| pointer);
        let mut shown = fault.clone();
        let message = std::mem::take(&mut shown.message);
        Fault {
            pointer: pointer.to_owned(),
            message: match shown.help {
                Some(help) => format!("{message}; {help}"),
                None => message,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{FIELDS, Given};
    use crate::input::Input;

    /// The text that a body becomes, or the pointers of its faults.
    fn given(body: Value) -> Result<Value, Vec<String>> {
        let Value::Object(object) = body else {
            panic!()
        };
        let input = Input::of(object);
        let known: Vec<&str> = FIELDS.into_iter().chain(["source"]).collect();
        let mut fields = input.fields(&known);
        let given = Given::read(&mut fields);
        let pointers = |refusal: crate::problem::Refusal| refusal.pointers();
        fields.finish().map_err(pointers)?;
        let (_, text) = given.checked().map_err(pointers)?;
        Ok(serde_json::from_str(&text).unwrap())
    }

    fn graph() -> Value {
        json!({
            "name": "review",
            "description": "Plan, then build.",
            "dag_definition": {
                "nodes": [
                    { "id": "plan", "agent": "a", "prompt": "Plan.", "capabilities": [], "priority": 3 },
                    { "id": "build", "agent": null, "capabilities": ["rust"], "prompt": "Build." },
                ],
                "edges": [{ "from": "plan", "to": "build" }],
            },
            "execution_parameters": {
                "agents": { "a": { "provider": "scripted", "model": "s.yaml", "capabilities": ["rust"] } },
                "budget": null,
            },
        })
    }

    #[test]
    fn nodes_and_edges_become_steps() {
        let expected = json!({
            "version": 1,
            "name": "review",
            "description": "Plan, then build.",
            "agents": { "a": { "provider": "scripted", "model": "s.yaml", "capabilities": ["rust"] } },
            "steps": [
                { "id": "plan", "agent": "a", "prompt": "Plan.", "priority": 3 },
                { "id": "build", "capabilities": ["rust"], "prompt": "Build.", "needs": ["plan"] },
            ],
        });
        assert_eq!(given(graph()), Ok(expected));
    }

    #[test]
    fn a_fault_is_told_at_its_node() {
        let mut wrong = graph();
        wrong["dag_definition"]["nodes"][1]["promt"] = json!("x");
        wrong["execution_parameters"]["agents"]["a"]["model"] = json!(7);
        let pointers = given(wrong).unwrap_err();
        assert_eq!(
            pointers,
            ["/execution_parameters/agents", "/dag_definition/nodes/1"]
        );
    }

    #[test]
    fn a_cycle_and_edges_that_lead_nowhere_are_faults() {
        let mut circle = graph();
        circle["dag_definition"]["edges"] =
            json!([{ "from": "plan", "to": "build" }, { "from": "build", "to": "plan" }]);
        assert!(given(circle).is_err());
        let mut lost = graph();
        lost["dag_definition"]["edges"] = json!([{ "from": "plan", "to": "nobody" }]);
        assert_eq!(given(lost), Err(vec!["/dag_definition/edges/0".to_owned()]));
        let mut half = graph();
        half["dag_definition"]["edges"] = json!([{ "from": "plan" }]);
        assert_eq!(
            given(half),
            Err(vec!["/dag_definition/edges/0/to".to_owned()])
        );
    }

    #[test]
    fn a_text_and_a_graph_exclude_each_other() {
        let mut both = graph();
        both["source"] = json!("version: 1");
        assert_eq!(given(both), Err(vec!["/source".to_owned()]));
        let neither = json!({ "name": "x" });
        assert_eq!(
            given(neither),
            Err(vec!["/name".to_owned(), "/source".to_owned()])
        );
    }
}
