//! Runs as text for a person.

pub(crate) mod about;
pub(crate) mod agent;
pub(crate) mod database;
mod detail;
pub(crate) mod dry_run;
pub(crate) mod event;
pub(crate) mod graph;
pub(crate) mod inbox;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod node;
pub(crate) mod provider;
pub(crate) mod record;
pub(crate) mod schedule;
mod steering;
pub(crate) mod task;
pub(crate) mod webhook;
pub(crate) mod workflow;
pub(crate) mod workspace;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use fusion_api_types::{RunDetail, RunSummary, StepView, UsageView, WaitView};
use serde_json::Value;

use crate::session::Session;
use crate::style::{Look, Palette, Tone};
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, duration, indent, thousands};

pub(crate) use detail::detail;
pub(crate) use steering::{begun, halted, steered, still_going};

/// What a run made, for stdout.
pub(crate) fn result(run: &RunDetail, session: &Session<'_>) -> String {
    let summary = &run.summary;
    let mut sections = vec![headline(run, session.out)];
    let outputs = run.outputs.as_ref().map(values).unwrap_or_default();
    if !outputs.is_empty() {
        sections.push(format!("outputs\n{}", indent(&outputs, 2)));
    }
    let made: String = run
        .steps
        .iter()
        .flat_map(|step| &step.artifacts)
        .map(|path| format!("  {}\n", clean_line(path)))
        .collect();
    if !made.is_empty() {
        sections.push(format!("made\n{made}"));
    }
    sections.push(steps(&run.steps, session.out));
    let mut end = format!("{}\n", totals(run, None));
    if let Some(scripted) = scripted(run) {
        end.push_str(&format!("{scripted}\n"));
    }
    end.push_str(&look_closer(summary, session));
    end.push_str(&format!("data: {}\n", clean_line(&run.data_dir)));
    sections.push(end);
    sections.join("\n")
}

/// Why a run failed, for stderr.
pub(crate) fn failure(run: &RunDetail, session: &Session<'_>) -> String {
    let label = session.err.paint(Tone::Bad, "error:");
    let failed = run.steps.iter().filter(|step| step.state == "failed");
    let mut text: String = failed
        .map(|step| {
            let why = step.error.as_deref().unwrap_or("it gave no reason");
            format!(
                "{label} step '{}' failed: {}\n",
                clean_line(&step.id),
                clean(why)
            )
        })
        .collect();
    if text.is_empty() {
        let why = match &run.summary.error {
            Some(error) => format!(": {}", clean(error)),
            None => String::new(),
        };
        let ended = match run.summary.state.as_str() {
            "failed" => "failed".to_owned(),
            other => format!("was {}", clean_line(other)),
        };
        text = format!("{label} the run {ended}{why}\n");
    }
    let help = session.err.paint(Tone::Strong, "help:");
    text.push_str(&format!("{help} {}", look_closer(&run.summary, session)));
    text
}

/// That a run has stopped before its end, for stderr.
pub(crate) fn interruption(run: &RunDetail, session: &Session<'_>) -> String {
    if let Some(held) = halted(&run.summary, session) {
        let resume = session.command(&format!("resume {}", clean_line(&run.summary.id)));
        return format!(
            "{} nothing is lost. go on with: {resume}\n",
            session.err.paint(Tone::Warn, &format!("{held};"))
        );
    }
    if !run.summary.interrupted {
        return format!(
            "the server works on. see how it goes with: {}\n",
            session.command(&format!("run show {}", clean_line(&run.summary.id)))
        );
    }
    format!(
        "{} nothing is lost. go on with: {}\n",
        session.err.paint(Tone::Warn, "interrupted;"),
        session.command(&format!("resume {}", clean_line(&run.summary.id)))
    )
}

/// A table of runs, for stdout.
pub(crate) fn list(runs: &[RunSummary], session: &Session<'_>) -> String {
    let mut columns = vec![
        ("RUN", Align::Whole),
        ("WORKFLOW", Align::Left),
        ("STATE", Align::Left),
        ("STEPS", Align::Right),
        ("TOKENS", Align::Right),
        ("COST", Align::Right),
        ("STARTED", Align::Left),
    ];
    if session.is_wide() {
        columns.push(("PARENT", Align::Whole));
    }
    let mut table = Table::new(&columns).wide(session.is_wide());
    for run in runs {
        let parent = run.parent.as_ref();
        let parent = parent.map_or("-", |parent| &parent.run_id);
        table.row([
            clean_line(&run.id),
            clean_line(&run.workflow),
            state(run, session),
            format!("{}/{}", run.steps_completed, run.steps_total),
            thousands(run.usage.tokens()),
            cost(&run.usage),
            local(run.started_at.unwrap_or(run.created_at), session),
            clean_line(parent),
        ]);
    }
    table.render()
}

/// `✓ completed`, and that a run was not done here.
fn state(run: &RunSummary, session: &Session<'_>) -> String {
    let look = Look::of_run(run).painted(session.out);
    match run.imported {
        Some(_) => format!("{look} (imported)"),
        None => look,
    }
}

/// `2/3 steps, 3 turns, 1,204 tokens, $0, 2.2s`; `now` is the end of a run that goes on.
pub(crate) fn totals(run: &RunDetail, now: Option<DateTime<Utc>>) -> String {
    let summary = &run.summary;
    let steps = count(u64::from(summary.steps_total), "step");
    let mut parts = vec![
        if summary.steps_completed == summary.steps_total {
            steps
        } else {
            format!("{}/{steps}", summary.steps_completed)
        },
        count(summary.usage.turns, "turn"),
        count(summary.usage.tokens(), "token"),
        cost(&summary.usage),
    ];
    let begun = summary.started_at.unwrap_or(summary.created_at);
    parts.extend(took(Some(begun), summary.completed_at.or(now)));
    parts.join(", ")
}

/// Whose answers come from a file; `None` when a model gives them all.
pub(crate) fn scripted(run: &RunDetail) -> Option<String> {
    if !run.scripted {
        return None;
    }
    let (scripted, called): (Vec<_>, Vec<_>) = run
        .agents
        .iter()
        .partition(|agent| agent.provider == "scripted");
    let files: BTreeSet<String> = scripted
        .iter()
        .map(|agent| clean_line(&agent.model))
        .collect();
    let files: Vec<String> = files.into_iter().collect();
    let files = files.join(", ");
    if called.is_empty() {
        return Some(format!(
            "answers are scripted: {files} (no model is called)"
        ));
    }
    let names: Vec<String> = scripted
        .iter()
        .map(|agent| clean_line(&agent.name))
        .collect();
    let names = names.join(", ");
    Some(format!("answers of {names} are scripted: {files}"))
}

/// The time between two moments, where both are known.
pub(crate) fn took(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<String> {
    Some(duration(to? - from?))
}

/// `✓ hello completed in 0.4s`
fn headline(run: &RunDetail, palette: Palette) -> String {
    let summary = &run.summary;
    let look = Look::of_run(summary);
    let time = match took(summary.started_at, summary.completed_at) {
        Some(time) if summary.state == "completed" => format!(" in {time}"),
        Some(time) => format!(" after {time}"),
        None => String::new(),
    };
    let name = palette.paint(Tone::Strong, &clean_line(&summary.workflow));
    let mark = palette.paint(look.tone, look.mark);
    let label = palette.paint(look.tone, &look.label);
    format!("{mark} {name} {label}{time}\n")
}

/// Names with their values: short texts beside the name, everything else below it.
fn values(values: &Value) -> String {
    match values {
        Value::Null => String::new(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let (name, text) = (clean_line(name), value_text(value));
                if text.lines().count() > 1 {
                    format!("{name}:\n{}", indent(&text, 2))
                } else {
                    format!("{name}: {}\n", text.trim_end())
                }
            })
            .collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            indent(&value_text(values), 0)
        }
    }
}

/// A text as it is, anything else as JSON.
fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        Value::Array(_) | Value::Object(_) => clean(&format!("{value:#}")),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn steps(steps: &[StepView], palette: Palette) -> String {
    let mut table = Table::new(&[
        ("STEP", Align::Left),
        ("AGENT", Align::Left),
        ("STATE", Align::Left),
        ("TIME", Align::Right),
        ("TOKENS", Align::Right),
        ("COST", Align::Right),
    ]);
    for step in steps {
        let mut state = Look::of_step(step).painted(palette);
        if step.attempts > 1 {
            state.push_str(&format!(" (attempt {})", step.attempts));
        }
        table.row([
            clean_line(&step.id),
            clean_line(step.agent.as_deref().unwrap_or("-")),
            state,
            took(step.started_at, step.completed_at).unwrap_or_else(|| "-".to_owned()),
            thousands(step.usage.tokens()),
            cost(&step.usage),
        ]);
    }
    table.render()
}

fn look_closer(run: &RunSummary, session: &Session<'_>) -> String {
    let show = session.command(&format!("run show {}", clean_line(&run.id)));
    format!("look closer: {show}\n")
}

fn cost(usage: &UsageView) -> String {
    format!("${}", clean_line(&usage.cost_usd))
}

/// `until 2026-11-23 16:21:19: openrouter limits the requests: daily quota`
pub(crate) fn waiting(wait: &WaitView, session: &Session<'_>) -> String {
    // Who waits for longer waits for a person, and for no time.
    if wait.until - (session.terminal.now)().to_utc() > chrono::Duration::days(50 * 365) {
        return format!("for {}", clean_line(&wait.reason));
    }
    let until = local(wait.until, session);
    format!("until {until}: {}", clean_line(&wait.reason))
}

fn local(time: DateTime<Utc>, session: &Session<'_>) -> String {
    let now = (session.terminal.now)();
    let time = time.with_timezone(now.offset());
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}
