//! What came of a step beside its outputs: that it took too long, and its files.

use std::sync::Arc;

use fusion_agents::{Ending, Failure, Record};
use fusion_core::{EntryState, ErrorCode, StepSpec, Timestamp};
use fusion_workspaces::WorkspaceDir;

use crate::Result;
use crate::coordinator::off_runtime;

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

/// The paths of the files that are a step's result; `Err` tells why they can't be listed.
pub(crate) async fn artifacts(
    workspace: Option<Arc<WorkspaceDir>>,
    globs: Vec<String>,
) -> Result<std::result::Result<Vec<String>, Failure>> {
    let Some(workspace) = workspace.filter(|_| !globs.is_empty()) else {
        return Ok(Ok(Vec::new()));
    };
    let found = off_runtime(move || workspace.matching(&globs)).await?;
    Ok(found.map_err(|error| Failure {
        code: ErrorCode::InvalidInput,
        message: format!("its artifacts can't be listed: {error}"),
        help: None,
    }))
}
