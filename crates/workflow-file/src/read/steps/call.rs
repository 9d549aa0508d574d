//! Steps that are runs of other workflows.

use fusion_core::{CallSpec, Reference};
use serde_json::Map;

use crate::fault::{Faults, RawFault};
use crate::read::section::{Section, named};
use crate::read::{Local, Template, TemplateKind, duration, name, value};
use crate::tree::{Kind, Node};

/// What a step with `workflow` has no use for.
const NOT_WITH_WORKFLOW: [&str; 10] = [
    "agent",
    "capabilities",
    "prompt",
    "run",
    "outputs",
    "artifacts",
    "takes",
    "verify",
    "workspace",
    "budget",
];

const HANDS_OVER: &str = "hand files over in `with`, to an input of the workflow with `type: files`: \
    NAME: ${{ steps.STEP.files }}";

const HAS_FILES: &str = "the workflow says which files are its result: `artifacts` beside its `steps`, \
    with the steps that have them";

/// The longest time that such a step may take, in hours: a year.
const LONGEST: u64 = 365 * 24;

/// The workflow that a step is a run of; `locals` are the names that its inputs see beside others.
pub(super) fn read<'n>(
    section: &Section<'n>,
    locals: &[Local],
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> Option<CallSpec> {
    if section.key("workflow").is_none() {
        if let Some(key) = section.key("with") {
            let fault = RawFault::new("`with` is for a step with `workflow`", key);
            faults.add(fault.help("leave it out, or say which workflow it gives these inputs to"));
        }
        return None;
    }
    for name in NOT_WITH_WORKFLOW {
        if let Some(key) = section.key(name) {
            let message = format!("{} has both `workflow` and `{name}`", section.owner());
            let help = match name {
                "takes" => HANDS_OVER,
                "artifacts" => HAS_FILES,
                _ => {
                    "the work of such a step is a run of its own: the workflow says how it is done"
                }
            };
            faults.add(RawFault::new(message, key).help(help));
        }
    }
    let with = read_with(section, locals, templates, faults);
    let node = section.get("workflow", faults)?;
    let text = value::text(node, "workflow", faults)?;
    match text.text.parse::<Reference>() {
        Ok(Reference { workflow, version }) => Some(CallSpec {
            workflow,
            version,
            with,
            timeout_seconds: None,
        }),
        Err(fault) => {
            faults.add(RawFault::new(fault.to_string(), &text.span));
            None
        }
    }
}

/// Seconds that such a step may take.
pub(super) fn timeout(section: &Section<'_>, faults: &mut Faults) -> Option<u64> {
    let node = section.get("timeout", faults)?;
    duration::seconds_up_to(node, "timeout", LONGEST, faults)
}

fn read_with<'n>(
    section: &Section<'n>,
    locals: &[Local],
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> Map<String, serde_json::Value> {
    let Some(node) = section.get("with", faults) else {
        return Map::new();
    };
    let mut with = Map::new();
    for (key, node) in named(node, "with", faults) {
        name::identifier(&key, "an input's name", faults);
        find_templates(node, locals, templates);
        with.insert(key.text.to_owned(), node.to_json());
    }
    with
}

/// The texts of a value, at any depth: each may hold expressions.
fn find_templates<'n>(node: &'n Node<'n>, locals: &[Local], templates: &mut Vec<Template<'n>>) {
    match &node.kind {
        Kind::Text(text) => templates.push(Template {
            text: text.as_ref(),
            written: &node.written,
            kind: TemplateKind::Text,
            locals: locals.to_vec(),
        }),
        Kind::Map(entries) => {
            for (_, node) in entries {
                find_templates(node, locals, templates);
            }
        }
        Kind::List(items) => {
            for node in items {
                find_templates(node, locals, templates);
            }
        }
        Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {}
    }
}
