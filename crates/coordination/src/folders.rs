//! What agents of a run need their folders for.

use std::collections::{BTreeMap, HashMap, HashSet};

use fusion_core::{Agent, CapabilitySet, Seat, StepSpec, ToolGroup, WorkflowDefinition};

/// What the steps of a workflow do in the folders of those who do them, by who that may be. Worked
/// out once: it is asked for at each step, and a workflow may have ten thousand.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    of_agents: HashMap<String, Needs>,
    of_pools: Vec<(CapabilitySet, Needs)>,
}

/// What some steps do in folders.
#[derive(Debug, Default, Clone, Copy)]
struct Needs {
    /// Commands check a result.
    verifies: bool,
    /// Files are checked, handed over or taken over.
    has_files: bool,
    /// The command of another step runs there.
    is_shared: bool,
}

impl Needs {
    fn of(step: &StepSpec, shared: &HashSet<&str>) -> Self {
        let verifies = !step.verify.is_empty();
        Self {
            verifies,
            has_files: verifies || !step.artifacts.is_empty() || !step.takes.is_empty(),
            is_shared: shared.contains(step.id.as_str()),
        }
    }

    const fn and(self, other: Self) -> Self {
        Self {
            verifies: self.verifies || other.verifies,
            has_files: self.has_files || other.has_files,
            is_shared: self.is_shared || other.is_shared,
        }
    }
}

impl Folders {
    pub(crate) fn of(definition: &WorkflowDefinition) -> Self {
        let steps = definition.steps.iter();
        let commands = steps.clone().filter_map(|step| step.command.as_ref());
        let shared = commands.filter_map(|command| command.shared_with.as_deref());
        let shared = shared.collect();
        let mut folders = Self::default();
        let mut of_pools: BTreeMap<CapabilitySet, Needs> = BTreeMap::new();
        for step in steps {
            let needs = match definition.seat(step) {
                Seat::Agent(name) => folders.of_agents.entry(name.to_owned()).or_default(),
                Seat::Pool(required) => of_pools.entry(required).or_default(),
            };
            *needs = needs.and(Needs::of(step, &shared));
        }
        folders.of_pools = of_pools.into_iter().collect();
        folders
    }

    /// Whether an agent has the shell, is a runner, may do steps whose results commands check, or has its
    /// workspace taken for the command of another step.
    pub(crate) fn run_commands(&self, definition: &WorkflowDefinition, agent: &Agent) -> bool {
        let needs = self.needs(agent);
        has_tools(definition, agent, &[ToolGroup::Shell])
            || agent.is_runner()
            || needs.verifies
            || needs.is_shared
    }

    /// Whether anything of an agent's work is in files: its tools, or what its steps check, hand over or
    /// share. The folders of the others stay as they were made.
    pub(crate) fn are_used(&self, definition: &WorkflowDefinition, agent: &Agent) -> bool {
        has_tools(definition, agent, &[ToolGroup::Files, ToolGroup::Shell])
            || agent.is_runner()
            || self.needs(agent).has_files
    }

    /// Whether commands of other steps may run in an agent's workspace.
    pub(crate) fn are_shared(&self, agent: &Agent) -> bool {
        self.needs(agent).is_shared
    }

    /// Of all steps that an agent may do.
    fn needs(&self, agent: &Agent) -> Needs {
        let own = self.of_agents.get(&agent.name).copied();
        let pools = self.of_pools.iter();
        let pools = pools.filter(|(required, _)| agent.capabilities.satisfies(required));
        pools.fold(own.unwrap_or_default(), |all, (_, needs)| all.and(*needs))
    }
}

fn has_tools(definition: &WorkflowDefinition, agent: &Agent, groups: &[ToolGroup]) -> bool {
    let spec = definition.agent_of(&agent.name);
    spec.is_some_and(|(_, spec)| spec.tools.iter().any(|group| groups.contains(group)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fusion_core::{Agent, AgentId, AgentState, Member, WorkflowDefinition};
    use serde_json::json;
    use uuid::Uuid;

    use super::Folders;

    const FLOW: &str = "
version: 1
name: w
agents:
  pair: { provider: scripted, model: m, count: 2 }
  checked: { provider: scripted, model: m, capabilities: [checks] }
  shared: { provider: scripted, model: m }
  giver: { provider: scripted, model: m }
  writer: { provider: scripted, model: m, tools: [files] }
  shell: { provider: scripted, model: m, tools: [shell] }
steps:
  - { id: talk, agent: pair, prompt: Go }
  - { id: check, capabilities: [checks], prompt: Go, verify: ['true'] }
  - { id: make, agent: shared, prompt: Go }
  - { id: give, agent: giver, prompt: Go, artifacts: ['*.md'] }
  - { id: use, needs: [make], run: ls, workspace: { shared_with: make } }
  - { id: write, agent: writer, prompt: Go }
  - { id: act, agent: shell, prompt: Go }
";

    fn agent(member: Member<'_>) -> Agent {
        Agent {
            id: AgentId::from_uuid(Uuid::nil()),
            name: member.name,
            state: AgentState::Idle,
            created_at: chrono::DateTime::UNIX_EPOCH,
            updated_at: chrono::DateTime::UNIX_EPOCH,
            last_heartbeat: None,
            workspace_path: String::new(),
            provider: String::new(),
            provider_id: None,
            model_name: String::new(),
            capabilities: member.capabilities,
            metadata: json!({}),
            message_subscriptions: Vec::new(),
            project_id: None,
            run_id: None,
            version: 1,
        }
    }

    /// Whether an agent runs commands, has files, and shares its folder.
    fn needs(flow: &WorkflowDefinition) -> BTreeMap<String, [bool; 3]> {
        let folders = Folders::of(flow);
        let crew = flow.crew().into_iter().map(agent);
        let needs = crew.map(|agent| {
            let needs = [
                folders.run_commands(flow, &agent),
                folders.are_used(flow, &agent),
                folders.are_shared(&agent),
            ];
            (agent.name, needs)
        });
        needs.collect()
    }

    #[test]
    fn what_is_needed_of_a_folder_follows_from_the_tools_and_all_steps_that_an_agent_may_do() {
        let flow = fusion_workflow_file::parse(FLOW).unwrap();
        let wanted = [
            ("checked", [true, true, false]),
            ("giver", [false, true, false]),
            ("pair-1", [false, false, false]),
            ("pair-2", [false, false, false]),
            ("run:1", [true, true, false]),
            ("shared", [true, false, true]),
            ("shell", [true, true, false]),
            ("writer", [false, true, false]),
        ];
        let wanted = wanted.map(|(name, needs)| (name.to_owned(), needs));
        assert_eq!(needs(&flow), BTreeMap::from(wanted));
    }
}
