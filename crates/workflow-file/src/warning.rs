//! What is likely not meant in a file that can run. A rule stands here only when it is nearly always right.

use std::collections::BTreeSet;

use fusion_core::{AgentSpec, Assignee, InputType};

use crate::expression::{Mention, Part, condition_part, mentions, parts};
use crate::fault::{Fault, Faults, RawFault};
use crate::place::key_of;
use crate::read::{Draft, StepDraft, Template, TemplateKind};
use crate::tree::Node;
use crate::{check, read, tree};

/// What a warning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An agent does no step, and no rule of the message flow names it.
    UnusedAgent,
    /// No expression names an input, and no step takes its files.
    UnusedInput,
    /// A step is asked for outputs of its own, and nothing names the step, though the workflow has outputs.
    UnusedOutputs,
    /// More entries of a list may be worked on at once than there are agents for.
    UselessParallel,
}

impl Rule {
    /// Its name, as it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnusedAgent => "unused-agent",
            Self::UnusedInput => "unused-input",
            Self::UnusedOutputs => "unused-outputs",
            Self::UselessParallel => "useless-parallel",
        }
    }
}

/// Something that is likely not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// By which rule.
    pub rule: Rule,
    /// What it is and where; the file runs all the same.
    pub fault: Fault,
}

/// Everything of a workflow file that is likely not meant, sorted by its place; nothing of a text with faults.
#[must_use]
pub fn warnings(text: &str) -> Vec<Warning> {
    let mut faults = Faults::default();
    let Some(root) = tree::grow(text, &mut faults) else {
        return Vec::new();
    };
    let Some(draft) = read::workflow(&root, &mut faults) else {
        return Vec::new();
    };
    check::whole(text, &draft, &crate::CalledWorkflows::new(), &mut faults);
    if !faults.is_empty() {
        return Vec::new();
    }
    let named = Named::of(&draft);
    let mut found = Vec::new();
    unused_inputs(&draft, &root, &named, &mut found);
    unused_agents(&draft, &mut found);
    for step in &draft.steps {
        unused_outputs(step, &draft, &named, &mut found);
        useless_parallel(step, &draft, &mut found);
    }
    let mut found: Vec<Warning> = found
        .into_iter()
        .map(|(rule, fault)| Warning {
            rule,
            fault: fault.located(text),
        })
        .collect();
    found.sort_by_key(|warning| (warning.fault.position.offset, warning.rule));
    found
}

type Found = Vec<(Rule, RawFault)>;

/// What the expressions of a file name.
#[derive(Debug, Default)]
struct Named {
    inputs: BTreeSet<String>,
    /// `inputs` by itself, which is all of them.
    all_inputs: bool,
    steps: BTreeSet<String>,
}

impl Named {
    fn of(draft: &Draft<'_>) -> Self {
        let mut named = Self::default();
        let of_steps = draft.steps.iter().flat_map(|step| &step.templates);
        for template in of_steps.chain(&draft.outputs).chain(&draft.choices) {
            named.read(template);
        }
        named
    }

    fn read(&mut self, template: &Template<'_>) {
        let found = match template.kind {
            TemplateKind::Text | TemplateKind::List => parts(template.text),
            TemplateKind::Condition => condition_part(template.text).map(|part| vec![part]),
        };
        for part in found.unwrap_or_default() {
            let Part::Expression { source, .. } = part else {
                continue;
            };
            for mention in mentions(source) {
                self.note(&mention);
            }
        }
    }

    fn note(&mut self, mention: &Mention<'_>) {
        let Mention::Variable(path) = mention else {
            return;
        };
        let names: Vec<&str> = path.iter().map(|name| name.text).collect();
        match names.as_slice() {
            ["inputs"] => self.all_inputs = true,
            ["inputs", name, ..] => {
                self.inputs.insert((*name).to_owned());
            }
            ["steps", id, ..] => {
                self.steps.insert((*id).to_owned());
            }
            _ => {}
        }
    }
}

fn unused_inputs(draft: &Draft<'_>, root: &Node<'_>, named: &Named, found: &mut Found) {
    if named.all_inputs {
        return;
    }
    let taken = |name: &str| {
        let takes = draft.steps.iter().flat_map(|step| &step.takes);
        takes.into_iter().any(|taken| taken.text == name)
    };
    for (name, input) in &draft.workflow().inputs {
        if named.inputs.contains(name) || taken(name) {
            continue;
        }
        let Some(span) = key_of(root, "inputs", name) else {
            continue;
        };
        let help = if input.kind == InputType::Files {
            format!("take it out, or name it in the `takes` of a step: `{name}`")
        } else {
            format!("take it out, or name it: ${{{{ inputs.{name} }}}}")
        };
        let fault = RawFault::new(format!("nothing uses the input '{name}'"), span);
        found.push((Rule::UnusedInput, fault.help(help)));
    }
}

fn unused_agents(draft: &Draft<'_>, found: &mut Found) {
    for name in &draft.agent_names {
        let Some(agent) = draft.workflow().agents.get(name.text) else {
            continue;
        };
        let works = draft
            .steps
            .iter()
            .any(|step| can_do(name.text, agent, step));
        if works || draft.flow.iter().any(|it| it.text == name.text) {
            continue;
        }
        let fault = RawFault::new(
            format!("the agent '{}' does no step", name.text),
            &name.span,
        );
        let help = "take it out, or name it as the `agent` of a step";
        found.push((Rule::UnusedAgent, fault.help(help)));
    }
}

fn can_do(name: &str, agent: &AgentSpec, step: &StepDraft<'_>) -> bool {
    match &step.spec.assignee {
        Assignee::Agent(wanted) => wanted == name,
        Assignee::Capabilities(wanted) => agent.capabilities.satisfies(wanted),
        Assignee::Runner => false,
    }
}

fn unused_outputs(step: &StepDraft<'_>, draft: &Draft<'_>, named: &Named, found: &mut Found) {
    let spec = &step.spec;
    // Rounds look at their own outputs; without outputs of the workflow those of its steps are what a run gives.
    if spec.outputs.is_empty() || spec.repeat.is_some() || draft.workflow().outputs.is_empty() {
        return;
    }
    if named.steps.contains(&spec.id) {
        return;
    }
    let message = format!("nothing uses the `outputs` of the step '{}'", spec.id);
    let help = format!(
        "take them out, or name one of them: ${{{{ steps.{}.outputs.{} }}}}",
        spec.id,
        spec.outputs.keys().next().map_or("", String::as_str)
    );
    found.push((
        Rule::UnusedOutputs,
        RawFault::new(message, &step.id).help(help),
    ));
}

fn useless_parallel(step: &StepDraft<'_>, draft: &Draft<'_>, found: &mut Found) {
    let most = step.spec.foreach.as_ref().and_then(|it| it.max_parallel);
    let is_of_agents = !matches!(step.spec.assignee, Assignee::Runner);
    let Some(most) = most.filter(|_| is_of_agents) else {
        return;
    };
    let agents = draft.workflow().agents.iter();
    let able = agents.filter(|(name, agent)| can_do(name, agent, step));
    let count: u64 = able.map(|(_, agent)| u64::from(agent.count)).sum();
    if u64::from(most) <= count {
        return;
    }
    let message = format!(
        "the step '{}' may work on {most} entries at once, and there {} for it",
        step.spec.id,
        if count == 1 {
            "is 1 agent".to_owned()
        } else {
            format!("are {count} agents")
        }
    );
    let help = "give an agent a greater `count`, or lower `max_parallel`";
    found.push((
        Rule::UselessParallel,
        RawFault::new(message, &step.id).help(help),
    ));
}
