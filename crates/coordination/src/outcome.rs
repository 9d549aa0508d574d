//! What came of a step that took too long.

use fusion_agents::{Ending, Failure, Record};
use fusion_core::{EntryState, ErrorCode, StepSpec, Timestamp};

/// A step whose time was up: it failed, unless it was done just then. What was under way ends
/// with it.
pub(crate) fn late(ending: Ending, step: &StepSpec, now: Timestamp) -> Ending {
    match ending {
        Ending::Interrupted {
            cut_off,
            mut unrecorded,
        } => {
            unrecorded.extend(cut_off.map(|mut entry| {
                entry.state = EntryState::Unknown;
                entry.finished_at = Some(now);
                Record::Update(*entry)
            }));
            Ending::Failed {
                failure: timed_out(step),
                unrecorded,
            }
        }
        done @ (Ending::Completed { .. } | Ending::Failed { .. } | Ending::Unserved { .. }) => done,
    }
}

fn timed_out(step: &StepSpec) -> Failure {
    Failure {
        code: ErrorCode::Timeout,
        message: format!(
            "it took longer than its timeout of {} s",
            step.timeout_seconds
        ),
        help: Some(format!("raise `timeout` of the step '{}'", step.id)),
    }
}
