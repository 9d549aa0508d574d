//! The `inputs` of a workflow.

use std::collections::BTreeMap;

use fusion_core::{InputSpec, InputType};
use serde_json::Value;

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section, named};
use crate::read::{Marked, name, value};
use crate::tree::{Kind, Node};

const INPUT: Keys = Keys {
    known: &["type", "required", "default", "description"],
    later: &[],
};

pub(super) fn read(node: &Node<'_>, faults: &mut Faults) -> BTreeMap<String, InputSpec> {
    let mut inputs = BTreeMap::new();
    for (key, node) in named(node, "inputs", faults) {
        name::identifier(&key, "an input's name", faults);
        inputs.insert(key.text.to_owned(), read_one(key.text, node, faults));
    }
    inputs
}

/// Those that are files, where they stand.
pub(super) fn of_files<'n>(
    node: &'n Node<'n>,
    declared: &BTreeMap<String, InputSpec>,
) -> Vec<Marked<'n>> {
    let is_one = |name: &str| {
        let spec = declared.get(name);
        spec.is_some_and(|spec| spec.kind == InputType::Files)
    };
    let Kind::Map(entries) = &node.kind else {
        return Vec::new();
    };
    let keys = entries.iter().map(|(key, _)| key);
    let files = keys.filter(|key| is_one(&key.name));
    let marked = files.map(|key| Marked {
        text: &key.name,
        span: key.span.clone(),
    });
    marked.collect()
}

/// `type` alone, or a map with all that can be said.
fn read_one(name: &str, node: &Node<'_>, faults: &mut Faults) -> InputSpec {
    let mut spec = InputSpec {
        kind: InputType::String,
        required: true,
        default: None,
        description: String::new(),
    };
    if let Kind::Text(_) = node.kind {
        spec.kind = read_type(node, faults).unwrap_or(spec.kind);
        return spec;
    }
    let Some(section) = Section::open(node, format!("input '{name}'"), &INPUT, faults) else {
        return spec;
    };
    let kind = section
        .required("type", faults)
        .and_then(|node| read_type(node, faults));
    spec.kind = kind.unwrap_or(spec.kind);
    if let (Some(InputType::Files), Some(key)) = (kind, section.key("default")) {
        let message = format!("the input '{name}' is of files, which have no default");
        let help = "with `required: false` it is an empty list where none are handed over";
        faults.add(RawFault::new(message, key).help(help));
    } else if let Some(node) = section.get("default", faults) {
        spec.default = kind.and_then(|kind| read_default(name, kind, node, faults));
        spec.required = false;
    }
    if let Some(node) = section.get("required", faults) {
        spec.required = value::boolean(node, "required", faults).unwrap_or(true);
    }
    spec.description = value::description(&section, faults);
    spec
}

fn read_type(node: &Node<'_>, faults: &mut Faults) -> Option<InputType> {
    let text = value::text(node, "type", faults)?.text;
    let kind = InputType::from_text(text);
    if kind.is_none() {
        let names = InputType::ALL.iter().map(|kind| kind.as_str());
        let help = faults.hint(text, "types", names);
        faults.add(RawFault::new(format!("unknown type `{text}`"), &node.span).help(help));
    }
    kind
}

fn read_default(
    name: &str,
    kind: InputType,
    node: &Node<'_>,
    faults: &mut Faults,
) -> Option<Value> {
    let default = node.to_json();
    if kind.accepts(&default) {
        return Some(default);
    }
    let message = format!("the default of input '{name}' must be of type {kind}");
    faults.add(RawFault::new(message, &node.span));
    None
}
