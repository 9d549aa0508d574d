//! Tasks as text for a person.

use std::collections::BTreeMap;

use fusion_api_types::api::{Task, TaskDetail, TaskLine, TaskTree};
use serde_json::Value;

use super::{cost, local, took};
use crate::session::Session;
use crate::style::{Look, Palette};
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, indent, shorten};

/// Columns for what is asked.
const BRIEF: usize = 40;

/// What `task create` made.
pub(crate) fn created(detail: &TaskDetail, session: &Session<'_>) -> String {
    let task = &detail.task;
    let id = clean_line(&task.id);
    let mut text = format!(
        "{} ({id}) is {}\n",
        clean_line(&task.name),
        word(task, session.out)
    );
    for wait in &detail.waits_for {
        text.push_str(&format!("it waits: {}\n", clean_line(&wait.text)));
    }
    let wait = session.command(&format!("task wait {id}"));
    text.push_str(&format!("wait for it with: {wait}\n"));
    text
}

/// A table of tasks, with the names of agents by their ids.
pub(crate) fn list(
    tasks: &[Task],
    names: &BTreeMap<String, String>,
    session: &Session<'_>,
) -> String {
    let mut table = Table::new(&[
        ("TASK", Align::Whole),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("PRIORITY", Align::Right),
        ("AGENT", Align::Whole),
        ("NEEDS", Align::Left),
        ("QUEUED", Align::Left),
        ("WHAT", Align::Left),
    ]);
    for task in tasks {
        table.row([
            clean_line(&task.id),
            clean_line(&task.name),
            state(task, session.out),
            task.priority.to_string(),
            task.agent_id.as_ref().map_or_else(
                || "-".to_owned(),
                |id| clean_line(names.get(id).unwrap_or(id)),
            ),
            clean_line(&task.required_capabilities.join(", ")),
            local(task.queued_at, session),
            shorten(&task.description, BRIEF),
        ]);
    }
    table.render()
}

/// All about one task, with the name of its agent by its id.
pub(crate) fn one(
    detail: &TaskDetail,
    names: &BTreeMap<String, String>,
    session: &Session<'_>,
) -> String {
    let task = &detail.task;
    let at = |time| local(time, session);
    let optional = |text: &Option<String>| text.as_deref().map(clean_line);
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let lasted = took(task.started_at, task.completed_at);
    let agent = task.agent_id.as_ref().map(|id| {
        let name = names.get(id).map(|name| format!("{} ", clean_line(name)));
        let only = if task.demanded {
            " (nobody else may)"
        } else {
            ""
        };
        format!("{}{}{only}", name.unwrap_or_default(), clean_line(id))
    });
    let used = [
        count(task.usage.turns, "turn"),
        count(task.usage.tokens(), "token"),
        cost(&task.usage),
    ];
    let fields = [
        ("task", Some(clean_line(&task.id))),
        ("name", Some(clean_line(&task.name))),
        ("state", Some(state(task, session.out))),
        ("run", Some(clean_line(&task.run_id))),
        ("project", optional(&task.project_id)),
        ("agent", agent),
        (
            "needs",
            filled(clean_line(&task.required_capabilities.join(", "))),
        ),
        ("priority", Some(task.priority.to_string())),
        ("queued", Some(at(task.queued_at))),
        ("started", task.started_at.map(at)),
        ("ended", task.completed_at.map(at)),
        ("took", lasted),
        ("attempts", Some(task.attempts.to_string())),
        ("used", Some(used.join(", "))),
        ("error", optional(&task.error_message)),
    ];
    let mut text: String = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:9} {}\n", value?)))
        .collect();
    for wait in &detail.waits_for {
        let until = wait.until.map(|until| format!(" (until {})", at(until)));
        let until = until.unwrap_or_default();
        text.push_str(&format!(
            "{:9} {}{until}\n",
            "waits",
            clean_line(&wait.text)
        ));
    }
    let asked = indent(&clean(&task.description), 2);
    text.push_str(&format!("\nasked\n{asked}"));
    if let Some(made) = &task.output_artifacts {
        text.push_str(&format!("\nmade\n{}", indent(&made_by(made), 2)));
    }
    text
}

/// The text of a task that gives one, else its outputs as JSON.
fn made_by(made: &Value) -> String {
    let outputs = made.get("outputs").unwrap_or(made);
    match outputs.get("text").and_then(Value::as_str) {
        Some(text) if outputs.as_object().is_some_and(|all| all.len() == 1) => clean(text),
        _ => clean(&serde_json::to_string_pretty(outputs).unwrap_or_default()),
    }
}

/// What `task cancel` did.
pub(crate) fn cancelled(task: &Task, session: &Session<'_>) -> String {
    format!(
        "{} is {}\n",
        clean_line(&task.name),
        word(task, session.out)
    )
}

/// What `task update` did.
pub(crate) fn updated(task: &Task, _: &Session<'_>) -> String {
    let (name, id) = (clean_line(&task.name), clean_line(&task.id));
    format!("{name} ({id}) is changed\n")
}

/// What `task retry` did.
pub(crate) fn retried(task: &Task, session: &Session<'_>) -> String {
    let id = clean_line(&task.id);
    let wait = session.command(&format!("task wait {id}"));
    let name = clean_line(&task.name);
    format!("{name} is asked for again as {id}\nwait for it with: {wait}\n")
}

/// What became of tasks that were waited for.
pub(crate) fn ended(tasks: &[Task], session: &Session<'_>) -> String {
    let mut text = String::new();
    for task in tasks {
        text.push_str(&format!(
            "{} ({}) is {}\n",
            clean_line(&task.name),
            clean_line(&task.id),
            word(task, session.out)
        ));
        if let Some(error) = &task.error_message {
            text.push_str(&indent(&clean(error), 2));
        }
        if let Some(made) = &task.output_artifacts {
            text.push_str(&indent(&made_by(made), 2));
        }
    }
    text
}

/// What a task needs and what needs it.
pub(crate) fn tree(tree: &TaskTree, session: &Session<'_>) -> String {
    let mut text = line(&tree.task, session.out);
    for (title, lines) in [("needs", &tree.needs), ("needed by", &tree.needed_by)] {
        if lines.is_empty() {
            text.push_str(&format!("{title} nothing\n"));
            continue;
        }
        text.push_str(&format!("{title}\n"));
        for of_tree in lines {
            text.push_str(&line(of_tree, session.out));
        }
    }
    text
}

fn line(line: &TaskLine, palette: Palette) -> String {
    let look = Look::of_task(&line.state, false).painted(palette);
    let again = if line.again { " (see above)" } else { "" };
    let inset = "  ".repeat(line.depth.min(40) as usize);
    format!(
        "{inset}{look} {} ({}){again}\n",
        clean_line(&line.name),
        clean_line(&line.id)
    )
}

/// The state in a sentence.
fn word(task: &Task, palette: Palette) -> String {
    let look = Look::of_task(&task.state, task.waiting.is_some());
    palette.paint(look.tone, &look.label)
}

fn state(task: &Task, palette: Palette) -> String {
    Look::of_task(&task.state, task.waiting.is_some()).painted(palette)
}
