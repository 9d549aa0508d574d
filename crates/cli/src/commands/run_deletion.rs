//! `run delete`.

use fusion_api_types::{Problem, RunDeleted, RunsDeleted};

use super::db::answer;
use crate::args::{EndedState, RunDeleteArgs};
use crate::backend::{Backend, DiscardRequest};
use crate::exit::Exit;
use crate::report::workspace::removed;
use crate::session::Session;
use crate::terminal::Question;
use crate::text::{clean_line, count};

/// Deletes runs; what is nowhere else only when a person, or `--yes`, says so.
pub(crate) async fn delete(
    of: &RunDeleteArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = DiscardRequest {
        only_copies: of.yes,
        dry_run: of.dry_run,
    };
    let done = match of.older_than {
        Some(older_than) => {
            let states: Vec<_> = of.state.iter().copied().map(EndedState::as_str).collect();
            backend.collect_runs(older_than, &states, request).await?
        }
        None => match backend.delete_runs(&of.runs, request).await {
            Err(problem) if may_be_asked(&problem, of) => {
                let question = format!("{}: delete them? [y/N] ", clean_line(&problem.message));
                let said = session.ask(&question, Question::Open).unwrap_or_default();
                if !matches!(said.trim().to_lowercase().as_str(), "y" | "yes") {
                    return Err(problem);
                }
                let request = DiscardRequest {
                    only_copies: true,
                    ..request
                };
                backend.delete_runs(&of.runs, request).await?
            }
            done => done?,
        },
    };
    answer(&done, |done, _| told(done), session)
}

/// What stays because it is nowhere else is told with `--yes` as the way out.
fn may_be_asked(problem: &Problem, of: &RunDeleteArgs) -> bool {
    let names_yes = |help: &String| help.contains("--yes");
    !of.yes && !of.dry_run && problem.help.as_ref().is_some_and(names_yes)
}

/// Which runs went, and which stayed and why.
fn told(done: &RunsDeleted) -> String {
    let mut text: String = done.deleted.iter().map(one).collect();
    for kept in &done.kept {
        let (id, workflow) = (clean_line(&kept.id), clean_line(&kept.workflow));
        let why = clean_line(&kept.why);
        text.push_str(&format!("kept run {id} of {workflow}: {why}\n"));
    }
    if text.is_empty() {
        text.push_str("no run ended that long ago\n");
    }
    text
}

fn one(done: &RunDeleted) -> String {
    let (id, workflow) = (clean_line(&done.id), clean_line(&done.workflow));
    let what = if done.dry_run {
        "would delete"
    } else {
        "deleted"
    };
    let below = match done.runs.saturating_sub(1) {
        0 => String::new(),
        below => format!(" and {} below it", count(below, "run")),
    };
    let mut text = format!("{what} run {id} of {workflow}{below}\n");
    for workspace in &done.workspaces {
        let line = removed(workspace, done.dry_run);
        text.push_str(&format!("  {line}"));
    }
    for path in &done.left {
        text.push_str(&format!("  stays: {}\n", clean_line(path)));
    }
    text
}
