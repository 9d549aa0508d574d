//! How the view is drawn.

use chrono::{DateTime, FixedOffset, Utc};
use fusion_api_types::AgentSummary;
use fusion_api_types::api::{Event, Task};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table, TableState};

use super::more;
use super::view::{Over, Pane, View};
use crate::style::{Look, Tone};
use crate::text::{clean_line, count, duration};

/// From this many columns on, agents and tasks stand beside each other.
const WIDE: u16 = 140;

/// Rows of what waits for a person at most, with its frame.
const INBOX: u16 = 7;

/// What is said at the bottom.
const KEYS: &str = "q quit  tab next pane  ↑↓ move  enter more  ? keys";

/// The time it is drawn at, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) now: DateTime<FixedOffset>,
    pub(super) is_coloured: bool,
}

impl Manner {
    /// The style of a meaning. Nothing is told by its colour alone.
    pub(super) fn tone(&self, tone: Tone) -> Style {
        let style = Style::new();
        if !self.is_coloured {
            return style;
        }
        match tone {
            Tone::Good => style.fg(Color::Green),
            Tone::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Warn => style.fg(Color::Yellow),
            Tone::Busy => style.fg(Color::Cyan),
            Tone::Quiet => style.add_modifier(Modifier::DIM),
            Tone::Strong => style.add_modifier(Modifier::BOLD),
        }
    }

    /// The time since then.
    pub(super) fn since(&self, then: DateTime<Utc>) -> String {
        duration(self.now.with_timezone(&Utc) - then)
    }

    /// The time of the day, where the reader is.
    pub(super) fn clock(&self, time: DateTime<Utc>) -> String {
        let there = time.with_timezone(self.now.offset());
        there.format("%H:%M:%S").to_string()
    }

    fn look(&self, look: &Look) -> Cell<'static> {
        let text = format!("{} {}", look.mark, look.label);
        Cell::from(Span::styled(text, self.tone(look.tone)))
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, manner: &Manner) {
    let needs = u16::try_from(view.picture.inbox.len()).unwrap_or(INBOX);
    let [head, work, inbox, log, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Length((needs.max(1) + 2).min(INBOX)),
        Constraint::Fill(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let halves = [Constraint::Fill(1), Constraint::Fill(1)];
    let [agents, tasks] = if work.width >= WIDE {
        Layout::horizontal(halves).areas(work)
    } else {
        Layout::vertical(halves).areas(work)
    };
    frame.render_widget(Paragraph::new(headline(view, manner)), head);
    draw_agents(frame, agents, view, manner);
    draw_tasks(frame, tasks, view, manner);
    draw_inbox(frame, inbox, view, manner);
    draw_log(frame, log, view, manner);
    let foot_text = Line::styled(KEYS, manner.tone(Tone::Quiet));
    frame.render_widget(Paragraph::new(foot_text), foot);
    match view.over {
        Over::Nothing => {}
        Over::More => more::draw(frame, view, manner),
        Over::Keys => more::draw_keys(frame),
    }
}

/// What is asked at the first glance: who works, what waits, who needs you, how old the picture is.
fn headline(view: &View, manner: &Manner) -> Line<'static> {
    let in_state = |state: &str| {
        let agents = view.picture.agents.iter();
        agents.filter(|agent| agent.state == state).count() as u64
    };
    let waiting = view.picture.tasks.iter();
    let waiting = waiting.filter(|task| task.state == "queued").count() as u64;
    let needs = view.picture.inbox.len() as u64;
    let mut line = Line::from(vec![
        Span::styled("fusion-kit top  ", manner.tone(Tone::Strong)),
        Span::raw(format!(
            "{}, {} working  {} waiting  ",
            count(view.picture.agents.len() as u64, "agent"),
            in_state("working"),
            count(waiting, "task"),
        )),
    ]);
    if needs > 0 {
        let text = format!("{} for you  ", count(needs, "question"));
        line.push_span(Span::styled(text, manner.tone(Tone::Warn)));
    }
    match &view.lost {
        Some(why) => {
            let text = format!("! not live: {}", clean_line(why));
            line.push_span(Span::styled(text, manner.tone(Tone::Bad)));
        }
        None => line.push_span(Span::styled("live", manner.tone(Tone::Good))),
    }
    line
}

/// The frame of a pane.
fn block(view: &View, pane: Pane, title: &str, manner: &Manner) -> Block<'static> {
    let mark = if view.pane == pane { "▸ " } else { "" };
    let tone = if view.pane == pane {
        Tone::Busy
    } else {
        Tone::Quiet
    };
    let title = format!(" {mark}{title} {} ", view.rows(pane));
    Block::bordered()
        .border_style(manner.tone(tone))
        .title(title)
}

/// Draws a table of which the chosen row is seen.
fn put(frame: &mut Frame<'_>, area: Rect, view: &View, pane: Pane, table: Table<'_>) {
    let mut state = TableState::new().with_selected(view.at(pane));
    let chosen = if view.pane == pane {
        Style::new().add_modifier(Modifier::REVERSED)
    } else {
        Style::new()
    };
    frame.render_stateful_widget(table.row_highlight_style(chosen), area, &mut state);
}

fn draw_agents(frame: &mut Frame<'_>, area: Rect, view: &View, manner: &Manner) {
    let rows = view.picture.agents.iter().map(|agent| {
        let task = task_of(view, agent);
        let note = agent.ending.as_deref().map(|_| "is ending");
        Row::new(vec![
            Cell::from(clean_line(&agent.name)),
            manner.look(&Look::of_agent(
                &agent.state,
                note.or(agent.paused.as_deref()),
            )),
            Cell::from(task.map_or_else(|| "-".to_owned(), |task| clean_line(&task.name))),
            Cell::from(manner.since(agent.updated_at)),
            Cell::from(clean_line(&agent.model)),
            Cell::from(task.map(|task| says(view, task)).unwrap_or_default()),
        ])
    });
    let widths = [
        Constraint::Max(18),
        Constraint::Max(20),
        Constraint::Max(18),
        Constraint::Length(7),
        Constraint::Max(22),
        Constraint::Fill(1),
    ];
    let table = Table::new(rows, widths)
        .header(header(
            &["NAME", "STATE", "TASK", "FOR", "MODEL", "SAYS"],
            manner,
        ))
        .block(block(view, Pane::Agents, "agents", manner));
    put(frame, area, view, Pane::Agents, table);
}

/// The task that an agent works on, or has.
pub(super) fn task_of<'a>(view: &'a View, agent: &AgentSummary) -> Option<&'a Task> {
    let tasks = view.picture.tasks.iter();
    // Those that go on come first.
    tasks
        .filter(|task| task.state != "queued")
        .find(|task| task.agent_id.as_deref() == Some(agent.id.as_str()))
}

/// The end of what is being said.
fn says(view: &View, task: &Task) -> String {
    const SHOWN: usize = 60;
    let said = view.words.get(&task.id).map(|said| clean_line(said));
    let said = said.unwrap_or_default();
    let more = said.chars().count().saturating_sub(SHOWN);
    said.chars().skip(more).collect()
}

fn draw_tasks(frame: &mut Frame<'_>, area: Rect, view: &View, manner: &Manner) {
    let rows = view.picture.tasks.iter().map(|task| {
        Row::new(vec![
            Cell::from(clean_line(&task.name)),
            manner.look(&Look::of_task(&task.state, task.waiting.is_some())),
            Cell::from(agent_name(view, task)),
            Cell::from(manner.since(task.started_at.unwrap_or(task.queued_at))),
            Cell::from(task.priority.to_string()),
            Cell::from(clean_line(&task.description)),
        ])
    });
    let widths = [
        Constraint::Max(18),
        Constraint::Max(12),
        Constraint::Max(18),
        Constraint::Length(7),
        Constraint::Length(4),
        Constraint::Fill(1),
    ];
    let table = Table::new(rows, widths)
        .header(header(
            &["NAME", "STATE", "AGENT", "FOR", "PRIO", "WHAT"],
            manner,
        ))
        .block(block(view, Pane::Tasks, "tasks", manner));
    put(frame, area, view, Pane::Tasks, table);
}

/// The name of the agent that has a task; the beginning of its id where it is not in the picture.
pub(super) fn agent_name(view: &View, task: &Task) -> String {
    let Some(id) = &task.agent_id else {
        return "-".to_owned();
    };
    let mut agents = view.picture.agents.iter();
    match agents.find(|agent| agent.id == *id) {
        Some(agent) => clean_line(&agent.name),
        None => clean_line(id).chars().take(8).collect(),
    }
}

fn draw_inbox(frame: &mut Frame<'_>, area: Rect, view: &View, manner: &Manner) {
    let rows = view.picture.inbox.iter().map(|item| {
        Row::new(vec![
            Cell::from(Span::styled(
                clean_line(&item.kind),
                manner.tone(Tone::Warn),
            )),
            Cell::from(clean_line(&item.name)),
            Cell::from(manner.since(item.since)),
            Cell::from(clean_line(&item.message)),
        ])
    });
    let widths = [
        Constraint::Max(18),
        Constraint::Max(18),
        Constraint::Length(7),
        Constraint::Fill(1),
    ];
    let table = Table::new(rows, widths).block(block(view, Pane::Inbox, "for you", manner));
    put(frame, area, view, Pane::Inbox, table);
}

fn draw_log(frame: &mut Frame<'_>, area: Rect, view: &View, manner: &Manner) {
    let rows = view.events.iter().map(|event| {
        Row::new(vec![
            Cell::from(manner.clock(event.timestamp)),
            Cell::from(Span::styled(
                clean_line(&event.severity),
                manner.tone(tone_of(event)),
            )),
            Cell::from(clean_line(&event.event_type)),
            Cell::from(clean_line(&event.message)),
        ])
    });
    let widths = [
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Max(24),
        Constraint::Fill(1),
    ];
    let table = Table::new(rows, widths).block(block(view, Pane::Log, "log", manner));
    put(frame, area, view, Pane::Log, table);
}

fn tone_of(event: &Event) -> Tone {
    match event.severity.as_str() {
        "critical" | "error" => Tone::Bad,
        "warning" => Tone::Warn,
        _ => Tone::Quiet,
    }
}

fn header(names: &[&'static str], manner: &Manner) -> Row<'static> {
    Row::new(names.iter().copied().map(Cell::from)).style(manner.tone(Tone::Strong))
}
