//! What waits for a person, as text.

use fusion_api_types::{InboxItem, InboxView, api::Approval};

use super::local;
use crate::session::Session;
use crate::style::Tone;
use crate::text::{clean, clean_line, indent, shell_word};

/// Everything that waits, with what can be done about it.
pub(crate) fn list(inbox: &InboxView, session: &Session<'_>) -> String {
    let items: Vec<String> = inbox.items.iter().map(|it| item(it, session)).collect();
    items.join("\n")
}

fn item(item: &InboxItem, session: &Session<'_>) -> String {
    let name = session.out.paint(Tone::Strong, &clean_line(&item.name));
    let since = local(item.since, session);
    let id = clean_line(&item.id);
    let (what, ways) = match item.kind.as_str() {
        "approval" => (
            "asks",
            vec![
                format!("approve {id}"),
                format!("reject {id} --reason {}", shell_word("...")),
            ],
        ),
        "paused_run" => ("is held", vec![format!("resume {id}")]),
        "budget" => (
            "was stopped by its budget",
            vec![format!("resume {id} --budget-usd USD")],
        ),
        "task_budget" => (
            "was stopped by what it may cost",
            vec![format!("task update {id} --max-cost USD")],
        ),
        // What is to be raised, and how, stands in its message.
        "budget_around" => ("was stopped by a limit around it", Vec::new()),
        "unresponsive_agent" => ("shows no progress", vec![format!("agent get {id}")]),
        other => (other, Vec::new()),
    };
    let mut text = format!("{name} {} since {since}\n", clean_line(what));
    text.push_str(&indent(&clean(&item.message), 2));
    if let Some(expires) = item.expires {
        text.push_str(&format!("  expires {}\n", local(expires, session)));
    }
    if let Some(run) = &item.run {
        text.push_str(&format!("  run {}\n", clean_line(run)));
    }
    for way in ways {
        text.push_str(&format!("  {}\n", session.command(&way)));
    }
    text
}

/// A question after it was answered.
pub(crate) fn answered(approval: &Approval, session: &Session<'_>) -> String {
    let tone = if approval.state == "approved" {
        Tone::Good
    } else {
        Tone::Warn
    };
    let state = session.out.paint(tone, &clean_line(&approval.state));
    format!("{state}: {}\n", clean_line(&approval.question))
}
