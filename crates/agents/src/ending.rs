//! How work on a task ends.

use std::time::Duration;

use fusion_core::{ErrorCode, JournalEntry, Usage};
use serde_json::Value;

use crate::Record;

/// Why a task failed, for people and for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind of failure.
    pub code: ErrorCode,
    /// What went wrong, in one line.
    pub message: String,
    /// The way out, where there is one.
    pub help: Option<String>,
}

impl Failure {
    /// Whether doing the same again may end better: not where the task itself is at fault, such as a
    /// request that its provider refuses.
    #[must_use]
    pub const fn is_worth_a_retry(&self) -> bool {
        match self.code {
            ErrorCode::Limited
            | ErrorCode::Unavailable
            | ErrorCode::Timeout
            | ErrorCode::Conflict => true,
            ErrorCode::InvalidInput
            | ErrorCode::NotFound
            | ErrorCode::Denied
            | ErrorCode::OverBudget
            | ErrorCode::Fenced
            | ErrorCode::Internal => false,
        }
    }
}

/// How work on a task ended. `unrecorded` (the last outcomes) must be committed with what the
/// caller makes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Everything asked for is there and checked.
    Completed {
        /// The outputs, checked against their schema.
        outputs: Value,
        /// The last outcomes.
        unrecorded: Vec<Record>,
    },
    /// It can't be done.
    Failed {
        /// Why.
        failure: Failure,
        /// The last outcomes.
        unrecorded: Vec<Record>,
    },
    /// The model's provider can't serve it now, or wants a person first (a key, money): nothing
    /// is wrong with the task. The turn under way has no outcome, as after a crash.
    Unserved {
        /// Why.
        failure: Failure,
        /// When the same call may be served, where a limit says so: waiting is enough then.
        retry_after: Option<Duration>,
        /// What its calls cost all the same; in no record.
        lost: Usage,
        /// The last outcomes.
        unrecorded: Vec<Record>,
    },
    /// The caller asked to stop.
    Interrupted {
        /// The effect that was under way: it has no outcome, as after a crash. Its usage, what calls
        /// that were lost before cost, is in no record.
        cut_off: Option<Box<JournalEntry>>,
        /// The last outcomes.
        unrecorded: Vec<Record>,
    },
}
