//! Finds the run that a command means.

use fusion_api_types::{Problem, ProblemKind};
use fusion_core::{Coded, ErrorCode, Run};
use fusion_persistence::{Reader, RunFilter};

use crate::data_dir::DataDir;
use crate::problems;

/// Which runs a command without an id means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Any run.
    Any,
    /// One that has not ended.
    Unfinished,
}

/// Runs that a prefix is compared with: the newest ones.
const PREFIX_SEARCH: u32 = 10_000;

/// A run by its id or a unique prefix of it; without one the newest that is wanted.
pub(crate) async fn find(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: Option<&str>,
    wanted: Wanted,
) -> Result<Run, Problem> {
    let read = |error: fusion_persistence::Error| problems::of_error(&error);
    let Some(text) = text else {
        let filter = RunFilter {
            unfinished_only: wanted == Wanted::Unfinished,
            limit: 1,
        };
        let newest = store.runs(filter).await.map_err(read)?.into_iter().next();
        return newest.ok_or_else(|| nothing_to_resume(data_dir));
    };
    if let Ok(id) = text.parse() {
        return store.run(id).await.map_err(|error| {
            if error.code() == ErrorCode::NotFound {
                no_such_run(data_dir, text)
            } else {
                read(error)
            }
        });
    }
    let all = store
        .runs(RunFilter {
            unfinished_only: false,
            limit: PREFIX_SEARCH,
        })
        .await
        .map_err(read)?;
    let mut matching: Vec<Run> = all
        .into_iter()
        .filter(|run| run.id.to_string().starts_with(&text.to_lowercase()))
        .collect();
    match (matching.pop(), matching.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(other), false) => {
            matching.push(other);
            let ids: Vec<String> = matching
                .iter()
                .take(5)
                .map(|run| run.id.to_string())
                .collect();
            Err(Problem::new(
                ProblemKind::InvalidInput,
                format!("{} runs begin with '{text}'", matching.len()),
            )
            .with_help(format!("write more of the id, such as: {}", ids.join(", "))))
        }
        (None, _) => Err(no_such_run(data_dir, text)),
    }
}

fn no_such_run(data_dir: &DataDir, text: &str) -> Problem {
    let message = format!("there is no run '{text}' in {}", data_dir.path().display());
    let list = data_dir.command("run list");
    Problem::new(ProblemKind::NotFound, message).with_help(format!("see all runs with: {list}"))
}

/// There is nothing to go on with.
pub(crate) fn nothing_to_resume(data_dir: &DataDir) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("there is no run to resume in {}", data_dir.path().display()),
    )
    .with_help(format!(
        "see all runs with: {}",
        data_dir.command("run list")
    ))
}
