//! What agents of a run need their folders for.

use fusion_core::{Agent, Seat, StepSpec, ToolGroup, WorkflowDefinition};

/// Whether an agent has the shell, is a runner, may do steps whose results commands check, or has its
/// workspace taken for the command of another step.
pub(crate) fn runs_commands(definition: &WorkflowDefinition, agent: &Agent) -> bool {
    has_tools(definition, agent, &[ToolGroup::Shell])
        || agent.is_runner()
        || may_do(definition, agent, |step| {
            !step.verify.is_empty() || shares(definition, step)
        })
}

/// Whether anything of an agent's work is in files: its tools, or what its steps check, hand over or
/// share. The folders of the others stay as they were made.
pub(crate) fn uses_folder(definition: &WorkflowDefinition, agent: &Agent) -> bool {
    has_tools(definition, agent, &[ToolGroup::Files, ToolGroup::Shell])
        || agent.is_runner()
        || may_do(definition, agent, |step| {
            !(step.verify.is_empty() && step.artifacts.is_empty() && step.takes.is_empty())
        })
}

fn has_tools(definition: &WorkflowDefinition, agent: &Agent, groups: &[ToolGroup]) -> bool {
    let spec = definition.agent_of(&agent.name);
    spec.is_some_and(|(_, spec)| spec.tools.iter().any(|group| groups.contains(group)))
}

/// Whether commands of other steps may run in an agent's workspace.
pub(crate) fn is_shared(definition: &WorkflowDefinition, agent: &Agent) -> bool {
    may_do(definition, agent, |step| shares(definition, step))
}

/// Whether the command of another step runs in the workspace of who did this one.
fn shares(definition: &WorkflowDefinition, step: &StepSpec) -> bool {
    let commands = definition
        .steps
        .iter()
        .filter_map(|step| step.command.as_ref());
    let mut shared = commands.filter_map(|command| command.shared_with.as_ref());
    shared.any(|id| *id == step.id)
}

/// Whether an agent may do a step that is so.
fn may_do(
    definition: &WorkflowDefinition,
    agent: &Agent,
    is_so: impl Fn(&StepSpec) -> bool,
) -> bool {
    let may_do = |step: &&StepSpec| match definition.seat(step) {
        Seat::Agent(name) => name == agent.name,
        Seat::Pool(required) => agent.capabilities.satisfies(&required),
    };
    definition.steps.iter().filter(may_do).any(is_so)
}
