//! `run`, `resume`, and the commands below `run`.

use fusion_api_types::{Problem, ProblemKind, RunDetail, RunList};
use serde_json::Value;

use super::db::answer;
use super::dry_run::tell;
use super::inputs::inputs;
use crate::args::{
    CancelArgs, ForkArgs, HoldArgs, ListArgs, ResumeArgs, RetryArgs, RunState, ShowArgs, StartArgs,
    WatchArgs, by_name,
};
use crate::backend::{AgainRequest, Backend, Operation, ResumeRequest, RunQuery, RunRequest};
use crate::exit::Exit;
use crate::progress::{Begun, Display};
use crate::report;
use crate::session::Session;

/// `run FILE`.
pub(crate) async fn start(
    start: Option<&StartArgs>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let start = start.ok_or_else(no_file)?;
    let request = RunRequest {
        file: start.file.clone(),
        inputs: inputs(&start.inputs, start.input_file.as_deref())?,
        max_cost: start.max_cost.clone(),
        detach: start.detach,
    };
    let mut display = Display::new(session, Begun::Now);
    let ended = backend.run(&request, &mut display).await;
    display.finish();
    begun_or_ended(&ended?, start.detach, session)
}

pub(super) fn no_file() -> Problem {
    Problem::new(ProblemKind::InvalidInput, "no workflow file is given")
        .with_help("fusion-kit run FILE")
}

/// `resume`.
pub(crate) async fn resume(
    resume: &ResumeArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = ResumeRequest {
        run: resume.run.clone(),
        budget_usd: resume.budget_usd.clone(),
        budget_tokens: resume.budget_tokens,
        budget_of: resume.budget_of.clone(),
        now: resume.now,
    };
    let mut display = Display::new(session, Begun::Before);
    let ended = backend.resume(&request, &mut display).await;
    display.finish();
    conclude(&ended?, session)
}

/// `run list`.
pub(crate) async fn list(
    list: &ListArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let query = RunQuery {
        states: list.states().into_iter().map(RunState::as_str).collect(),
        workflow: list.workflow.clone(),
        parent: list.parent.clone(),
        limit: list.limit,
    };
    let is_narrowed =
        !query.states.is_empty() || query.workflow.is_some() || query.parent.is_some();
    let runs = backend.list_runs(&query).await?;
    if session.is_machine() {
        let list = RunList { runs };
        session.print_rows(&list, &list.runs)?;
    } else if runs.is_empty() && is_narrowed {
        session.tell(&format!(
            "no such runs; see all with: {}\n",
            session.command("run list")
        ));
    } else if runs.is_empty() {
        session.tell(&format!(
            "no runs yet; start one with: {}\n",
            session.command("run FILE")
        ));
    } else {
        session.print(&report::list(&runs, session))?;
    }
    Ok(Exit::Done)
}

/// `run show`.
pub(crate) async fn show(
    show: &ShowArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let run = backend.show_run(show.run.as_deref()).await?;
    if session.is_machine() {
        session.print_json(&run)?;
    } else {
        session.print(&report::detail(&run, session))?;
    }
    Ok(Exit::Done)
}

/// `run watch`.
pub(crate) async fn watch(
    watch: &WatchArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut display = Display::new(session, Begun::Before);
    let seen = backend.watch_run(watch.run.as_deref(), &mut display).await;
    display.finish();
    let seen = seen?;
    if seen.summary.is_final() {
        return conclude(&seen, session);
    }
    session.tell(&report::still_going(&seen, session));
    if session.is_machine() {
        session.print_json(&seen)?;
    }
    Ok(Exit::Interrupted)
}

/// `run pause`.
pub(crate) async fn pause(
    hold: &HoldArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    if hold.dry_run {
        let (run, now) = (hold.run.clone(), hold.now);
        return tell(Operation::PauseRun { run, now }, backend, session).await;
    }
    let run = backend.pause_run(&hold.run, hold.now).await?;
    answer(&run, report::steered, session)
}

/// `run cancel`.
pub(crate) async fn cancel(
    cancel: &CancelArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    if cancel.dry_run {
        return tell(Operation::CancelRun(cancel.run.clone()), backend, session).await;
    }
    let run = backend.cancel_run(&cancel.run).await?;
    answer(&run, report::steered, session)
}

/// `run retry`.
pub(crate) async fn retry(
    retry: &RetryArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = AgainRequest {
        run: retry.run.clone(),
        from: retry.from.clone(),
        latest: retry.latest,
        ..AgainRequest::default()
    };
    again(&request, backend, session).await
}

/// `run fork`.
pub(crate) async fn fork(
    fork: &ForkArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let from = match &fork.at {
        Some(event) => Some(step_of(event, &fork.run, backend).await?),
        None => fork.from.clone(),
    };
    let request = AgainRequest {
        run: fork.run.clone(),
        from,
        inputs: by_name(&fork.inputs),
        latest: fork.latest,
    };
    again(&request, backend, session).await
}

/// The step of a run that an event is about.
async fn step_of(event: &str, run: &str, backend: &dyn Backend) -> Result<String, Problem> {
    let event = backend.show_event(event).await?;
    let of = event.run_id.as_deref().unwrap_or_default();
    let step = event.data.get("step").and_then(Value::as_str);
    let step = step.filter(|_| !run.is_empty() && of.starts_with(&run.to_lowercase()));
    // An item of a list is called after its step and its place.
    let step = step.and_then(|step| step.split('[').next());
    step.map(str::to_owned).ok_or_else(|| {
        let text = format!("event {} is of no step of the run {run}", event.seq);
        let problem = Problem::new(ProblemKind::InvalidInput, text);
        problem.with_help("name the step with --from STEP; `run show` lists them")
    })
}

async fn again(
    request: &AgainRequest,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut display = Display::new(session, Begun::Before);
    let ended = backend.run_again(request, &mut display).await;
    display.finish();
    conclude(&ended?, session)
}

/// How a command ends that worked on a run.
pub(super) fn exit_of(run: &RunDetail) -> Exit {
    let summary = &run.summary;
    if summary.paused().is_some() {
        Exit::Parked
    } else if summary.interrupted || !summary.is_final() {
        Exit::Interrupted
    } else if summary.state == "completed" {
        Exit::Done
    } else {
        Exit::WorkFailed
    }
}

/// What is said and answered of a run that was begun: at once of one that is left to the server.
pub(super) fn begun_or_ended(
    run: &RunDetail,
    is_left: bool,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    if !is_left {
        return conclude(run, session);
    }
    if session.is_machine() {
        session.print_json(run)?;
    } else {
        session.print(&report::begun(run, session))?;
    }
    Ok(Exit::Done)
}

/// What is said and answered when a run has stopped.
pub(super) fn conclude(run: &RunDetail, session: &Session<'_>) -> Result<Exit, Problem> {
    let exit = exit_of(run);
    let has_ended = run.summary.is_final();
    if !has_ended {
        session.tell(&report::interruption(run, session));
    } else if exit != Exit::Done {
        session.tell(&report::failure(run, session));
    }
    if session.is_machine() {
        session.print_json(run)?;
    } else if has_ended {
        session.print(&report::result(run, session))?;
    }
    Ok(exit)
}
