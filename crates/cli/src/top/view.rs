//! What is seen and where the reader is: changes by sights and keys only.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;

use fusion_api_types::api::{Delta, DeltaKind, Event};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::backend::{Picture, Sight};

/// Events that can be scrolled back to.
const KEPT: usize = 1_000;

/// Characters of an answer that are kept.
const TAIL: usize = 2_000;

/// How far a page is.
const PAGE: usize = 10;

/// A part of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Pane {
    #[default]
    Agents,
    Tasks,
    Inbox,
    Log,
}

impl Pane {
    pub(super) const ALL: [Self; 4] = [Self::Agents, Self::Tasks, Self::Inbox, Self::Log];

    fn moved(self, by: usize) -> Self {
        let all = Self::ALL.iter().copied().cycle();
        let mut from = all.skip_while(|pane| *pane != self);
        from.nth(by).unwrap_or(self)
    }
}

/// What lies over the panes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Over {
    #[default]
    Nothing,
    /// All about the chosen row.
    More,
    /// The keys.
    Keys,
}

/// Everything that is drawn.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) picture: Picture,
    /// Oldest first.
    pub(super) events: VecDeque<Event>,
    /// What is being said, by the id of the task.
    pub(super) words: BTreeMap<String, String>,
    pub(super) pane: Pane,
    pub(super) over: Over,
    /// Why nothing new is seen.
    pub(super) lost: Option<String>,
    /// Rows by pane; in the log from its end.
    at: BTreeMap<Pane, usize>,
}

impl View {
    /// Takes in what is told.
    pub(super) fn take(&mut self, sight: Sight) {
        match sight {
            Sight::Picture(picture) => {
                self.picture = *picture;
                self.picture.tasks.sort_by_key(|task| rank(&task.state));
                self.lost = None;
                let tasks = &self.picture.tasks;
                self.words
                    .retain(|id, _| tasks.iter().any(|task| task.id == *id));
            }
            Sight::Event(event) => self.add(*event),
            Sight::Words(delta) => self.hear(&delta),
            Sight::Lost(why) => self.lost = Some(why),
        }
    }

    fn add(&mut self, event: Event) {
        // What came before the stream may come with it again.
        if self.events.back().is_some_and(|last| last.seq >= event.seq) {
            return;
        }
        self.events.push_back(event);
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
        // Who scrolled back stays where they are.
        let at = self.at.entry(Pane::Log).or_default();
        *at = if *at == 0 { 0 } else { *at + 1 };
    }

    fn hear(&mut self, delta: &Delta) {
        let said = self.words.entry(delta.task_id.clone()).or_default();
        match delta.kind {
            DeltaKind::Text => {
                said.push_str(&delta.text);
                let over = said.chars().count().saturating_sub(TAIL);
                *said = said.chars().skip(over).collect();
            }
            DeltaKind::Discarded | DeltaKind::End => said.clear(),
            DeltaKind::Reasoning | DeltaKind::ToolCall => {}
        }
    }

    /// How many rows a pane has.
    pub(super) fn rows(&self, pane: Pane) -> usize {
        match pane {
            Pane::Agents => self.picture.agents.len(),
            Pane::Tasks => self.picture.tasks.len(),
            Pane::Inbox => self.picture.inbox.len(),
            Pane::Log => self.events.len(),
        }
    }

    /// The chosen row of a pane, from its beginning.
    pub(super) fn at(&self, pane: Pane) -> Option<usize> {
        let last = self.rows(pane).checked_sub(1)?;
        let at = self.at.get(&pane).copied().unwrap_or_default().min(last);
        Some(if pane == Pane::Log { last - at } else { at })
    }

    /// Does what a key says; tells whether the view goes on.
    pub(super) fn key(&mut self, key: KeyEvent) -> ControlFlow<()> {
        if key.kind == KeyEventKind::Release {
            return ControlFlow::Continue(());
        }
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the terminal's enum; most keys mean nothing here"
        )]
        match key.code {
            KeyCode::Char('c') if has_control => return ControlFlow::Break(()),
            KeyCode::Esc | KeyCode::Char('q') if self.over != Over::Nothing => {
                self.over = Over::Nothing;
            }
            KeyCode::Char('q') => return ControlFlow::Break(()),
            KeyCode::Char('?') => self.over = Over::Keys,
            KeyCode::Enter if self.over != Over::Nothing => self.over = Over::Nothing,
            KeyCode::Enter => {
                if self.at(self.pane).is_some() {
                    self.over = Over::More;
                }
            }
            other => self.walk(other),
        }
        ControlFlow::Continue(())
    }

    /// From pane to pane, and up and down in one.
    fn walk(&mut self, code: KeyCode) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the terminal's enum; most keys mean nothing here"
        )]
        match code {
            KeyCode::Tab | KeyCode::Right => self.pane = self.pane.moved(1),
            KeyCode::BackTab | KeyCode::Left => self.pane = self.pane.moved(3),
            KeyCode::Char(digit @ '1'..='4') => {
                let place = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                self.pane = Pane::default().moved(place);
            }
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::PageDown => self.go(PAGE.cast_signed()),
            KeyCode::PageUp => self.go(-PAGE.cast_signed()),
            KeyCode::Home | KeyCode::Char('g') => self.go(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go(isize::MAX),
            _ => {}
        }
    }

    /// Moves the chosen row down by so many.
    fn go(&mut self, by: isize) {
        let Some(at) = self.at(self.pane) else {
            return;
        };
        let last = self.rows(self.pane) - 1;
        let to = at.saturating_add_signed(by).min(last);
        let to = if self.pane == Pane::Log {
            last - to
        } else {
            to
        };
        self.at.insert(self.pane, to);
    }
}

/// What goes on comes first.
fn rank(state: &str) -> u8 {
    match state {
        "running" => 0,
        "assigned" => 1,
        _ => 2,
    }
}
