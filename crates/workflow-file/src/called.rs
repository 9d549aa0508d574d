//! What a file takes for granted of the workflows that its steps are runs of.

use std::collections::BTreeMap;

use fusion_core::{CallSpec, InputFault, InputSpec, InputType, WorkflowDefinition};
use serde_json::Value;

use crate::fault::{Fault, Faults, RawFault};
use crate::place::{list_item, member};
use crate::read::Draft;
use crate::tree::{Node, Span};
use crate::{check, is_one_expression, read, tree};

/// A workflow that a step is a run of, as it was looked up.
#[derive(Debug, Clone, PartialEq)]
pub enum Called {
    /// What it says.
    Known(Box<WorkflowDefinition>),
    /// There is no workflow of this name.
    NoWorkflow {
        /// The name most like it.
        nearest: Option<String>,
    },
    /// It has no such version.
    NoVersion,
}

/// Workflows as they were looked up, by the references that files name them with.
pub type CalledWorkflows = BTreeMap<String, Called>;

/// What is wrong between a file that [`parse`](crate::parse) has accepted and the workflows that its steps
/// are runs of: whether they are there, the inputs that they are given, and the outputs that are taken
/// from them. What was not looked up is taken for right. As with `parse`, the first 50 faults.
#[must_use]
pub fn check_called(text: &str, called: &CalledWorkflows) -> Vec<Fault> {
    faults_of(text, |root, draft, faults| {
        check::whole(text, draft, called, faults);
        for (index, step) in draft.steps.iter().enumerate() {
            let node = member(root, "steps").and_then(|steps| list_item(steps, index));
            if let (Some(call), Some(node)) = (&step.spec.call, node) {
                check_call(call, node, called, faults);
            }
        }
    })
}

/// The outputs and files that a stored file takes from the workflows that its steps are runs of, and that
/// these do not have. What else is wrong with the file by the rules of today is not told: it was accepted once.
#[must_use]
pub fn missing_outputs(text: &str, called: &CalledWorkflows) -> Vec<Fault> {
    let beside = |called: &CalledWorkflows| {
        faults_of(text, |_, draft, faults| {
            check::whole(text, draft, called, faults)
        })
    };
    let alone = beside(&CalledWorkflows::new());
    let mut faults = beside(called);
    faults.retain(|fault| !alone.contains(fault));
    faults
}

/// What a look at a file that can be read finds in it.
fn faults_of(text: &str, look: impl FnOnce(&Node<'_>, &Draft<'_>, &mut Faults)) -> Vec<Fault> {
    let mut faults = Faults::default();
    if let Some(root) = tree::grow(text, &mut faults)
        && let Some(draft) = read::workflow(&root, &mut faults)
    {
        look(&root, &draft, &mut faults);
    }
    faults.sorted(text)
}

fn check_call(call: &CallSpec, step: &Node<'_>, called: &CalledWorkflows, faults: &mut Faults) {
    let Some(named) = member(step, "workflow") else {
        return;
    };
    let name = &call.workflow;
    match called.get(&call.reference()) {
        None => {}
        Some(Called::NoWorkflow { nearest }) => {
            let fault = RawFault::new(format!("there is no workflow '{name}'"), &named.span);
            faults.add(fault.help(match nearest {
                Some(near) => format!("did you mean `{near}`?"),
                None => "store it first, with `fusion-kit workflow create`".to_owned(),
            }));
        }
        Some(Called::NoVersion) => {
            let version = call.version.unwrap_or_default();
            let message = format!("the workflow '{name}' has no version {version}");
            let help = format!("see them with `fusion-kit workflow versions {name}`");
            faults.add(RawFault::new(message, &named.span).help(help));
        }
        Some(Called::Known(definition)) => {
            for fault in call_faults(call, definition) {
                let (span, help) = place_of(&fault, step, &named.span, definition, faults);
                let message = format!("the inputs of '{name}' don't fit: {fault}");
                faults.add(RawFault::new(message, &span).help(help));
            }
        }
    }
}

/// Where an input is wrong, and the way out.
fn place_of(
    fault: &InputFault,
    step: &Node<'_>,
    named: &Span,
    definition: &WorkflowDefinition,
    faults: &Faults,
) -> (Span, String) {
    let given = |name: &str| {
        let value = member(step, "with").and_then(|with| member(with, name));
        value.map_or_else(|| named.clone(), |value| value.span.clone())
    };
    match fault {
        InputFault::Undeclared { name, .. } => {
            let declared = definition.inputs.keys().map(String::as_str);
            (given(name), faults.hint(name, "inputs", declared))
        }
        InputFault::Missing { name } => (named.clone(), format!("give it in `with`: {name}: …")),
        InputFault::WrongType { name, expected } => {
            let help = match expected {
                InputType::Files => "give files of a step: ${{ steps.STEP.files }}".to_owned(),
                InputType::String
                | InputType::Number
                | InputType::Integer
                | InputType::Boolean
                | InputType::Array
                | InputType::Object => {
                    format!("give a value of type {expected}, or one expression")
                }
            };
            (given(name), help)
        }
        InputFault::HandedOver { name } => (given(name), String::new()),
    }
}

/// What can be said of the inputs of a call before anything is evaluated.
#[must_use]
pub fn call_faults(call: &CallSpec, definition: &WorkflowDefinition) -> Vec<InputFault> {
    let mut faults: Vec<InputFault> = definition.undeclared_inputs(&call.with).collect();
    for (name, spec) in &definition.inputs {
        let given = call.with.get(name).filter(|value| !value.is_null());
        match given {
            None if needs(spec) => faults.push(InputFault::Missing { name: name.clone() }),
            Some(value) if !may_fit(spec.kind, value) => faults.push(InputFault::WrongType {
                name: name.clone(),
                expected: spec.kind,
            }),
            None | Some(_) => {}
        }
    }
    faults
}

const fn needs(spec: &InputSpec) -> bool {
    spec.required && spec.default.is_none()
}

/// Whether a value is of a type, or may be once its expressions are evaluated. Files are never written out.
fn may_fit(kind: InputType, value: &Value) -> bool {
    let is_open = |value: &Value| value.as_str().is_some_and(is_one_expression);
    if kind == InputType::Files {
        let list = value.as_array();
        return is_open(value) || list.is_some_and(|list| list.iter().all(is_open));
    }
    is_open(value) || kind.accepts(value)
}

#[cfg(test)]
mod tests {
    use fusion_core::InputType;
    use serde_json::json;

    use super::may_fit;

    #[test]
    fn a_value_fits_when_it_is_of_the_type_or_one_expression() {
        use InputType::{Array, Files, Integer, String};
        for (kind, value, fits) in [
            (Integer, json!(3), true),
            (Integer, json!("3"), false),
            (Integer, json!("${{ inputs.n }}"), true),
            (Integer, json!("n: ${{ inputs.n }}"), false),
            (String, json!("n: ${{ inputs.n }}"), true),
            (String, json!(3), false),
            (Array, json!(["${{ inputs.n }}"]), true),
            (Files, json!("${{ steps.a.files }}"), true),
            (Files, json!(["${{ item }}", "${{ inputs.n }}"]), true),
            (Files, json!([]), true),
            (
                Files,
                json!([{ "path": "a", "sha256": "1f", "bytes": 1 }]),
                false,
            ),
            (Files, json!("a.csv"), false),
        ] {
            assert_eq!(may_fit(kind, &value), fits, "{kind} {value}");
        }
    }
}
