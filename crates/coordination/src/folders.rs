//! Which agents have a folder: those whose work is in files or in commands, or who
//! find something there. The others have a record
//! of a workspace that is not there.

use fusion_core::{Agent, Seat, StepSpec, ToolGroup, WorkflowDefinition};

/// Whether an agent of a run is given a folder, and a user id where agents have their own.
pub(crate) fn has_folder(definition: &WorkflowDefinition, agent: &Agent) -> bool {
    let spec = definition.agent_of(&agent.name);
    let is_furnished = spec.is_some_and(|(_, spec)| !spec.workspace.is_usual());
    is_furnished || uses_folder(definition, agent) || runs_commands(definition, agent)
}

/// Whether an agent has the shell, is a runner, may do steps whose results commands check, or has its
/// workspace taken for the command of another step.
pub(crate) fn runs_commands(definition: &WorkflowDefinition, agent: &Agent) -> bool {
    let shares = |step: &StepSpec| {
        let commands = definition
            .steps
            .iter()
            .filter_map(|step| step.command.as_ref());
        let mut shared = commands.filter_map(|command| command.shared_with.as_ref());
        shared.any(|id| *id == step.id)
    };
    has_tools(definition, agent, &[ToolGroup::Shell])
        || agent.is_runner()
        || may_do(definition, agent, |step| {
            !step.verify.is_empty() || shares(step)
        })
}

/// Whether anything of an agent's work is in files: its tools, or what its steps check, hand over or
/// share. The folders of the others stay as they were made.
pub(crate) fn uses_folder(definition: &WorkflowDefinition, agent: &Agent) -> bool {
    has_tools(definition, agent, &[ToolGroup::Files, ToolGroup::Shell])
        || agent.is_runner()
        || may_do(definition, agent, |step| {
            !step.verify.is_empty() || !step.artifacts.is_empty()
        })
}

fn has_tools(definition: &WorkflowDefinition, agent: &Agent, groups: &[ToolGroup]) -> bool {
    let spec = definition.agent_of(&agent.name);
    spec.is_some_and(|(_, spec)| spec.tools.iter().any(|group| groups.contains(group)))
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
