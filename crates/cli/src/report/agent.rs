//! Agents as text for a person.

use fusion_api_types::api::{BudgetUse, Delta, MetricsSample};
use fusion_api_types::{
    AgentDetail, AgentLeft, AgentList, AgentLogEntry, AgentSent, AgentSummary, AgentTask,
    AgentsEnded, WorkspaceView, WorktreeView,
};
use serde_json::Value;

use super::detail::{granted, here};
use super::{cost, local, took};
use crate::session::Session;
use crate::style::{Look, Palette, Tone};
use crate::table::{Align, Table};
use crate::text::{clean, clean_line, count, indent, shell_word, shorten};

/// Columns for what an entry of a log asked and got.
const BRIEF: usize = 80;

/// What `agent spawn` made.
pub(crate) fn spawned(list: &AgentList, session: &Session<'_>) -> String {
    let mut text = String::new();
    for agent in &list.agents {
        text.push_str(&format!(
            "{} {} is ready ({})\n",
            session.out.paint(Tone::Good, "✓"),
            clean_line(&agent.name),
            clean_line(&agent.id),
        ));
    }
    if let Some(agent) = list.agents.first() {
        let send = format!("agent send {} MESSAGE --wait", clean_line(&agent.name));
        text.push_str(&format!("give it work with: {}\n", session.command(&send)));
    }
    text
}

/// A table of agents.
pub(crate) fn list(agents: &[AgentSummary], session: &Session<'_>) -> String {
    let mut table = Table::new(&[
        ("AGENT", Align::Whole),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("RUN", Align::Left),
        ("PROVIDER", Align::Left),
        ("MODEL", Align::Left),
        ("CAN", Align::Left),
        ("CHANGED", Align::Left),
    ])
    .wide(session.is_wide());
    for agent in agents {
        table.row([
            clean_line(&agent.id),
            clean_line(&agent.name),
            state(agent, session.out),
            agent
                .run
                .as_deref()
                .map_or_else(|| "-".to_owned(), clean_line),
            clean_line(&agent.provider),
            clean_line(&agent.model),
            clean_line(&agent.capabilities.join(", ")),
            local(agent.updated_at, session),
        ]);
    }
    table.render()
}

/// All about one agent.
pub(crate) fn one(detail: &AgentDetail, session: &Session<'_>) -> String {
    let agent = &detail.summary;
    let at = |time| local(time, session);
    let optional = |text: &Option<String>| text.as_deref().map(clean_line);
    let list = |texts: &[String]| clean_line(&texts.join(", "));
    let filled = |text: String| Some(text).filter(|text| !text.is_empty());
    let workspace = &detail.workspace;
    let fields = [
        ("agent", Some(clean_line(&agent.id))),
        ("name", Some(clean_line(&agent.name))),
        ("state", Some(state(agent, session.out))),
        ("run", optional(&agent.run)),
        ("project", optional(&agent.project)),
        ("provider", Some(clean_line(&agent.provider))),
        ("model", Some(clean_line(&agent.model))),
        ("can", filled(list(&agent.capabilities))),
        ("tools", detail.tools.as_deref().map(list)),
        (
            "may read",
            detail.hosts.as_deref().map(list).and_then(filled),
        ),
        ("granted", detail.grants.as_ref().map(granted)),
        (
            "turns",
            detail
                .max_turns
                .map(|most| format!("{most} at most in a task")),
        ),
        ("may spend", detail.budget.as_ref().map(life)),
        ("listens", filled(list(&detail.subscriptions))),
        ("works on", detail.task.as_ref().map(task)),
        ("inbox", Some(count(detail.inbox, "message"))),
        ("tasks", Some(tasks(detail))),
        ("used", Some(used(detail))),
        ("created", Some(at(agent.created_at))),
        ("alive", agent.last_heartbeat.map(at)),
        (
            "sampled",
            detail.metrics.as_ref().map(|it| sampled(it, session)),
        ),
        ("works in", Some(place(workspace))),
        ("user id", workspace.uid.map(|uid| uid.to_string())),
        ("archive", optional(&workspace.archive)),
        ("worktree", workspace.worktree.as_ref().map(worktree)),
        ("error", optional(&workspace.error)),
        ("sandbox", detail.sandbox.as_ref().map(sandbox)),
    ];
    let mut text: String = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name:9} {}\n", value?)))
        .collect();
    if let Some(instructions) = detail.instructions.as_ref().filter(|text| !text.is_empty()) {
        text.push_str(&format!(
            "\ninstructions\n{}",
            indent(&clean(instructions), 2)
        ));
    }
    text
}

fn life(budget: &BudgetUse) -> String {
    let limit = budget.limit_usd.as_deref().unwrap_or("any");
    let (spent, lost) = (&budget.spent_usd, &budget.lost_usd);
    let lost = match lost.as_str() {
        "0" => String::new(),
        lost => format!(", and lost calls may have cost ${lost}"),
    };
    let held = match budget.held_usd.as_str() {
        "0" => String::new(),
        held => format!(", ${held} are held for calls under way"),
    };
    clean_line(&format!(
        "${limit} over its life: ${spent} are spent{held}{lost}"
    ))
}

fn place(workspace: &WorkspaceView) -> String {
    let path = clean_line(here(&workspace.path));
    if workspace.exists || workspace.path.is_empty() {
        path
    } else {
        format!("{path} (it is gone)")
    }
}

/// The newest sample, in a line.
fn sampled(sample: &MetricsSample, session: &Session<'_>) -> String {
    format!(
        "{}: {:.0} % of a processor, {:.1} MiB of memory, {:.1} MiB read, {:.1} MiB written",
        local(sample.timestamp, session),
        sample.cpu_percent,
        sample.memory_mb,
        sample.disk_io_read_mb,
        sample.disk_io_write_mb,
    )
}

/// Where a worktree came from, and how its work is fetched.
fn worktree(worktree: &WorktreeView) -> String {
    let from = format!(
        "of {} at {}",
        clean_line(&worktree.source),
        clean_line(&worktree.base)
    );
    let fetched = match &worktree.branch {
        Some(branch) => {
            let (repository, branch) = (shell_word(&worktree.repository), shell_word(branch));
            format!("its work: git fetch {repository} {branch}")
        }
        None => "no work is taken in yet".to_owned(),
    };
    match &worktree.fault {
        Some(why) => format!(
            "{from}; {fetched}; the newest is only in the workspace: {}",
            clean_line(why)
        ),
        None => format!("{from}; {fetched}"),
    }
}

fn task(task: &AgentTask) -> String {
    format!(
        "{} of run {} ({})",
        clean_line(&task.step),
        clean_line(&task.run),
        clean_line(&task.state)
    )
}

fn tasks(detail: &AgentDetail) -> String {
    format!(
        "{} completed, {} failed",
        detail.tasks_completed, detail.tasks_failed
    )
}

fn used(detail: &AgentDetail) -> String {
    let usage = &detail.usage;
    [
        count(usage.turns, "turn"),
        count(usage.tokens(), "token"),
        cost(usage),
    ]
    .join(", ")
}

fn sandbox(report: &Value) -> String {
    let word = report.get("sandbox").and_then(Value::as_str);
    let layers = report.get("layers").and_then(Value::as_array);
    let names: Vec<String> = layers
        .into_iter()
        .flatten()
        .filter(|layer| layer.get("in_force") == Some(&Value::Bool(true)))
        .filter_map(|layer| layer.get("name")?.as_str().map(clean_line))
        .collect();
    let word = clean_line(word.unwrap_or("unknown"));
    if names.is_empty() {
        word
    } else {
        format!("{word}: {}", names.join(", "))
    }
}

/// What `agent pause` did.
pub(crate) fn paused(agent: &AgentSummary, session: &Session<'_>) -> String {
    let resume = format!("agent resume {}", clean_line(&agent.name));
    format!(
        "{} is {}\nlet it go on with: {}\n",
        clean_line(&agent.name),
        state(agent, session.out),
        session.command(&resume)
    )
}

/// What `agent resume` did.
pub(crate) fn resumed(agent: &AgentSummary, session: &Session<'_>) -> String {
    let name = clean_line(&agent.name);
    format!("{name} goes on: it is {}\n", state(agent, session.out))
}

/// What `agent restart` did.
pub(crate) fn restarted(list: &AgentList, session: &Session<'_>) -> String {
    let lines = list.agents.iter().map(|agent| {
        let (name, state) = (clean_line(&agent.name), state(agent, session.out));
        if agent.state == "paused" {
            format!("{name} is {state}: it goes on when the call in flight has ended\n")
        } else {
            format!("{name} goes on: it is {state}\n")
        }
    });
    lines.collect()
}

/// What `agent update` did.
pub(crate) fn updated(agent: &AgentSummary, _: &Session<'_>) -> String {
    let name = clean_line(&agent.name);
    format!(
        "{name} is changed: it works with {} of {}\n",
        clean_line(&agent.model),
        clean_line(&agent.provider)
    )
}

/// What `agent terminate` did.
pub(crate) fn ended(ended: &AgentsEnded, session: &Session<'_>) -> String {
    let mut text = String::new();
    for agent in &ended.agents {
        let workspace = match agent.ending.as_deref() {
            Some("archive") => "; its workspace is archived",
            Some("remove") => "; its workspace is removed",
            _ => "; its workspace is kept",
        };
        text.push_str(&format!(
            "{} is {}{workspace}\n",
            clean_line(&agent.name),
            Look::of_agent(&agent.state, None).painted(session.out),
        ));
    }
    text
}

/// Who could not be ended, for stderr.
pub(crate) fn left(left: &[AgentLeft], session: &Session<'_>) -> String {
    let label = session.err.paint(Tone::Bad, "error:");
    let lines = left.iter().map(|agent| {
        let (name, id) = (clean_line(&agent.name), clean_line(&agent.id));
        format!(
            "{label} {name} ({id}) has not ended: {}\n",
            clean(&agent.why)
        )
    });
    lines.collect()
}

/// What `agent send` did.
pub(crate) fn sent(sent: &AgentSent, session: &Session<'_>) -> String {
    let (name, id) = (clean_line(&sent.name), clean_line(&sent.message));
    match &sent.run {
        Some(run) => {
            let run = clean_line(run);
            let show = session.command(&format!("run show {run}"));
            let resume = session.command(&format!("resume {run}"));
            format!(
                "sent {id} to {name}, which does it in run {run}\n\
                 see how it goes: {show}\nwithout a server nobody works on it until: {resume}\n"
            )
        }
        None => format!(
            "sent {id} to {name}, which is {} and reads it later\n",
            clean_line(&sent.state)
        ),
    }
}

/// That `agent attach` was stopped, for stderr.
pub(crate) fn detached(name: &str, session: &Session<'_>) -> String {
    let name = clean_line(name);
    let attach = session.command(&format!("agent attach {name}"));
    format!(
        "{name} keeps what it was sent, and a server goes on with it; see it again, and without a server go on, \
         with: {attach}\n"
    )
}

/// One line of `agent logs`.
pub(crate) fn line(entry: &AgentLogEntry, session: &Session<'_>) -> String {
    let (step, done) = (clean_line(&entry.step), &entry.entry);
    let time = local(done.started_at, session);
    let lasted = took(Some(done.started_at), done.finished_at).unwrap_or_else(|| "-".to_owned());
    let what = format!("{} {}", clean_line(&done.kind), clean_line(&done.name));
    let told = told(entry);
    format!(
        "{time} {step} {what} {} {lasted}  {told}\n",
        clean_line(&done.state)
    )
}

/// What stands before the words of a turn that is under way.
pub(crate) fn says(delta: &Delta) -> String {
    format!("{} turn {} says: ", clean_line(&delta.step), delta.turn)
}

/// The words of a turn; request and outcome of anything else.
fn told(entry: &AgentLogEntry) -> String {
    let done = &entry.entry;
    let outcome = done.outcome.as_ref();
    if done.kind == "turn" {
        let text = outcome.and_then(|outcome| outcome.pointer("/answer/text"));
        let text = text.and_then(Value::as_str).unwrap_or_default();
        return shorten(text, BRIEF);
    }
    let mut told = shorten(&done.request.to_string(), BRIEF);
    if let Some(outcome) = outcome {
        told.push_str(" → ");
        told.push_str(&shorten(&outcome.to_string(), BRIEF));
    }
    told
}

fn state(agent: &AgentSummary, palette: Palette) -> String {
    let note = match (&agent.ending, &agent.paused) {
        (Some(_), _) if agent.state != "terminated" => Some("it is being ended"),
        (_, Some(at)) if at == "next_step" => Some("at its next step"),
        _ => None,
    };
    Look::of_agent(&agent.state, note).painted(palette)
}
