//! What became of a run that a person steered.

use fusion_api_types::{RunDetail, RunSummary};

use super::local;
use crate::session::Session;
use crate::style::Look;
use crate::text::clean_line;

/// `paused by ada since 2026-11-23 16:21:19`; `None` for a run that nobody holds or ends.
pub(crate) fn halted(run: &RunSummary, session: &Session<'_>) -> Option<String> {
    let halt = run.halt.as_ref().filter(|_| !run.is_final())?;
    let word = if run.is_being_cancelled() {
        "being cancelled"
    } else {
        "paused"
    };
    let (by, since) = (clean_line(&halt.by), local(halt.since, session));
    Some(format!("{word} by {by} since {since}"))
}

/// A run after a person said something about it.
pub(crate) fn steered(run: &RunSummary, session: &Session<'_>) -> String {
    let look = Look::of_run(run).painted(session.out);
    let (id, name) = (clean_line(&run.id), clean_line(&run.workflow));
    let mut text = format!("{look}  run {id} of {name}\n");
    if let Some(held) = halted(run, session) {
        text.push_str(&format!("{held}\n"));
    }
    if run.paused().is_some() {
        let resume = session.command(&format!("resume {id}"));
        text.push_str(&format!("go on with: {resume}\n"));
    }
    text
}

/// That a run was begun, and that the server goes on with it.
pub(crate) fn begun(run: &RunDetail, session: &Session<'_>) -> String {
    let id = clean_line(&run.summary.id);
    let watch = session.command(&format!("run watch {id}"));
    let name = clean_line(&run.summary.workflow);
    format!("run {id} of {name} was begun. watch it with: {watch}\n")
}

/// That the watching ended and the run did not.
pub(crate) fn still_going(run: &RunDetail, session: &Session<'_>) -> String {
    let watch = session.command(&format!("run watch {}", clean_line(&run.summary.id)));
    let how = match halted(&run.summary, session) {
        Some(held) => held,
        None if run.summary.interrupted => "nobody works on it now".to_owned(),
        None => "the run goes on".to_owned(),
    };
    format!("{how}. watch it again with: {watch}\n")
}
