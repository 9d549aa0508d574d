//! The view as it is drawn, on a screen that is kept in memory.

use chrono::{DateTime, Utc};
use fusion_api_types::api::{Delta, DeltaKind, Event, Task};
use fusion_api_types::{AgentSummary, InboxItem, UsageView};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};
use serde_json::json;

use super::draw::{Manner, draw};
use super::view::{Pane, View};
use crate::backend::{Picture, Sight};

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-23T{time}Z").parse().unwrap()
}

fn agent(name: &str, state: &str) -> AgentSummary {
    AgentSummary {
        id: format!("id-of-{name}"),
        name: name.to_owned(),
        state: state.to_owned(),
        paused: None,
        ending: None,
        run: None,
        project: None,
        provider: "openrouter".to_owned(),
        model: "tiny".to_owned(),
        capabilities: vec!["write".to_owned()],
        created_at: at("11:00:00"),
        updated_at: at("11:55:00"),
        last_heartbeat: None,
    }
}

fn task(name: &str, state: &str, agent: Option<&str>) -> Task {
    Task {
        id: format!("id-of-{name}"),
        name: name.to_owned(),
        description: format!("Do {name}.\u{1b}[2J"),
        agent_id: agent.map(|name| format!("id-of-{name}")),
        priority: 5,
        required_capabilities: Vec::new(),
        state: state.to_owned(),
        queued_at: at("11:58:00"),
        started_at: None,
        completed_at: None,
        dependencies: Vec::new(),
        input_artifacts: json!({}),
        output_artifacts: None,
        error_message: None,
        cancel_reason: None,
        communication_channels: Vec::new(),
        workflow_id: None,
        run_id: "r1".to_owned(),
        standalone: true,
        project_id: None,
        demanded: false,
        waiting: None,
        attempts: 0,
        usage: UsageView::default(),
    }
}

fn event(seq: u64) -> Event {
    Event {
        seq,
        id: format!("e{seq}"),
        timestamp: at("11:59:30"),
        event_type: "task.started".to_owned(),
        severity: "info".to_owned(),
        source_agent_id: None,
        source_component: "engine".to_owned(),
        run_id: Some("r1".to_owned()),
        data: json!({ "number": seq }),
        message: format!("event {seq}"),
        message_queue_topic: None,
    }
}

fn words(kind: DeltaKind, text: &str) -> Sight {
    Sight::Words(Box::new(Delta {
        run_id: "r1".to_owned(),
        task_id: "id-of-poem".to_owned(),
        agent_id: "id-of-writer".to_owned(),
        step: "poem".to_owned(),
        turn: 1,
        kind,
        at: 0,
        text: text.to_owned(),
        tool: None,
    }))
}

fn picture() -> Sight {
    Sight::Picture(Box::new(Picture {
        agents: vec![agent("reviewer", "idle"), agent("writer", "working")],
        tasks: vec![
            task("later", "queued", None),
            task("poem", "running", Some("writer")),
        ],
        inbox: vec![InboxItem {
            kind: "approval".to_owned(),
            id: "a1".to_owned(),
            run: Some("r1".to_owned()),
            name: "push".to_owned(),
            since: at("11:42:00"),
            expires: None,
            message: "May it push?".to_owned(),
        }],
    }))
}

/// A view that was told so.
fn told(sights: impl IntoIterator<Item = Sight>) -> View {
    let mut view = View::default();
    for sight in sights {
        view.take(sight);
    }
    view
}

fn press(view: &mut View, code: KeyCode) -> bool {
    view.key(KeyEvent::new(code, KeyModifiers::NONE)).is_break()
}

fn screen(view: &View, (columns, rows): (u16, u16), is_coloured: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let now = at("12:00:00").fixed_offset();
    let manner = Manner { now, is_coloured };
    terminal.draw(|frame| draw(frame, view, &manner)).unwrap();
    terminal
}

/// The rows of the screen without what is empty at their ends.
fn drawn(view: &View, size: (u16, u16)) -> String {
    let terminal = screen(view, size, false);
    let text = terminal.backend().to_string();
    let rows = text.lines().map(|row| row.trim_matches('"').trim_end());
    rows.collect::<Vec<_>>().join("\n")
}

#[test]
fn everything_is_seen_at_one_glance() {
    let view = told([
        picture(),
        Sight::Event(Box::new(event(1))),
        words(DeltaKind::Text, "The bees are "),
        words(DeltaKind::Text, "dancing"),
    ]);
    let expected = "\
fusion-kit top  2 agents, 1 working  1 task waiting  1 question for you  live
┌ ▸ agents 2 ──────────────────────────────────────────────────────────────────────────────────────┐
│NAME               STATE                TASK               FOR     MODEL                  SAYS    │
│reviewer           · idle               -                  5m00s   tiny                           │
│writer             ▸ working            poem               5m00s   tiny                   The bees│
└──────────────────────────────────────────────────────────────────────────────────────────────────┘
┌ tasks 2 ─────────────────────────────────────────────────────────────────────────────────────────┐
│NAME               STATE        AGENT              FOR     PRIO WHAT                              │
│poem               ▸ running    writer             2m00s   5    Do poem.␛[2J                      │
│later              · queued     -                  2m00s   5    Do later.␛[2J                     │
└──────────────────────────────────────────────────────────────────────────────────────────────────┘
┌ for you 1 ───────────────────────────────────────────────────────────────────────────────────────┐
│approval           push               18m00s  May it push?                                        │
└──────────────────────────────────────────────────────────────────────────────────────────────────┘
┌ log 1 ───────────────────────────────────────────────────────────────────────────────────────────┐
│11:59:30 info     task.started             event 1                                                │
│                                                                                                  │
│                                                                                                  │
│                                                                                                  │
│                                                                                                  │
└──────────────────────────────────────────────────────────────────────────────────────────────────┘
q quit  tab next pane  ↑↓ move  enter more  ? keys";
    assert_eq!(drawn(&view, (100, 22)), expected);
}

#[test]
fn a_wide_screen_shows_agents_and_tasks_beside_each_other() {
    let shown = drawn(&told([picture()]), (160, 16));
    let both = shown.lines().find(|row| row.contains("▸ agents 2"));
    assert!(both.unwrap().contains(" tasks 2 "), "{shown}");
}

#[test]
fn a_small_screen_is_drawn_too() {
    let view = told([picture()]);
    for size in [(1, 1), (10, 3), (40, 8)] {
        drawn(&view, size);
    }
}

#[test]
fn enter_shows_all_about_the_chosen_row_and_what_to_type() {
    let mut view = told([
        picture(),
        Sight::Event(Box::new(event(7))),
        words(DeltaKind::Text, "The bees are dancing"),
    ]);
    press(&mut view, KeyCode::Down);
    press(&mut view, KeyCode::Enter);
    let more = drawn(&view, (100, 24));
    for part in [
        " writer ",
        "state        working",
        "task         poem",
        "The bees are dancing",
        "fusion-kit agent logs id-of-writer --follow",
    ] {
        assert!(more.contains(part), "{part}: {more}");
    }
    press(&mut view, KeyCode::Esc);
    for (pane, part) in [
        ('2', "fusion-kit task get id-of-poem"),
        ('3', "fusion-kit approve a1"),
        ('4', "\"number\": 7"),
    ] {
        press(&mut view, KeyCode::Char(pane));
        press(&mut view, KeyCode::Enter);
        let more = drawn(&view, (100, 24));
        assert!(more.contains(part), "{part}: {more}");
        assert!(!press(&mut view, KeyCode::Char('q')), "closes it first");
    }
    press(&mut view, KeyCode::Char('?'));
    assert!(drawn(&view, (100, 24)).contains("shift-tab"));
    press(&mut view, KeyCode::Enter);
    assert!(press(&mut view, KeyCode::Char('q')), "ends it");
}

#[test]
fn keys_move_in_a_pane_and_from_pane_to_pane() {
    let mut view = told([picture()]);
    let mut walk = |codes: &[KeyCode]| {
        for code in codes {
            press(&mut view, *code);
        }
        (view.pane, view.at(view.pane))
    };
    use KeyCode::{BackTab, Char, Down, End, Home, Tab, Up};
    assert_eq!(walk(&[Down, Down, Down]), (Pane::Agents, Some(1)));
    assert_eq!(walk(&[Up, Up]), (Pane::Agents, Some(0)));
    assert_eq!(walk(&[Tab, End]), (Pane::Tasks, Some(1)));
    assert_eq!(walk(&[Home]), (Pane::Tasks, Some(0)));
    assert_eq!(walk(&[BackTab, BackTab]), (Pane::Log, None));
    assert_eq!(walk(&[Tab]), (Pane::Agents, Some(0)));
    assert_eq!(walk(&[Char('3'), Char('j')]), (Pane::Inbox, Some(0)));
}

#[test]
fn the_log_follows_its_end_unless_somebody_scrolled_back() {
    let mut view = told((1..=3).map(|seq| Sight::Event(Box::new(event(seq)))));
    view.pane = Pane::Log;
    assert_eq!(view.at(Pane::Log), Some(2));
    press(&mut view, KeyCode::Up);
    view.take(Sight::Event(Box::new(event(4))));
    assert_eq!(view.at(Pane::Log), Some(1), "the same event as before");
    press(&mut view, KeyCode::End);
    view.take(Sight::Event(Box::new(event(5))));
    assert_eq!(view.at(Pane::Log), Some(4));
    // One that comes with the stream and came before it.
    view.take(Sight::Event(Box::new(event(5))));
    assert_eq!(view.rows(Pane::Log), 5);
}

#[test]
fn a_picture_that_grows_old_says_so_until_a_new_one_comes() {
    let mut view = told([
        picture(),
        Sight::Lost("the server does not answer".to_owned()),
    ]);
    let head = |view: &View| drawn(view, (120, 18)).lines().next().unwrap().to_owned();
    assert!(head(&view).ends_with("! not live: the server does not answer"));
    view.take(picture());
    assert!(head(&view).ends_with("live"));
}

#[test]
fn words_go_with_their_turn_and_with_their_task() {
    let mut view = told([picture(), words(DeltaKind::Text, "Bees")]);
    view.take(words(DeltaKind::Reasoning, "hm"));
    assert_eq!(view.words["id-of-poem"], "Bees");
    view.take(words(DeltaKind::End, ""));
    assert_eq!(view.words["id-of-poem"], "");
    view.take(Sight::Picture(Box::default()));
    assert!(view.words.is_empty());
}

#[test]
fn colours_are_drawn_only_where_they_are_wanted() {
    let view = told([picture()]);
    let colours = |is_coloured| {
        let terminal = screen(&view, (100, 18), is_coloured);
        let cells = terminal.backend().buffer().content().iter();
        let plain = (Color::Reset, Modifier::empty());
        // The chosen row is told by its place, too: its colours are turned round everywhere.
        cells
            .map(|cell| (cell.fg, cell.modifier - Modifier::REVERSED))
            .any(|style| style != plain)
    };
    assert_eq!([true, false].map(colours), [true, false]);
}
