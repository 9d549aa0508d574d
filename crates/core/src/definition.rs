//! What a workflow file says, checked and without its layout.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod call;
mod crew;
mod inputs;
mod step;

pub use call::{CallSpec, Reference, ReferenceFault};
pub(crate) use crew::runner_capabilities;
pub use crew::{Member, Seat, is_internal};
pub use inputs::{InputFault, InputSpec, InputType};
pub use step::{
    ApprovalSpec, Assignee, Backoff, CommandSpec, DEFAULT_TIMEOUT_SECONDS, ForeachSpec, OnExpiry,
    OnFailure, OnMax, RepeatSpec, RetrySpec, StepSpec,
};

use crate::transition::text_enum;
use crate::{Budget, CapabilitySet, FlowRule, SandboxSpec};

/// A workflow: inputs, agents, steps and outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkflowDefinition {
    /// The name people use.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What a run must be given.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Who does the work, by the name steps use.
    pub agents: BTreeMap<String, AgentSpec>,
    /// The nodes of the graph, in the order of the file.
    pub steps: Vec<StepSpec>,
    /// What a run gives back: name and template.
    pub outputs: BTreeMap<String, String>,
    /// The steps whose files a run hands over to the step that waits for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// What the model calls of a run may use in all.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// What the model calls of all runs may use together, of every version that has such a budget.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub total_budget: Budget,
    /// Which messages between its agents are allowed; `None` allows all, no rule allows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_flow: Option<Vec<FlowRule>>,
}

impl WorkflowDefinition {
    /// The step with this id.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&StepSpec> {
        self.steps.iter().find(|step| step.id == id)
    }
}

text_enum! {
    /// A group of tools that an agent may be given.
    ToolGroup {
        /// `read_file`, `write_file`, `edit_file`, `list_files`, `glob`, `grep`.
        Files = "files",
        /// `run_command`.
        Shell = "shell",
        /// `send_message`, `read_messages`, `wait_for_message`, `subscribe`, `unsubscribe`.
        Messages = "messages",
        /// `fetch_url`.
        Web = "web",
    }
}

/// One agent of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Name of a registered provider, or a template of it.
    pub provider: String,
    /// The model, in the provider's own spelling, or a template of it.
    pub model: String,
    /// What it can do.
    pub capabilities: CapabilitySet,
    /// How many of them a run has.
    #[serde(
        default = "AgentSpec::default_count",
        skip_serializing_if = "AgentSpec::is_one"
    )]
    pub count: u32,
    /// Its system prompt.
    pub instructions: String,
    /// What it may use.
    pub tools: Vec<ToolGroup>,
    /// Model calls in one step before the step fails.
    pub max_turns: u32,
    /// The same tool call with the same outcome, so often in a row, fails the step.
    #[serde(
        default = "AgentSpec::default_max_repeats",
        skip_serializing_if = "AgentSpec::repeats_as_usual"
    )]
    pub max_repeats: u32,
    /// What its model is given to read at one turn, in tokens; `None` leaves it to what is known of
    /// the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Upper bound of one answer, in tokens; `None` leaves it to the provider.
    pub max_tokens: Option<u32>,
    /// Sampling temperature, 0 to 2; `None` leaves it to the provider.
    pub temperature: Option<f64>,
    /// Other models, asked in this order when the first can't serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback_models: Vec<ModelChoice>,
    /// Further fields of its requests, as the provider spells them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub provider_options: Map<String, Value>,
    /// What its model calls may use in all.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
    /// The hosts that it may fetch pages from, as the file has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub web_hosts: Vec<String>,
    /// Patterns of the topics that it hears from its first turn on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<String>,
    /// What its commands may do beyond its workspace.
    #[serde(default, skip_serializing_if = "SandboxSpec::is_empty")]
    pub sandbox: SandboxSpec,
    /// What it works in at first.
    #[serde(default, skip_serializing_if = "WorkspaceSpec::is_usual")]
    pub workspace: WorkspaceSpec,
    /// What is done when it gets stuck.
    #[serde(default, skip_serializing_if = "StuckSpec::is_usual")]
    pub when_stuck: StuckSpec,
}

/// What is done when an agent gets stuck in a step: its turns are used up, or it went round in a circle
/// twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StuckSpec {
    /// How many other agents that can do the step are given it, one after the other.
    pub hand_over: u32,
    /// Whether a person is asked after that, before the step fails.
    pub ask: bool,
}

impl Default for StuckSpec {
    fn default() -> Self {
        Self {
            hand_over: 1,
            ask: false,
        }
    }
}

impl StuckSpec {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What an agent works in at first. Relative paths start from the folder of the workflow file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WorkspaceSpec {
    /// A folder of its own.
    Directory {
        /// The folder that is copied into it; empty without one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<String>,
    },
    /// The files of a git repository, with a history of its own; the repository is only read.
    Worktree {
        /// The folder of the repository.
        repository: String,
        /// The name of a branch, a tag or a commit; without it what is checked out there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<String>,
    },
}

impl Default for WorkspaceSpec {
    fn default() -> Self {
        Self::Directory { template: None }
    }
}

impl WorkspaceSpec {
    /// Whether it is an empty folder.
    #[must_use]
    pub const fn is_usual(&self) -> bool {
        matches!(self, Self::Directory { template: None })
    }
}

/// Model calls in one step when nobody says otherwise.
pub const DEFAULT_MAX_TURNS: u32 = 20;

impl AgentSpec {
    /// How often a call may be repeated when nobody says.
    #[must_use]
    pub const fn default_max_repeats() -> u32 {
        6
    }

    const fn default_count() -> u32 {
        1
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    const fn is_one(count: &u32) -> bool {
        *count == 1
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    const fn repeats_as_usual(repeats: &u32) -> bool {
        *repeats == Self::default_max_repeats()
    }

    /// One that only has a model.
    #[must_use]
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            provider: provider.into(),
            model: model.into(),
            capabilities: CapabilitySet::default(),
            count: Self::default_count(),
            instructions: String::new(),
            tools: Vec::new(),
            max_turns: DEFAULT_MAX_TURNS,
            max_repeats: Self::default_max_repeats(),
            context_tokens: None,
            max_tokens: None,
            temperature: None,
            fallback_models: Vec::new(),
            provider_options: Map::new(),
            budget: Budget::default(),
            web_hosts: Vec::new(),
            subscriptions: Vec::new(),
            sandbox: SandboxSpec::default(),
            workspace: WorkspaceSpec::default(),
            when_stuck: StuckSpec::default(),
        }
    }

    /// The models that may serve it as they are written, in order: its own first.
    pub fn models(&self) -> impl Iterator<Item = ModelChoice> {
        let own = ModelChoice {
            provider: self.provider.clone(),
            model: self.model.clone(),
        };
        std::iter::once(own).chain(self.fallback_models.iter().cloned())
    }
}

/// A model at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// Name of a registered provider.
    pub provider: String,
    /// The model, in the provider's own spelling.
    pub model: String,
}
