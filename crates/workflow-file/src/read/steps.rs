//! The `steps` of a workflow.

mod approval;
mod call;
mod command;
pub(super) mod flow;
mod results;

use fusion_core::{Assignee, Budget, StepSpec};

use crate::fault::{Faults, RawFault};
use crate::read::section::{Keys, Section};
use crate::read::{
    Defaults, Local, Marked, StepDraft, Template, TemplateKind, agents, budget, duration, name,
    value,
};
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
        "takes",
        "verify",
        "timeout",
        "priority",
        "workspace",
        "approval",
        "run",
        "repeatable",
        "retry",
        "on_failure",
        "foreach",
        "max_parallel",
        "repeat",
        "budget",
        "workflow",
        "with",
    ],
    later: &[],
};

/// Reads all steps; `defaults` is what a step has that does not say otherwise.
pub(super) fn read<'n>(
    node: &'n Node<'n>,
    defaults: &Defaults,
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
        .filter_map(|(number, item)| read_one(number + 1, item, defaults, faults))
        .collect()
}

fn read_one<'n>(
    number: usize,
    node: &'n Node<'n>,
    defaults: &Defaults,
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
    let takes = section
        .get("takes", faults)
        .map(|node| value::texts(node, "takes", "ids of steps or names of inputs", faults))
        .unwrap_or_default();
    let shared_with = command::workspace(&section, faults);
    if let (Some(key), true) = (section.key("takes"), shared_with.is_some()) {
        let fault = RawFault::new("`takes` is for a workspace of its own", key);
        faults.add(fault.help("what a shared workspace has is there already"));
    }
    let mut templates = Vec::new();
    let mut spec = read_spec(&section, defaults, &mut templates, faults);
    if let Some(command) = &mut spec.command {
        command.shared_with = shared_with.as_ref().map(|step| step.text.to_owned());
    }
    if let Some(id) = &id {
        id.text.clone_into(&mut spec.id);
    }
    spec.takes = takes.iter().map(|step| step.text.to_owned()).collect();
    spec.needs = needs.iter().map(|need| need.text.to_owned()).collect();
    spec.assignee = match &agent {
        Some(agent) => Assignee::Agent(agent.text.to_owned()),
        None if is_for_a_runner(&section) => Assignee::Runner,
        None => Assignee::Capabilities(capabilities.iter().map(|name| name.text).collect()),
    };
    Some(StepDraft {
        spec,
        id: id.map_or_else(|| section.start().clone(), |id| id.span),
        agent,
        capabilities,
        needs,
        takes,
        shared_with,
        templates,
    })
}

/// What a step says beside its id, its needs and who does it.
fn read_spec<'n>(
    section: &Section<'n>,
    defaults: &Defaults,
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> StepSpec {
    let locals = locals(section);
    let mut call = call::read(section, &locals, templates, faults);
    let own_timeout = match &mut call {
        Some(call) => {
            call.timeout_seconds = call::timeout(section, faults);
            None
        }
        None => section
            .get("timeout", faults)
            .and_then(|node| duration::seconds(node, "timeout", faults)),
    };
    let priority = section
        .get("priority", faults)
        .and_then(|node| value::whole_number(node, "priority", i32::MIN..=i32::MAX, faults));
    let retry = section.get("retry", faults);
    let retry = retry.and_then(|node| flow::retry(node, section.owner(), faults));
    StepSpec {
        condition: read_condition(section, templates, faults),
        prompt: read_prompt(section, &locals, templates, faults),
        outputs: results::outputs(section, faults),
        artifacts: results::artifacts(section, faults),
        verify: read_verify(section, faults),
        timeout_seconds: own_timeout.unwrap_or(defaults.timeout_seconds),
        priority: priority.unwrap_or(0),
        retry: retry.or(defaults.retry),
        on_failure: flow::on_failure(section, faults),
        command: command::read(section, &locals, templates, faults),
        call,
        foreach: flow::foreach(section, templates, faults),
        repeat: flow::repeat(section, &locals, templates, faults),
        approval: approval::read(section, templates, faults),
        budget: read_budget(section, faults),
        ..StepSpec::new("", Assignee::Runner, "")
    }
}

/// What an agent may use for the step: a command asks no model.
fn read_budget(section: &Section<'_>, faults: &mut Faults) -> Budget {
    let budget = budget::read(section, faults);
    if let (Some(key), Some(_)) = (section.key("budget"), section.key("run")) {
        faults.add(RawFault::new(
            "a step with `run` asks no model: it needs no `budget`",
            key,
        ));
    }
    budget
}

/// Whether no agent of the file does it.
fn is_for_a_runner(section: &Section<'_>) -> bool {
    section.key("run").is_some() || section.key("workflow").is_some()
}

/// The names that what is asked can hold in this step alone.
fn locals(section: &Section<'_>) -> Vec<Local> {
    let mut locals = vec![Local::Attempt];
    if section.key("foreach").is_some() {
        locals.extend([Local::Item, Local::Index]);
    }
    if section.key("repeat").is_some() {
        locals.extend([Local::Round, Local::Previous]);
    }
    locals
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
    if is_for_a_runner(section) {
        return (None, Vec::new());
    }
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
        locals: Vec::new(),
    });
    Some(text.text.to_owned())
}

fn read_prompt<'n>(
    section: &Section<'n>,
    locals: &[Local],
    templates: &mut Vec<Template<'n>>,
    faults: &mut Faults,
) -> String {
    if is_for_a_runner(section) {
        return String::new();
    }
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
        locals: locals.to_vec(),
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
