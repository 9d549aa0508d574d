//! What an agent is told before it begins a task.

use std::time::Duration;

use fusion_core::{AgentId, RunId, TaskId, ToolGroup};
use fusion_web::Hosts;
use serde_json::{Map, Value};

/// One task, ready to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskBrief {
    /// The task.
    pub task_id: TaskId,
    /// Its run.
    pub run_id: RunId,
    /// The agent.
    pub agent_id: AgentId,
    /// The step's id in the workflow file.
    pub step: String,
    /// The workflow's name.
    pub workflow: String,
    /// The agent's name in the workflow file.
    pub agent: String,
    /// The agent's own instructions.
    pub instructions: String,
    /// The model, as the provider resolved it.
    pub model: String,
    /// The rendered prompt.
    pub prompt: String,
    /// The names of the run's other agents.
    pub peers: Vec<String>,
    /// What the agent may use.
    pub tools: Vec<ToolGroup>,
    /// The hosts that it may fetch pages from.
    pub hosts: Hosts,
    /// Model calls before the task fails.
    pub max_turns: u32,
    /// The same call of a tool with the same outcome, so often in a row, fails the task; at half of it
    /// the agent is told.
    pub max_repeats: u32,
    /// What the model may be given to read at one turn, in tokens.
    pub context_tokens: u64,
    /// Upper bound of one answer, in tokens.
    pub max_tokens: Option<u32>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Further fields of its requests, as the provider spells them.
    pub provider_options: Map<String, Value>,
    /// JSON Schema of the outputs as one object; `None` makes the answer's text the output.
    pub output_schema: Option<Value>,
    /// Shell commands that must pass in the workspace before the task is done.
    pub verify: Vec<String>,
    /// How long one command may take at most.
    pub command_timeout: Duration,
    /// Which time the task is begun anew, for another round or attempt: 1 is the first.
    pub renewal: u32,
    /// The last number used in the task's journal before that.
    pub journal_from: u32,
}

impl TaskBrief {
    /// What its journal entries belong to.
    pub(crate) const fn ids(&self) -> (TaskId, RunId) {
        (self.task_id, self.run_id)
    }

    /// How a script tells this work from other work on the same step.
    pub(crate) fn place(&self) -> String {
        if self.renewal > 1 {
            format!("{}#{}", self.step, self.renewal)
        } else {
            self.step.clone()
        }
    }

    /// Whether the outputs are the answer itself, bound to their schema by the provider: so for an
    /// agent without tools. With tools they are handed in by a tool, so that the model can tell
    /// them from what it says on the way.
    pub(crate) fn answers_with_outputs(&self) -> bool {
        self.tools.is_empty() && self.output_schema.is_some()
    }
}
