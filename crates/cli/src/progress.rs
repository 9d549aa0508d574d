//! How a run goes, on stderr.

mod live;
mod plain;

use fusion_api_types::{MessageView, RunDetail, StepView};

use crate::backend::Progress;
use crate::report::{scripted, took};
use crate::session::Session;
use crate::style::{Palette, Tone};
use crate::text::{clean, clean_line, count};
use live::Live;
use plain::Plain;

/// Whether the first snapshot shows a run that was begun by this very command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// `run`: everything seen has just happened.
    Now,
    /// `resume`: what is final in the first snapshot is history.
    Before,
}

/// Shows progress in the way that fits the options and the stream.
#[derive(Debug)]
pub(crate) enum Display<'a> {
    /// Nothing at all.
    Silent,
    /// Notices only.
    Notices(&'a Session<'a>),
    /// One line for each change.
    Plain(Plain<'a>),
    /// Lines that are drawn anew.
    Live(Live<'a>),
}

impl<'a> Display<'a> {
    pub(crate) fn new(session: &'a Session<'a>, begun: Begun) -> Self {
        let global = session.global;
        let on_terminal = session.terminal.stderr.size().is_some();
        if global.quiet {
            Self::Silent
        } else if global.no_progress || (session.is_machine() && !on_terminal) {
            Self::Notices(session)
        } else if on_terminal {
            Self::Live(Live::new(session, begun))
        } else {
            Self::Plain(Plain::new(session, begun))
        }
    }

    /// Leaves the stream so that other text may follow.
    pub(crate) fn finish(self) {
        match self {
            Self::Live(live) => live.finish(),
            Self::Silent | Self::Notices(_) | Self::Plain(_) => {}
        }
    }
}

impl Progress for Display<'_> {
    fn update(&mut self, run: &RunDetail) {
        match self {
            Self::Silent | Self::Notices(_) => {}
            Self::Plain(plain) => plain.update(run),
            Self::Live(live) => live.update(run),
        }
    }

    fn message(&mut self, message: &MessageView) {
        match self {
            Self::Silent | Self::Notices(_) => {}
            Self::Plain(plain) => plain.message(message),
            Self::Live(live) => live.message(message),
        }
    }

    fn is_shown(&self) -> bool {
        match self {
            Self::Silent | Self::Notices(_) => false,
            Self::Plain(_) | Self::Live(_) => true,
        }
    }

    fn notice(&mut self, text: &str) {
        let line = clean(text);
        match self {
            Self::Silent => {}
            Self::Notices(session) => session.tell(&format!("{line}\n")),
            Self::Plain(plain) => plain.say(&line),
            Self::Live(live) => live.say(&line),
        }
    }
}

/// What is said once, before the first step.
fn opening(run: &RunDetail, begun: Begun, palette: Palette) -> Vec<String> {
    let name = palette.paint(Tone::Strong, &clean_line(&run.summary.workflow));
    let mut lines = vec![format!(
        "run {} of {name}: {}, {}",
        clean_line(&run.summary.id),
        count(u64::from(run.summary.steps_total), "step"),
        count(run.agents.len() as u64, "agent"),
    )];
    lines.extend(scripted(run));
    let done: Vec<String> = run
        .steps
        .iter()
        .filter(|step| step.completed_at.is_some())
        .map(|step| clean_line(&step.id))
        .collect();
    if begun == Begun::Before && !done.is_empty() {
        lines.push(format!("ended before: {}", done.join(", ")));
    }
    lines
}

/// `0.4s  812 tokens  $0`, as far as it means something.
fn figures(step: &StepView) -> String {
    let mut figures = Vec::new();
    if let Some(time) = took(step.started_at, step.completed_at) {
        figures.push(time);
    }
    if step.usage.turns > 0 {
        figures.push(count(step.usage.tokens(), "token"));
        figures.push(format!("${}", clean_line(&step.usage.cost_usd)));
    }
    figures.join("  ")
}
