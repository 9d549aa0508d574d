//! Finds the run that a command means.

use fusion_api_types::{Problem, ProblemKind};
use fusion_core::{Coded, ErrorCode, Run, RunId};
use fusion_persistence::{Page, Reader, Repository, RunFilter};

use crate::data_dir::DataDir;
use crate::problems;

/// Runs that a prefix is compared with: the newest ones.
const PREFIX_SEARCH: u32 = 10_000;

/// A run by its id or a unique prefix of it; without one the newest.
pub(crate) async fn find(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: Option<&str>,
) -> Result<Run, Problem> {
    let read = |error: fusion_persistence::Error| problems::of_store(&error);
    let Some(text) = text else {
        let newest = store.list(&RunFilter::default(), Page::first(1)).await;
        let newest = newest.map_err(read)?.into_iter().next();
        return newest.ok_or_else(no_runs);
    };
    if let Ok(id) = text.parse::<RunId>() {
        return store.get(id).await.map_err(|error| {
            if error.code() == ErrorCode::NotFound {
                no_such_run(data_dir, text)
            } else {
                read(error)
            }
        });
    }
    let all = store
        .list(&RunFilter::default(), Page::first(PREFIX_SEARCH))
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

/// There is nothing to show.
pub(crate) fn no_runs() -> Problem {
    Problem::new(ProblemKind::NotFound, "there are no runs yet")
        .with_help("start one with: fusion-kit run FILE")
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
