//! One step of a workflow file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::transition::text_enum;
use crate::{Budget, CallSpec, CapabilitySet};

/// Who runs a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assignee {
    /// This agent.
    Agent(String),
    /// Any agent that can do all of these.
    Capabilities(CapabilitySet),
    /// One of the run's own runners, which have no model: for a command or a run of another workflow.
    Runner,
}

text_enum! {
    /// What becomes of the steps that need one that did not end well.
    #[derive(Default)]
    OnFailure {
        /// They are cancelled, and the run fails.
        #[default]
        Fail = "fail",
        /// They run, and the run can complete.
        Continue = "continue",
        /// They are skipped, and the run can complete.
        Skip = "skip",
    }
}

impl OnFailure {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) const fn is_fail(&self) -> bool {
        matches!(self, Self::Fail)
    }
}

text_enum! {
    /// How the waits between attempts grow.
    Backoff {
        /// Each is twice as long as the one before.
        Exponential = "exponential",
        /// All are the same.
        Fixed = "fixed",
    }
}

/// How often a step that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrySpec {
    /// Attempts in all, the first one too.
    pub max_attempts: u32,
    /// How the waits between them grow.
    pub backoff: Backoff,
    /// Seconds of the first wait.
    pub delay_seconds: u64,
}

/// The longest wait between two attempts that grows by itself.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

impl RetrySpec {
    /// How long is waited after so many failed attempts; `None` when there is no further one.
    /// A wait that grows ends at an hour, or at the first one where that is longer.
    #[must_use]
    pub fn wait_after(&self, failures: u32) -> Option<Duration> {
        if failures >= self.max_attempts {
            return None;
        }
        let first = Duration::from_secs(self.delay_seconds);
        Some(match self.backoff {
            Backoff::Fixed => first,
            Backoff::Exponential => {
                let times = 2_u32.saturating_pow(failures.saturating_sub(1));
                first.saturating_mul(times).min(LONGEST_WAIT.max(first))
            }
        })
    }
}

/// A step that is a command and no question to a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandSpec {
    /// A template; a line for the shell.
    pub script: String,
    /// Whether it may run again when a crash took its outcome.
    #[serde(default)]
    pub repeatable: bool,
    /// The step in whose workspace it runs; `None` is that of its runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_with: Option<String>,
}

/// A step that is done once for each entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeachSpec {
    /// A template whose value is the list.
    pub items: String,
    /// Entries at work at once; `None` is as many as there are agents for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

text_enum! {
    /// What becomes of a step whose rounds are used up.
    OnMax {
        /// It fails.
        Fail = "fail",
        /// It completes with what its last round made.
        Continue = "continue",
    }
}

/// A step that is done again until a condition holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatSpec {
    /// An expression over the outputs of the round.
    pub until: String,
    /// Rounds at most.
    pub max: u32,
    /// What happens then.
    pub on_max: OnMax,
}

/// What a step asks a person before it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalSpec {
    /// A template; what is asked.
    pub message: String,
    /// Seconds until it expires; `None` waits for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_seconds: Option<u64>,
    /// What happens then.
    pub on_expiry: OnExpiry,
}

text_enum! {
    /// What becomes of a step when nobody answered in time.
    OnExpiry {
        /// It fails.
        Reject = "reject",
        /// It is skipped, and with it what needs it.
        Skip = "skip",
    }
}

/// One step of the file: a node of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepSpec {
    /// Unique in the file; what `needs` and expressions name.
    pub id: String,
    /// Who runs it.
    pub assignee: Assignee,
    /// The steps that must end first: the edges of the graph.
    pub needs: Vec<String>,
    /// An expression; when it is false the step is skipped.
    pub condition: Option<String>,
    /// A template; what the agent is asked.
    pub prompt: String,
    /// Field name and JSON Schema of each output; empty means the answer's text is the output `text`.
    pub outputs: BTreeMap<String, Value>,
    /// Globs, relative to the workspace, of the files that are the step's result.
    pub artifacts: Vec<String>,
    /// The steps whose files are put into the workspace before it begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub takes: Vec<String>,
    /// Shell commands that must pass in the workspace before the step is done.
    pub verify: Vec<String>,
    /// Seconds the step may take.
    pub timeout_seconds: u64,
    /// Higher runs first.
    pub priority: i32,
    /// How often it is tried again; `None` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetrySpec>,
    /// What becomes of the steps that need it when it does not end well.
    #[serde(default, skip_serializing_if = "OnFailure::is_fail")]
    pub on_failure: OnFailure,
    /// The command that it is; `None` for a question to an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandSpec>,
    /// The workflow that it is a run of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallSpec>,
    /// The list for each entry of which it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreach: Option<ForeachSpec>,
    /// Until when it is done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<RepeatSpec>,
    /// What a person is asked before it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSpec>,
    /// What its model calls may use in all: of all its items, attempts and rounds.
    #[serde(default, skip_serializing_if = "Budget::is_empty")]
    pub budget: Budget,
}

/// Seconds a step may take when nobody says.
pub const DEFAULT_TIMEOUT_SECONDS: u64 = 20 * 60;

impl StepSpec {
    /// One that needs nothing and asks an agent for its text.
    #[must_use]
    pub fn new(id: impl Into<String>, assignee: Assignee, prompt: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            assignee,
            needs: Vec::new(),
            condition: None,
            prompt: prompt.into(),
            outputs: BTreeMap::new(),
            artifacts: Vec::new(),
            takes: Vec::new(),
            verify: Vec::new(),
            timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
            priority: 0,
            retry: None,
            on_failure: OnFailure::default(),
            command: None,
            call: None,
            foreach: None,
            repeat: None,
            approval: None,
            budget: Budget::default(),
        }
    }

    /// The template of what is asked: the command of a step that is one, else the prompt; the name of the
    /// workflow that it is a run of.
    #[must_use]
    pub fn asked(&self) -> &str {
        match (&self.command, &self.call) {
            (Some(command), _) => &command.script,
            (None, Some(call)) => &call.workflow,
            (None, None) => &self.prompt,
        }
    }

    /// The JSON Schema (2020-12) of the step's outputs as one object, or `None` when it declares none.
    #[must_use]
    pub fn output_schema(&self) -> Option<Value> {
        if self.outputs.is_empty() {
            return None;
        }
        let properties: Map<String, Value> = self
            .outputs
            .iter()
            .map(|(name, schema)| (name.clone(), schema.clone()))
            .collect();
        let required: Vec<Value> = self.outputs.keys().cloned().map(Value::String).collect();
        Some(serde_json::json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, RetrySpec};

    fn waits(backoff: Backoff, delay_seconds: u64, max_attempts: u32) -> Vec<Option<u64>> {
        let retry = RetrySpec {
            max_attempts,
            backoff,
            delay_seconds,
        };
        let wait = |failures| retry.wait_after(failures).as_ref().map(Duration::as_secs);
        (1..=max_attempts).map(wait).collect()
    }

    #[test]
    fn waits_double_up_to_an_hour_or_stay_and_end_with_the_last_attempt() {
        use Backoff::{Exponential, Fixed};
        let some = |waits: &[u64]| waits.iter().copied().map(Some).collect::<Vec<_>>();
        let ends = |waits: &[u64]| [some(waits), vec![None]].concat();
        assert_eq!(waits(Exponential, 5, 4), ends(&[5, 10, 20]));
        assert_eq!(waits(Fixed, 5, 4), ends(&[5, 5, 5]));
        assert_eq!(waits(Exponential, 1_000, 4), ends(&[1_000, 2_000, 3_600]));
        assert_eq!(waits(Exponential, 7_200, 3), ends(&[7_200, 7_200]));
        assert_eq!(waits(Fixed, 1, 1), [None]);
        assert_eq!(waits(Exponential, 1, 100).last(), Some(&None));
    }
}
