//! All about one run: `run show`.

use fusion_api_types::{
    AgentView, GrantsView, ImportedView, JournalView, RecoveredView, RunDetail, StepView,
};
use serde_json::Value;

use super::{
    cost, halted, headline, local, scripted, steps, took, totals, value_text, values, waiting,
};
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, indent, shorten};

/// Columns for a request or an outcome on the one line of its entry.
const BRIEF: usize = 60;

/// Everything a run holds, for stdout; with `-v` requests and outcomes are whole.
pub(crate) fn detail(run: &RunDetail, session: &Session<'_>) -> String {
    let heading = |text: &str| session.out.paint(Tone::Strong, text);
    let mut sections = vec![head(run, session)];
    let inputs = values(&Value::Object(run.inputs.clone()));
    if !inputs.is_empty() {
        sections.push(format!("{}\n{}", heading("inputs"), indent(&inputs, 2)));
    }
    let table = agents(&run.agents);
    sections.push(format!("{}\n{}", heading("agents"), indent(&table, 2)));
    let table = steps(&run.steps, session.out);
    sections.push(format!("{}\n{}", heading("steps"), indent(&table, 2)));
    for each in &run.steps {
        let name = format!("step {}", clean_line(&each.id));
        let inner = step(each, session);
        if !inner.is_empty() {
            sections.push(format!("{}\n{}", heading(&name), indent(&inner, 2)));
        }
    }
    let outputs = run.outputs.as_ref().map(values).unwrap_or_default();
    if !outputs.is_empty() {
        sections.push(format!("{}\n{}", heading("outputs"), indent(&outputs, 2)));
    }
    sections.push(format!("{}\n", totals(run, None)));
    sections.join("\n")
}

fn head(run: &RunDetail, session: &Session<'_>) -> String {
    let summary = &run.summary;
    let mut head = headline(run, session.out);
    head.push_str(&format!("run      {}\n", clean_line(&summary.id)));
    head.push_str(&format!(
        "created  {}\n",
        local(summary.created_at, session)
    ));
    head.push_str(&format!("data     {}\n", clean_line(&run.data_dir)));
    if let Some(error) = &summary.error {
        head.push_str(&format!("error    {}\n", clean(error)));
    }
    if let Some(scripted) = scripted(run) {
        head.push_str(&format!("{scripted}\n"));
    }
    if let Some(before) = &summary.continues {
        head.push_str(&format!("goes on from run {}\n", clean_line(before)));
    }
    if let Some(parent) = &summary.parent {
        let (step, run) = (clean_line(&parent.step), clean_line(&parent.run_id));
        head.push_str(&format!("is step {step} of run {run}\n"));
    }
    if let Some(imported) = &summary.imported {
        head.push_str(&came(imported, session));
    }
    if let Some(held) = halted(summary, session) {
        head.push_str(&format!("{held}\n"));
    }
    if summary.interrupted || summary.paused().is_some() {
        let resume = session.command(&format!("resume {}", clean_line(&summary.id)));
        head.push_str(&format!("go on with: {resume}\n"));
    }
    head
}

/// Where an imported run comes from.
fn came(imported: &ImportedView, session: &Session<'_>) -> String {
    let (at, exported) = (
        local(imported.at, session),
        local(imported.exported_at, session),
    );
    let (machine, program) = (clean_line(&imported.machine), clean_line(&imported.program));
    let file = clean_line(&imported.file);
    format!(
        "imported {at}, not done here: exported from {machine} {exported} by version {program}\n\
         its events and messages are in the kept file {file}\n"
    )
}

fn agents(agents: &[AgentView]) -> String {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("PROVIDER", Align::Left),
        ("MODEL", Align::Left),
        ("CAN", Align::Left),
        ("WORKSPACE", Align::Whole),
    ]);
    for agent in agents {
        table.row([
            clean_line(&agent.name),
            clean_line(&agent.state),
            clean_line(&agent.provider),
            clean_line(&agent.model),
            clean_line(&agent.capabilities.join(", ")),
            clean_line(here(&agent.workspace_path)),
        ]);
    }
    let mut text = table.render();
    for agent in agents {
        if let Some(grants) = &agent.grants {
            let name = clean_line(&agent.name);
            text.push_str(&format!("granted to {name}: {}\n", granted(grants)));
        }
    }
    text
}

/// Where a workspace is, for people.
pub(super) const fn here(path: &str) -> &str {
    if path.is_empty() { "elsewhere" } else { path }
}

/// What an agent's commands may do beyond their workspace, on a line.
pub(super) fn granted(grants: &GrantsView) -> String {
    let list = |what: &str, entries: &[String]| {
        (!entries.is_empty()).then(|| format!("{what} {}", entries.join(", ")))
    };
    let limits: Vec<String> = grants
        .limits
        .iter()
        .map(|(name, limit)| format!("{name} {}", amount(name, *limit)))
        .collect();
    let parts = [
        (grants.network != "none").then(|| format!("network {}", grants.network)),
        list("read", &grants.read),
        list("write", &grants.write),
        list("variables", &grants.env),
        list("limits", &limits),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    clean_line(&parts.join("; "))
}

/// A limit in the unit that a person would choose.
fn amount(name: &str, limit: u64) -> String {
    match name {
        "memory" | "file_size" | "disk" => {
            let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
            let fits = |unit: &u64| limit.is_multiple_of(*unit);
            let unit = units.into_iter().find(|(_, unit)| fits(unit));
            unit.map_or_else(
                || format!("{limit} bytes"),
                |(name, unit)| format!("{}{name}", limit / unit),
            )
        }
        "cpu" => format!("{limit}s"),
        _ => limit.to_string(),
    }
}

fn step(step: &StepView, session: &Session<'_>) -> String {
    let mut text = String::new();
    if !step.needs.is_empty() {
        text.push_str(&format!("needs {}\n", clean_line(&step.needs.join(", "))));
    }
    if let Some(reason) = &step.cancel_reason {
        text.push_str(&format!("cancelled: {}\n", why_cancelled(reason)));
    }
    if let Some(wait) = &step.waiting {
        text.push_str(&format!("waits {}\n", waiting(wait, session)));
    }
    if let Some(recovered) = &step.recovered {
        text.push_str(&format!("{}\n", told_of_recovery(recovered, session)));
    }
    for run in &step.runs {
        let (id, name) = (clean_line(&run.run_id), clean_line(&run.workflow));
        let used = (count(run.usage.tokens(), "token"), cost(&run.usage));
        let state = clean_line(&run.state);
        text.push_str(&format!(
            "run {id} of {name}: {state}, {}, {}\n",
            used.0, used.1
        ));
    }
    if let Some(error) = &step.error {
        let label = session.out.paint(Tone::Bad, "error:");
        text.push_str(&format!("{label} {}\n", clean(error)));
    }
    text.push_str(&journal(&step.journal, session.global.verbose > 0));
    let outputs = step.outputs.as_ref().map(values).unwrap_or_default();
    if !outputs.is_empty() {
        text.push_str(&format!("outputs\n{}", indent(&outputs, 2)));
    }
    for path in &step.artifacts {
        text.push_str(&format!("made {}\n", clean_line(path)));
    }
    for file in &step.files {
        let path = clean_line(&file.path);
        let (bytes, hash) = (count(file.bytes, "byte"), clean_line(&file.sha256));
        text.push_str(&format!("kept {path}, {bytes}, as {hash}\n"));
    }
    text
}

/// How a step went on whose workspace was lost with a node.
fn told_of_recovery(recovered: &RecoveredView, session: &Session<'_>) -> String {
    let at = local(recovered.at, session);
    let (node, detail) = (clean_line(&recovered.node), clean_line(&recovered.detail));
    match recovered.how.as_str() {
        "restored" => format!("restored on {node} at {at}: {detail}"),
        "begun_again" => format!("begun again on {node} at {at}, in a new workspace: {detail}"),
        other => format!("{} on {node} at {at}: {detail}", clean_line(other)),
    }
}

fn why_cancelled(reason: &str) -> String {
    match reason {
        "condition_false" => "its condition was false".to_owned(),
        "dependency_skipped" => "a step it needs was skipped".to_owned(),
        "dependency_failed" => "a step it needs failed".to_owned(),
        "requested" => "on request".to_owned(),
        "not_approved" => "nobody approved it in time".to_owned(),
        "agent_ended" => "its agent was terminated".to_owned(),
        other => clean_line(other),
    }
}

fn journal(entries: &[JournalView], whole: bool) -> String {
    let mut table = Table::new(&[
        ("#", Align::Right),
        ("WHAT", Align::Left),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("TIME", Align::Right),
        ("DETAILS", Align::Whole),
    ]);
    for entry in entries {
        table.row([
            entry.seq.to_string(),
            clean_line(&entry.kind),
            clean_line(&entry.name),
            clean_line(&entry.state),
            took(Some(entry.started_at), entry.finished_at).unwrap_or_else(|| "-".to_owned()),
            brief(entry, whole),
        ]);
    }
    let table = table.render();
    if entries.is_empty() {
        return String::new();
    }
    if !whole {
        return table;
    }
    // The heading is followed by a line for each entry; what belongs to it goes below that line.
    let mut lines = table.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, entry) in lines.zip(entries) {
        text.push_str(&format!("{line}\n{}", indent(&full(entry), 4)));
    }
    text
}

/// One line: tokens of a turn; arguments, outcome and exit code of a tool call.
fn brief(entry: &JournalView, whole: bool) -> String {
    let mut parts = Vec::new();
    if entry.usage.turns > 0 {
        parts.push(count(entry.usage.tokens(), "token"));
    }
    if let Some(code) = entry
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.get("exit_code"))
    {
        parts.push(format!("exit {}", clean_line(&code.to_string())));
    }
    if !whole && entry.kind != "turn" {
        let mut done = shorten(&entry.request.to_string(), BRIEF);
        if let Some(outcome) = &entry.outcome {
            done.push_str(" → ");
            done.push_str(&shorten(&outcome.to_string(), BRIEF));
        }
        parts.push(done);
    }
    if entry.attempts > 1 {
        parts.push(format!("started {} times", entry.attempts));
    }
    parts.join("  ")
}

fn full(entry: &JournalView) -> String {
    let mut text = format!("request\n{}", indent(&value_text(&entry.request), 2));
    if let Some(outcome) = &entry.outcome {
        text.push_str(&format!("outcome\n{}", indent(&value_text(outcome), 2)));
    }
    text
}
