//! Stored workflows as text for a person.

use fusion_api_types::{StoredWorkflow, WorkflowCreated, WorkflowDiff, WorkflowList};
use similar::TextDiff;

use super::local;
use crate::session::Session;
use crate::style::Tone;
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, indent, shell_word};

/// Lines that are shown around those that differ.
const AROUND: usize = 3;

/// What `workflow create` did.
pub(crate) fn created(created: &WorkflowCreated, session: &Session<'_>) -> String {
    let stored = &created.workflow;
    let what = if created.created {
        "is stored"
    } else {
        "was stored before"
    };
    let name = clean_line(&stored.name);
    let start = session.command(&format!("workflow start {}", shell_word(&name)));
    format!(
        "{} {name} version {} {what} ({})\nrun it: {start}\n",
        session.out.paint(Tone::Good, "✓"),
        stored.version,
        clean_line(&stored.id),
    )
}

/// What `workflow delete` did.
pub(crate) fn gone(gone: &StoredWorkflow, _: &Session<'_>) -> String {
    let (name, id) = (clean_line(&gone.name), clean_line(&gone.id));
    format!("took version {} of {name} away ({id})\n", gone.version)
}

/// A table of versions.
pub(crate) fn list(list: &WorkflowList, session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("WORKFLOW", Align::Left),
        ("VERSION", Align::Right),
        ("STEPS", Align::Right),
        ("STORED", Align::Left),
        ("ID", Align::Whole),
        ("WHAT", Align::Left),
    ]);
    for stored in &list.workflows {
        table.row([
            clean_line(&stored.name),
            stored.version.to_string(),
            stored.steps.to_string(),
            local(stored.created_at, session),
            clean_line(&stored.id),
            clean_line(stored.description.as_deref().unwrap_or_default()),
        ]);
    }
    table.render()
}

/// One version with its text.
pub(crate) fn one(stored: &StoredWorkflow, session: &Session<'_>) -> String {
    let mut text = format!(
        "{} version {}, {}\nid      {}\nstored  {}\n",
        session.out.paint(Tone::Strong, &clean_line(&stored.name)),
        stored.version,
        count(u64::from(stored.steps), "step"),
        clean_line(&stored.id),
        local(stored.created_at, session),
    );
    if let Some(source) = &stored.source {
        text.push_str(&format!("\n{}", indent(&clean(source), 2)));
    }
    text
}

/// The lines that differ from one version to another, as `diff -u` writes them.
pub(crate) fn unified(before: &StoredWorkflow, after: &StoredWorkflow) -> String {
    let text = |stored: &StoredWorkflow| stored.source.clone().unwrap_or_default();
    let name = |stored: &StoredWorkflow| format!("{} version {}", stored.name, stored.version);
    let (old, new) = (text(before), text(after));
    if old == new {
        return String::new();
    }
    let diff = TextDiff::from_lines(&old, &new);
    let mut unified = diff.unified_diff();
    unified
        .context_radius(AROUND)
        .header(&name(before), &name(after))
        .to_string()
}

/// The same in colours.
pub(crate) fn diff(diff: &WorkflowDiff, session: &Session<'_>) -> String {
    let lines = diff.diff.lines().map(|line| {
        let tone = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Some(Tone::Strong),
            [b'+', ..] => Some(Tone::Good),
            [b'-', ..] => Some(Tone::Bad),
            [b'@', ..] => Some(Tone::Busy),
            _ => None,
        };
        // Its first column says what became of it: it is kept.
        let line = clean(line);
        match tone {
            Some(tone) => format!("{}\n", session.out.paint(tone, &line)),
            None => format!("{line}\n"),
        }
    });
    lines.collect()
}
