//! The workflow of one step that a task of its own runs.

use std::collections::BTreeMap;

use fusion_core::{
    Assignee, Backoff, Budget, CapabilitySet, RetrySpec, StepSpec, WorkflowDefinition,
};

use super::TASK;
use crate::agents::mail::only_step;
use crate::{Error, Result};

/// Attempts that a task may have in all, as a step of a file may.
pub(super) const MAX_ATTEMPTS: u32 = 100;

/// Seconds before the second attempt; each further wait is twice the one before.
const RETRY_SECONDS: u64 = 5;

/// The definition of tasks that may take so long and are tried so often, and its text.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) definition: WorkflowDefinition,
    pub(crate) source: String,
}

impl Written {
    pub(super) fn of(timeout_seconds: u64, max_attempts: u32) -> Result<Self> {
        let definition = definition(timeout_seconds, max_attempts);
        let source = serde_json::to_string_pretty(&definition)
            .map_err(|error| Error::Broken(format!("a definition can't be written: {error}")))?;
        Ok(Self { definition, source })
    }
}

/// One step, done by who can.
fn definition(timeout_seconds: u64, max_attempts: u32) -> WorkflowDefinition {
    let retry = (max_attempts > 1).then_some(RetrySpec {
        max_attempts,
        backoff: Backoff::Exponential,
        delay_seconds: RETRY_SECONDS,
    });
    let tries = retry.map_or_else(String::new, |retry| format!("x{}", retry.max_attempts));
    let step = only_step(
        Assignee::Capabilities(CapabilitySet::default()),
        TASK,
        timeout_seconds,
    );
    WorkflowDefinition {
        // A name of a file has no such character.
        name: format!("task@{timeout_seconds}s{tries}"),
        description: "Tasks of their own.".to_owned(),
        inputs: BTreeMap::new(),
        agents: BTreeMap::new(),
        steps: vec![StepSpec { retry, ..step }],
        outputs: BTreeMap::new(),
        budget: Budget::default(),
        artifacts: Vec::new(),
        total_budget: Budget::default(),
        message_flow: None,
    }
}
