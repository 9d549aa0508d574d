//! From the tree to a draft: every key is read, and each value's own faults are told.
//!
//! A reader goes on after a fault with an empty value in its place, so that all faults are
//! told at once; a draft with faults is thrown away.

mod agents;
mod budget;
mod duration;
mod inputs;
mod messages;
mod models;
mod name;
mod sandbox;
mod section;
mod steps;
mod value;
mod web;
mod workspace;

use std::collections::BTreeMap;

use fusion_core::{DEFAULT_TIMEOUT_SECONDS, RetrySpec, StepSpec, WorkflowDefinition};

use crate::fault::{Faults, RawFault};
use crate::tree::{Kind, Node, Span};

use section::{Keys, Section, named};

/// The largest prompt or instruction, in bytes.
const MAX_TEXT_BYTES: usize = 256 * 1024;
const WORKFLOW: Keys = Keys {
    known: &[
        "version",
        "name",
        "description",
        "inputs",
        "defaults",
        "agents",
        "steps",
        "outputs",
        "artifacts",
        "budget",
        "total_budget",
        "message_flow",
    ],
    later: &["providers"],
};

const DEFAULTS: Keys = Keys {
    known: &["timeout", "retry"],
    later: &[],
};

/// A workflow as it is written, with the places of all that must still be checked as a whole.
pub(crate) struct Draft<'n> {
    /// The workflow; its steps are in `steps`.
    workflow: WorkflowDefinition,
    pub(crate) steps: Vec<StepDraft<'n>>,
    /// The templates of the workflow's outputs.
    pub(crate) outputs: Vec<Template<'n>>,
    /// The names of its agents.
    pub(crate) agent_names: Vec<Marked<'n>>,
    /// The steps whose files are the result of a run.
    pub(crate) artifacts: Vec<Marked<'n>>,
    /// The inputs that are files, where they are declared.
    pub(crate) file_inputs: Vec<Marked<'n>>,
    /// The agents that its message flow names.
    pub(crate) flow: Vec<Marked<'n>>,
    /// The providers and models of the agents: their expressions see what is known before a run.
    pub(crate) choices: Vec<Template<'n>>,
}

impl Draft<'_> {
    /// The workflow without its steps.
    pub(crate) fn workflow(&self) -> &WorkflowDefinition {
        &self.workflow
    }

    pub(crate) fn into_definition(self) -> WorkflowDefinition {
        WorkflowDefinition {
            steps: self.steps.into_iter().map(|step| step.spec).collect(),
            ..self.workflow
        }
    }
}

/// One step and the places of the names in it.
pub(crate) struct StepDraft<'n> {
    pub(crate) spec: StepSpec,
    pub(crate) id: Span,
    pub(crate) agent: Option<Marked<'n>>,
    pub(crate) capabilities: Vec<Marked<'n>>,
    pub(crate) needs: Vec<Marked<'n>>,
    /// The steps and the inputs whose files it takes.
    pub(crate) takes: Vec<Marked<'n>>,
    /// The step in whose workspace it works.
    pub(crate) shared_with: Option<Marked<'n>>,
    /// What is asked, the conditions and the list.
    pub(crate) templates: Vec<Template<'n>>,
}

/// A text and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Marked<'n> {
    pub(crate) text: &'n str,
    pub(crate) span: Span,
}

/// A text with expressions and where it is written.
pub(crate) struct Template<'n> {
    pub(crate) text: &'n str,
    pub(crate) written: &'n Span,
    pub(crate) kind: TemplateKind,
    /// What it can name beside what all templates of its place can.
    pub(crate) locals: Vec<Local>,
}

/// A name that only some templates of some steps can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    Item,
    Index,
    Round,
    Previous,
    Attempt,
    Outputs,
}

impl Local {
    pub(crate) const ALL: [Self; 6] = [
        Self::Item,
        Self::Index,
        Self::Round,
        Self::Previous,
        Self::Attempt,
        Self::Outputs,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Index => "index",
            Self::Round => "round",
            Self::Previous => "previous",
            Self::Attempt => "attempt",
            Self::Outputs => "outputs",
        }
    }

    /// Where it can be used.
    pub(crate) const fn place(self) -> &'static str {
        match self {
            Self::Item | Self::Index => "what is asked in a step with `foreach`",
            Self::Round | Self::Previous => {
                "what is asked in a step with `repeat`, and its `until`"
            }
            Self::Attempt => "what is asked in a step",
            Self::Outputs => "the `until` of a step with `repeat`",
        }
    }
}

/// What the steps have that do not say otherwise.
pub(crate) struct Defaults {
    timeout_seconds: u64,
    retry: Option<RetrySpec>,
}

/// How a text holds expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemplateKind {
    /// Text with `${{ }}` in it.
    Text,
    /// One expression, with or without `${{ }}`.
    Condition,
    /// One `${{ }}` and nothing else: its value is a list.
    List,
}

/// Reads the whole file. `None` when it is not a map at all.
pub(crate) fn workflow<'n>(root: &'n Node<'n>, faults: &mut Faults) -> Option<Draft<'n>> {
    if matches!(root.kind, Kind::Null) {
        let fault = RawFault::new("the file is empty", &(0..0));
        faults.add(fault.help("a workflow has `version: 1`, a `name` and `steps`"));
        return None;
    }
    let section = Section::open(root, "the workflow", &WORKFLOW, faults)?;
    read_version(&section, faults);
    let name = section
        .required("name", faults)
        .and_then(|node| value::text(node, "name", faults))
        .and_then(|text| name::label(&text, "the workflow's name", faults));
    let inputs = section.get("inputs", faults);
    let agents = section.get("agents", faults);
    let (outputs, output_templates) = section
        .get("outputs", faults)
        .map(|node| read_outputs(node, faults))
        .unwrap_or_default();
    let artifacts = section.get("artifacts", faults);
    let artifacts = artifacts.map(|node| value::texts(node, "artifacts", "step ids", faults));
    let artifacts = artifacts.unwrap_or_default();
    let defaults = read_defaults(&section, faults);
    let flow = section
        .get("message_flow", faults)
        .map(|node| messages::flow(node, faults));
    let (message_flow, flow) = flow.map(|flow| (flow.rules, flow.agents)).unzip();
    let declared = inputs.map(|node| inputs::read(node, faults));
    let declared = declared.unwrap_or_default();
    Some(Draft {
        file_inputs: inputs
            .map(|node| inputs::of_files(node, &declared))
            .unwrap_or_default(),
        workflow: WorkflowDefinition {
            name: name.unwrap_or_default().to_owned(),
            description: value::description(&section, faults),
            inputs: declared,
            agents: agents
                .map(|node| agents::read(node, faults))
                .unwrap_or_default(),
            steps: Vec::new(),
            outputs,
            artifacts: artifacts.iter().map(|step| step.text.to_owned()).collect(),
            budget: budget::read(&section, faults),
            total_budget: budget::named("total_budget", &section, faults),
            message_flow,
        },
        steps: section
            .required("steps", faults)
            .map(|node| steps::read(node, &defaults, faults))
            .unwrap_or_default(),
        outputs: output_templates,
        artifacts,
        agent_names: agents.map(agents::names).unwrap_or_default(),
        flow: flow.unwrap_or_default(),
        choices: agents.map(models::choices).unwrap_or_default(),
    })
}

fn read_version(section: &Section<'_>, faults: &mut Faults) {
    let Some(node) = section.required("version", faults) else {
        return;
    };
    if node.to_json() != 1 {
        faults.add(
            RawFault::new("`version` must be 1", &node.span)
                .help("it is the version of the file format, and 1 is the only one"),
        );
    }
}

fn read_defaults(workflow: &Section<'_>, faults: &mut Faults) -> Defaults {
    let node = workflow.get("defaults", faults);
    let section = node.and_then(|node| Section::open(node, "`defaults`", &DEFAULTS, faults));
    let timeout = section.as_ref().and_then(|section| {
        let node = section.get("timeout", faults)?;
        duration::seconds(node, "timeout", faults)
    });
    Defaults {
        timeout_seconds: timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
        retry: section.and_then(|section| {
            let node = section.get("retry", faults)?;
            steps::flow::retry(node, "`defaults`", faults)
        }),
    }
}

fn read_outputs<'n>(
    node: &'n Node<'n>,
    faults: &mut Faults,
) -> (BTreeMap<String, String>, Vec<Template<'n>>) {
    let mut outputs = BTreeMap::new();
    let mut templates = Vec::new();
    for (key, node) in named(node, "outputs", faults) {
        name::identifier(&key, "an output's name", faults);
        let Some(text) = value::long_text(node, &format!("outputs.{}", key.text), faults) else {
            continue;
        };
        outputs.insert(key.text.to_owned(), text.text.to_owned());
        templates.push(Template {
            text: text.text,
            written: &node.written,
            kind: TemplateKind::Text,
            locals: Vec::new(),
        });
    }
    (outputs, templates)
}
