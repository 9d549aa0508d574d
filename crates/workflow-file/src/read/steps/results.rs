//! What a step gives back: outputs and artifacts.

use std::collections::BTreeMap;

use globset::GlobBuilder;
use serde_json::Value;

use crate::fault::{Faults, RawFault};
use crate::read::section::{Section, named};
use crate::read::{Marked, name, value};
use crate::tree::{Kind, Node};

/// The declared outputs: name and JSON Schema.
pub(super) fn outputs(section: &Section<'_>, faults: &mut Faults) -> BTreeMap<String, Value> {
    let mut outputs = BTreeMap::new();
    let Some(node) = section.get("outputs", faults) else {
        return outputs;
    };
    for (key, node) in named(node, "outputs", faults) {
        name::identifier(&key, "an output's name", faults);
        outputs.insert(key.text.to_owned(), schema(key.text, node, faults));
    }
    outputs
}

fn schema(name: &str, node: &Node<'_>, faults: &mut Faults) -> Value {
    let schema = node.to_json();
    match &node.kind {
        Kind::Text(text) => {
            let message = format!("the schema of output '{name}' must be a JSON Schema");
            let help = format!("write {{ type: {text} }}");
            faults.add(RawFault::new(message, &node.span).help(help));
        }
        Kind::Map(_) | Kind::List(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {
            // Building finds what the meta-schema does not: a broken pattern, a `$ref` to nowhere.
            if let Err(error) = jsonschema::draft202012::new(&schema) {
                let path = error.instance_path().to_string();
                let place = if path.is_empty() {
                    String::new()
                } else {
                    format!(" at {path}")
                };
                let message = format!("the schema of output '{name}' is not a JSON Schema{place}");
                faults.add(RawFault::new(message, &node.span).help(error.to_string()));
            }
        }
    }
    schema
}

/// The globs of the files that are the step's result.
pub(super) fn artifacts(section: &Section<'_>, faults: &mut Faults) -> Vec<String> {
    let Some(node) = section.get("artifacts", faults) else {
        return Vec::new();
    };
    value::texts(node, "artifacts", "globs", faults)
        .into_iter()
        .map(|glob| {
            check_glob(&glob, faults);
            glob.text.to_owned()
        })
        .collect()
}

fn check_glob(glob: &Marked<'_>, faults: &mut Faults) {
    let text = glob.text;
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        let message = format!("the artifact `{text}` must be inside the workspace");
        let fault = RawFault::new(message, &glob.span);
        faults.add(fault.help("write a path relative to the workspace, without `..`"));
    } else if let Err(error) = GlobBuilder::new(text).literal_separator(true).build() {
        let message = format!("the artifact `{text}` is not a glob: {}", error.kind());
        faults.add(RawFault::new(message, &glob.span));
    }
}
