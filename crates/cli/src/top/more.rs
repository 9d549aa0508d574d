//! All about the chosen row, and the keys: over the panes.

use fusion_api_types::api::{Event, Task};
use fusion_api_types::{AgentSummary, InboxItem};
use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::draw::{Manner, agent_name, task_of};
use super::view::{Pane, View};
use crate::text::{clean, clean_line};

/// What each key does.
const KEYS: &str = "\
tab, →      next pane           1 2 3 4   agents, tasks, for you, log
shift-tab   pane before         enter     all about a row
↓ j  ↑ k    down, up            esc       close this
page keys   ten rows            home end  first row, last row
q           quit                ?         this";

/// Draws all about the chosen row of the pane.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, manner: &Manner) {
    let Some(at) = view.at(view.pane) else {
        return;
    };
    let picture = &view.picture;
    let told = match view.pane {
        Pane::Agents => picture
            .agents
            .get(at)
            .map(|row| of_agent(row, view, manner)),
        Pane::Tasks => picture.tasks.get(at).map(|row| of_task(row, view, manner)),
        Pane::Inbox => picture.inbox.get(at).map(|row| of_item(row, manner)),
        Pane::Log => view.events.get(at).map(|row| of_event(row, manner)),
    };
    if let Some((title, text)) = told {
        over(frame, &title, text);
    }
}

/// Draws what each key does.
pub(super) fn draw_keys(frame: &mut Frame<'_>) {
    over(frame, "keys", KEYS.to_owned());
}

fn over(frame: &mut Frame<'_>, title: &str, text: String) {
    let area = middle(frame.area());
    let block = Block::bordered().title(format!(" {title} "));
    let paragraph = Paragraph::new(text).block(block).wrap(Wrap { trim: false });
    frame.render_widget(Clear, area);
    frame.render_widget(paragraph, area);
}

fn middle(area: Rect) -> Rect {
    let [area] = Layout::horizontal([Constraint::Percentage(90)])
        .flex(Flex::Center)
        .areas(area);
    let [area] = Layout::vertical([Constraint::Percentage(80)])
        .flex(Flex::Center)
        .areas(area);
    area
}

/// Lines of names and values, of which some are not there.
fn lines(fields: &[(&str, Option<String>)]) -> String {
    let there = fields.iter();
    there
        .filter_map(|(name, value)| Some(format!("{name:12} {}\n", value.as_ref()?)))
        .collect()
}

fn of_agent(agent: &AgentSummary, view: &View, manner: &Manner) -> (String, String) {
    let line = |text: &Option<String>| text.as_deref().map(clean_line);
    let id = clean_line(&agent.id);
    let task = task_of(view, agent);
    let capabilities = clean_line(&agent.capabilities.join(", "));
    let mut text = lines(&[
        ("agent", Some(id.clone())),
        ("state", Some(clean_line(&agent.state))),
        ("for", Some(manner.since(agent.updated_at))),
        ("model", Some(clean_line(&agent.model))),
        ("provider", Some(clean_line(&agent.provider))),
        ("can do", Some(capabilities).filter(|text| !text.is_empty())),
        ("run", line(&agent.run)),
        ("task", task.map(|task| clean_line(&task.name))),
        (
            "heard of",
            agent.last_heartbeat.map(|time| manner.clock(time)),
        ),
    ]);
    if let Some(said) = task.and_then(|task| view.words.get(&task.id)) {
        text.push_str(&format!("\nsays\n{}\n", clean(said)));
    }
    text.push_str(&format!("\nfusion-kit agent logs {id} --follow\n"));
    (clean_line(&agent.name), text)
}

fn of_task(task: &Task, view: &View, manner: &Manner) -> (String, String) {
    let id = clean_line(&task.id);
    let waiting = task.waiting.as_ref();
    let mut text = lines(&[
        ("task", Some(id.clone())),
        ("state", Some(clean_line(&task.state))),
        ("agent", Some(agent_name(view, task))),
        ("run", Some(clean_line(&task.run_id))),
        ("queued", Some(manner.clock(task.queued_at))),
        ("started", task.started_at.map(|time| manner.clock(time))),
        ("waits for", waiting.map(|wait| clean_line(&wait.reason))),
        ("used", Some(format!("{} tokens", task.usage.tokens()))),
    ]);
    text.push_str(&format!("\nasked\n{}\n", clean(&task.description)));
    if let Some(said) = view.words.get(&task.id).filter(|said| !said.is_empty()) {
        text.push_str(&format!("\nsays\n{}\n", clean(said)));
    }
    text.push_str(&format!("\nfusion-kit task get {id}\n"));
    (clean_line(&task.name), text)
}

fn of_item(item: &InboxItem, manner: &Manner) -> (String, String) {
    let id = clean_line(&item.id);
    let mut text = lines(&[
        ("what", Some(clean_line(&item.kind))),
        ("of", Some(clean_line(&item.name))),
        ("waits for", Some(manner.since(item.since))),
        ("until", item.expires.map(|time| manner.clock(time))),
        ("run", item.run.as_deref().map(clean_line)),
    ]);
    text.push_str(&format!("\n{}\n\n", clean(&item.message)));
    text.push_str(&match item.kind.as_str() {
        "approval" => format!("fusion-kit approve {id}\nfusion-kit reject {id}\n"),
        "unresponsive_agent" => format!("fusion-kit agent get {id}\n"),
        _ => format!("fusion-kit run resume {id}\n"),
    });
    (clean_line(&item.name), text)
}

fn of_event(event: &Event, manner: &Manner) -> (String, String) {
    let mut text = lines(&[
        ("seq", Some(event.seq.to_string())),
        ("time", Some(manner.clock(event.timestamp))),
        ("severity", Some(clean_line(&event.severity))),
        ("agent", event.source_agent_id.as_deref().map(clean_line)),
        ("run", event.run_id.as_deref().map(clean_line)),
    ]);
    let data = serde_json::to_string_pretty(&event.data).unwrap_or_default();
    text.push_str(&format!(
        "\n{}\n\n{}\n",
        clean(&event.message),
        clean(&data)
    ));
    (clean_line(&event.event_type), text)
}
