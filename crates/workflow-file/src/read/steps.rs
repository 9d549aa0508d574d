//! The `steps` of a workflow.

mod approval;
mod results;

use fusion_core::{Assignee, StepSpec};

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::{Marked, StepDraft, Template, TemplateKind, agents, duration, name, value};
use crate::tree::{Kind, Node};

const MAX_STEPS: usize = 10_000;

const STEP: Keys = Keys {
    known: &[
        "id",
        "agent",
        "capabilities",
        "needs",
        "if",
        "prompt",
        "outputs",
        "artifacts",
        "verify",
        "timeout",
        "priority",
        "workspace",
        "approval",
    ],
    later: &[
        "foreach",
        "repeat",
        "run",
        "retry",
        "on_failure",
        "budget",
        "workflow",
    ],
};

const WORKSPACE: Keys = Keys {
    known: &["type"],
    later: &[],
};

/// Kinds of workspace that the format has and this version does not build yet.
const LATER_WORKSPACES: [&str; 2] = ["worktree", "shared"];

/// Reads all steps; `timeout` is what a step takes that does not name its own.
pub(super) fn read<'n>(
    node: &'n Node<'n>,
    timeout: u64,
    faults: &mut Faults,
) -> Vec<StepDraft<'n>> {
    let Kind::List(items) = &node.kind else {
        faults.add(RawFault::new("`steps` must be a list of steps", &node.span));
        return Vec::new();
    };
    if items.is_empty() {
        faults.add(RawFault::new("`steps` has no step", &node.span));
    }
    if items.len() > MAX_STEPS {
        let message = format!("the workflow has more than {MAX_STEPS} steps");
        faults.add(RawFault::new(message, &node.span));
    }
    items
        .iter()
        .take(MAX_STEPS)
        .enumerate()
        .filter_map(|(number, item)| read_one(number + 1, item, timeout, faults))
        .collect()
}

fn read_one<'n>(
    number: usize,
    node: &'n Node<'n>,
    timeout: u64,
    faults: &mut Faults,
) -> Option<StepDraft<'n>> {
    let section = Section::open(node, owner(number, node), &STEP, faults)?;
    let id = section
        .required("id", faults)
        .and_then(|node| value::text(node, "id", faults));
    if let Some(id) = &id {
        name::identifier(id, "a step's id", faults);
    }
    let (agent, capabilities) = read_assignee(&section, faults);
    let needs = section
        .get("needs", faults)
        .map(|node| value::texts(node, "needs", "step ids", faults))
        .unwrap_or_default();
    let mut templates = Vec::new();
    let condition = read_condition(&section, &mut templates, faults);
    let prompt = read_prompt(&section, &mut templates, faults);
    check_workspace(&section, faults);
    let approval = approval::read(&section, &mut templates, faults);
    let own_timeout = section
        .get("timeout", faults)
        .and_then(|node| duration::seconds(node, "timeout", faults));
    let priority = section
        .get("priority", faults)
        .and_then(|node| value::whole_number(node, "priority", i32::MIN..=i32::MAX, faults));
    Some(StepDraft {
        spec: StepSpec {
            id: id
                .as_ref()
                .map_or_else(String::new, |id| id.text.to_owned()),
            assignee: match &agent {
                Some(agent) => Assignee::Agent(agent.text.to_owned()),
                None => Assignee::Capabilities(capabilities.iter().map(|name| name.text).collect()),
            },
            needs: needs.iter().map(|need| need.text.to_owned()).collect(),
            condition,
            prompt,
            outputs: results::outputs(&section, faults),
            artifacts: results::artifacts(&section, faults),
            verify: read_verify(&section, faults),
            timeout_seconds: own_timeout.unwrap_or(timeout),
            priority: priority.unwrap_or(0),
            approval,
        },
        id: id.map_or_else(|| section.start().clone(), |id| id.span),
        agent,
        capabilities,
        needs,
        templates,
    })
}

/// "step 'plan'", or "step 3" as long as it has no id.
fn owner(number: usize, node: &Node<'_>) -> String {
    let id = match &node.kind {
        Kind::Map(entries) => entries.iter().find(|(key, _)| key.name == "id"),
        Kind::List(_) | Kind::Text(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null => None,
    };
    match id.map(|(_, node)| &node.kind) {
        Some(Kind::Text(id)) => format!("step '{id}'"),
        Some(Kind::Map(_) | Kind::List(_) | Kind::Number(_) | Kind::Boolean(_) | Kind::Null)
        | None => format!("step {number}"),
    }
}

fn read_assignee<'n>(
    section: &Section<'n>,
    faults: &mut Faults,
) -> (Option<Marked<'n>>, Vec<Marked<'n>>) {
    match (section.key("agent"), section.key("capabilities")) {
        (None, None) => {
            let message = format!("{} has neither `agent` nor `capabilities`", section.owner());
            let fault = RawFault::new(message, section.start());
            faults.add(fault.help("say which agent runs it, or what an agent must be able to do"));
        }
        (Some(_), Some(second)) => {
            let message = format!("{} has both `agent` and `capabilities`", section.owner());
            faults.add(RawFault::new(message, second).help("keep one of them"));
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    let agent = section
        .get("agent", faults)
        .and_then(|node| value::text(node, "agent", faults));
    let Some(node) = section.get("capabilities", faults) else {
        return (agent, Vec::new());
    };
    if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
        let message = "`capabilities` of a step must name at least one";
        faults.add(RawFault::new(message, &node.span));
    }
    (agent, agents::capabilities(node, faults))
}

fn read_condition<'n>(
    section: &Section<'n>,
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> Option<String> {
    let node = section.get("if", faults)?;
    if let Kind::Boolean(value) = node.kind {
        return Some(value.to_string());
    }
    let text = value::long_text(node, "if", faults)?;
    templates.push(Template {
        text: text.text,
        written: &node.written,
        kind: TemplateKind::Condition,
    });
    Some(text.text.to_owned())
}

fn read_prompt<'n>(
    section: &Section<'n>,
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> String {
    let Some(node) = section.required("prompt", faults) else {
        return String::new();
    };
    let Some(text) = value::long_text(node, "prompt", faults) else {
        return String::new();
    };
    templates.push(Template {
        text: text.text,
        written: &node.written,
        kind: TemplateKind::Text,
    });
    text.text.to_owned()
}

fn read_verify(section: &Section<'_>, faults: &mut Faults) -> Vec<String> {
    let Some(node) = section.get("verify", faults) else {
        return Vec::new();
    };
    value::texts(node, "verify", "shell commands", faults)
        .into_iter()
        .map(|command| command.text.to_owned())
        .collect()
}

/// Every step works in a directory; the key is there for the kinds to come.
fn check_workspace(section: &Section<'_>, faults: &mut Faults) {
    let Some(node) = section.get("workspace", faults) else {
        return;
    };
    let kind = if let Kind::Text(_) = node.kind {
        Some(node)
    } else {
        Section::open(node, "`workspace`", &WORKSPACE, faults)
            .and_then(|workspace| workspace.required("type", faults))
    };
    let Some(kind) = kind.and_then(|node| value::text(node, "type", faults)) else {
        return;
    };
    if LATER_WORKSPACES.contains(&kind.text) {
        let message = format!("a workspace of type `{}` is not supported yet", kind.text);
        faults.add(RawFault::new(message, &kind.span).help("use `directory`"));
    } else if kind.text != "directory" {
        let help = faults.hint(kind.text, "types", ["directory"].into_iter());
        let message = format!("unknown type of workspace `{}`", kind.text);
        faults.add(RawFault::new(message, &kind.span).help(help));
    }
}
