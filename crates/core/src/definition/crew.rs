//! Which agents a run has, and how its tasks find them.

use crate::{AgentSpec, Assignee, CapabilitySet, StepSpec, WorkflowDefinition};

/// Runners of a run at most: commands that can run at once.
const MAX_RUNNERS: u32 = 8;

/// What only runners can do. No file can name it: a capability has no colon.
const RUNNER: &str = "run:";

/// Who does the tasks of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seat<'a> {
    /// The agent of this name.
    Agent(&'a str),
    /// Whoever can do all of these and is free first.
    Pool(CapabilitySet),
}

/// An agent that a run has.
#[derive(Debug, Clone, PartialEq)]
pub struct Member<'a> {
    /// Its name in the run.
    pub name: String,
    /// The agent of the file that it is; `None` for a runner.
    pub of: Option<(&'a str, &'a AgentSpec)>,
    /// What it can do: those of the file, and the one by which the tasks of its name find it.
    pub capabilities: CapabilitySet,
}

impl WorkflowDefinition {
    /// Who does the tasks of a step.
    #[must_use]
    pub fn seat<'a>(&'a self, step: &'a StepSpec) -> Seat<'a> {
        match &step.assignee {
            Assignee::Capabilities(set) => Seat::Pool(set.clone()),
            Assignee::Runner => Seat::Pool(runner_capabilities()),
            Assignee::Agent(name) => match self.agents.get(name) {
                Some(spec) if spec.count > 1 => Seat::Pool([of_name(name)].into_iter().collect()),
                Some(_) | None => Seat::Agent(name),
            },
        }
    }

    /// Every agent of a run: those of the file, each as often as it says, then the runners.
    #[must_use]
    pub fn crew(&self) -> Vec<Member<'_>> {
        let mut crew = Vec::new();
        for (name, spec) in &self.agents {
            let of = Some((name.as_str(), spec));
            if spec.count <= 1 {
                crew.push(Member {
                    name: name.clone(),
                    of,
                    capabilities: spec.capabilities.clone(),
                });
                continue;
            }
            let capabilities = spec.capabilities.iter().map(str::to_owned);
            let capabilities: CapabilitySet = capabilities.chain([of_name(name)]).collect();
            crew.extend((1..=spec.count).map(|number| Member {
                name: copy_of(name, number),
                of,
                capabilities: capabilities.clone(),
            }));
        }
        crew.extend((1..=self.runners()).map(|number| Member {
            name: format!("{RUNNER}{number}"),
            of: None,
            capabilities: runner_capabilities(),
        }));
        crew
    }

    /// The agent of the file that an agent of the run is, by its name in the run.
    #[must_use]
    pub fn agent_of(&self, name: &str) -> Option<(&str, &AgentSpec)> {
        if let Some((name, spec)) = self.agents.get_key_value(name) {
            return Some((name, spec));
        }
        let (base, number) = name.rsplit_once('-')?;
        let number: u32 = number.parse().ok()?;
        let (base, spec) = self.agents.get_key_value(base)?;
        ((1..=spec.count).contains(&number) && spec.count > 1 && name == copy_of(base, number))
            .then_some((base, spec))
    }

    /// How many runners a run has: as many as commands can be at work at once, eight at most, and one that
    /// begins the runs of other workflows and looks at their ends.
    fn runners(&self) -> u32 {
        let width = |step: &StepSpec| match (&step.command, &step.foreach) {
            (Some(_), Some(foreach)) => foreach.max_parallel.unwrap_or(MAX_RUNNERS),
            (Some(_), None) => 1,
            (None, _) => 0,
        };
        let widths = self.steps.iter().map(width);
        let commands = widths.fold(0, u32::saturating_add).min(MAX_RUNNERS);
        commands + u32::from(self.has_calls())
    }
}

/// What a runner can do, and nobody else.
pub(crate) fn runner_capabilities() -> CapabilitySet {
    [RUNNER].into_iter().collect()
}

/// Whether a capability is one that no file can name: it is not shown.
#[must_use]
pub fn is_internal(capability: &str) -> bool {
    capability.contains(':')
}

/// The capability by which the tasks of several agents of one name find them.
fn of_name(name: &str) -> String {
    format!("agent:{name}")
}

/// The name of one of several.
fn copy_of(name: &str, number: u32) -> String {
    format!("{name}-{number}")
}

#[cfg(test)]
mod tests {
    use super::{Member, Seat};
    use crate::{
        AgentSpec, Assignee, Budget, CallSpec, CapabilitySet, CommandSpec, ForeachSpec, StepSpec,
        WorkflowDefinition,
    };

    fn command(id: &str, max_parallel: Option<u32>) -> StepSpec {
        StepSpec {
            command: Some(CommandSpec {
                script: "true".to_owned(),
                repeatable: false,
                shared_with: None,
            }),
            foreach: max_parallel.map(|at_once| ForeachSpec {
                items: "${{ inputs.list }}".to_owned(),
                max_parallel: Some(at_once),
            }),
            ..StepSpec::new(id, Assignee::Runner, "")
        }
    }

    fn call(id: &str) -> StepSpec {
        StepSpec {
            call: Some(CallSpec {
                workflow: "other".to_owned(),
                version: None,
                with: [].into_iter().collect(),
                timeout_seconds: None,
            }),
            ..StepSpec::new(id, Assignee::Runner, "")
        }
    }

    fn workflow(steps: Vec<StepSpec>) -> WorkflowDefinition {
        let coder = AgentSpec {
            count: 2,
            capabilities: ["coding"].into_iter().collect(),
            ..AgentSpec::new("p", "m")
        };
        WorkflowDefinition {
            name: "w".into(),
            description: String::new(),
            inputs: [].into(),
            agents: [
                ("coder".into(), coder),
                ("one".into(), AgentSpec::new("p", "m")),
            ]
            .into(),
            steps,
            outputs: [].into(),
            artifacts: vec![],
            budget: Budget::default(),
            total_budget: Budget::default(),
            message_flow: None,
        }
    }

    fn names(workflow: &WorkflowDefinition) -> Vec<String> {
        workflow
            .crew()
            .into_iter()
            .map(|member| member.name)
            .collect()
    }

    #[test]
    fn an_agent_is_there_as_often_as_the_file_says_and_runners_as_commands_can_run_at_once() {
        assert_eq!(names(&workflow(vec![])), ["coder-1", "coder-2", "one"]);
        let two = workflow(vec![command("a", None), command("b", None)]);
        assert_eq!(names(&two)[3..], ["run:1", "run:2"]);
        let wide = workflow(vec![command("a", Some(100))]);
        assert_eq!(names(&wide).len(), 3 + 8);
        let calling = workflow(vec![call("a"), call("b")]);
        assert_eq!(names(&calling)[3..], ["run:1"]);
    }

    #[test]
    fn the_tasks_of_a_name_that_several_agents_have_are_done_by_any_of_these_and_no_other() {
        let workflow = workflow(vec![command("a", None)]);
        let seat = |assignee| {
            let step = StepSpec::new("s", assignee, "");
            match workflow.seat(&step) {
                Seat::Agent(name) => vec![name.to_owned()],
                Seat::Pool(wanted) => {
                    let can = |member: &Member<'_>| member.capabilities.satisfies(&wanted);
                    let crew = workflow.crew().into_iter();
                    crew.filter(can).map(|member| member.name).collect()
                }
            }
        };
        assert_eq!(
            seat(Assignee::Agent("coder".into())),
            ["coder-1", "coder-2"]
        );
        assert_eq!(seat(Assignee::Agent("one".into())), ["one"]);
        assert_eq!(seat(Assignee::Runner), ["run:1"]);
        let coding: CapabilitySet = ["coding"].into_iter().collect();
        assert_eq!(seat(Assignee::Capabilities(coding)), ["coder-1", "coder-2"]);
    }

    #[test]
    fn an_agent_of_a_run_is_found_in_the_file_by_its_name() {
        let workflow = workflow(vec![command("a", None)]);
        let found = |name| workflow.agent_of(name).map(|(name, _)| name);
        assert_eq!(found("coder-2"), Some("coder"));
        assert_eq!(found("one"), Some("one"));
        for unknown in ["coder-3", "coder-0", "coder-01", "one-1", "run:1", "x"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }
}
