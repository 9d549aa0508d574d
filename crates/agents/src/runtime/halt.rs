//! Why an effect has no outcome.

use std::time::Duration;

use fusion_core::{Coded, ErrorCode, error_chain};

use crate::Failure;
use crate::entry::TurnOutcome;
use crate::toolbox::Stopped;

/// Why an effect has no outcome.
pub(super) enum Halt {
    /// The caller asked to stop.
    Stopped,
    /// The journal refused a write.
    Refused,
    /// The provider can't serve the turn now, and when a limit is over that keeps it from that.
    Unserved(Failure, Option<Duration>),
}

impl From<Stopped> for Halt {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

/// What a turn without answer means: that the task can't be done, or that it has to wait.
pub(super) fn unanswered(error: &fusion_providers::Error) -> Result<TurnOutcome, Halt> {
    let (code, message, help) = (error.code(), error_chain(error), error.help());
    match code {
        ErrorCode::Denied
        | ErrorCode::OverBudget
        | ErrorCode::Limited
        | ErrorCode::Unavailable
        | ErrorCode::Timeout => {
            let retry_after = error.retry_after().filter(|_| code == ErrorCode::Limited);
            let failure = Failure {
                code,
                message,
                help,
            };
            Err(Halt::Unserved(failure, retry_after))
        }
        ErrorCode::InvalidInput
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::Fenced
        | ErrorCode::Internal => Ok(TurnOutcome::Error { message, help }),
    }
}
