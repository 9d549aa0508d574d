//! `run delete`.

use fusion_api_types::{Problem, RunDeleted, RunsDeleted};

use super::{db::answer, only_copies};
use crate::args::{EndedState, RunDeleteArgs};
use crate::backend::{Backend, DiscardRequest};
use crate::exit::Exit;
use crate::report::workspace::removed;
use crate::session::Session;
use crate::style::Tone;
use crate::text::{clean, clean_line, count};

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
            Err(problem) => {
                let request = only_copies::may_go(problem, request, session)?;
                backend.delete_runs(&of.runs, request).await?
            }
            Ok(done) => done,
        },
    };
    answer(&done, |done, _| told(done), session)?;
    match &done.stopped {
        None => Ok(Exit::Done),
        Some(why) => {
            let label = session.err.paint(Tone::Bad, "error:");
            let why = clean(why);
            session.tell(&format!(
                "{label} it stopped before all were dealt with: {why}\n"
            ));
            Ok(Exit::Failed)
        }
    }
}

/// Which runs went, and which stayed and why.
fn told(done: &RunsDeleted) -> String {
    let mut text: String = done.deleted.iter().map(one).collect();
    for kept in &done.kept {
        let (id, workflow) = (clean_line(&kept.id), clean_line(&kept.workflow));
        let why = clean_line(&kept.why);
        text.push_str(&format!("kept run {id} of {workflow}: {why}\n"));
    }
    if text.is_empty() && done.stopped.is_none() {
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
