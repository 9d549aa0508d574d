//! Progress for files and pipes: a line when a step changes, and never the same line twice.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, Utc};
use fusion_api_types::{MessageView, RunDetail, StepView};

use super::{Begun, figures, opening};
use crate::report::message::short_line;
use crate::report::waiting;
use crate::session::Session;
use crate::style::Look;
use crate::text::{clean_line, shorten};

/// No step id takes more columns than this.
const WIDEST_ID: usize = 24;

/// An error in a line of progress; the whole of it follows at the end.
const WIDEST_ERROR: usize = 160;

/// Compares each snapshot with the one before.
#[derive(Debug)]
pub(crate) struct Plain<'a> {
    session: &'a Session<'a>,
    begun: Begun,
    seen: Option<BTreeMap<String, Seen>>,
}

/// How far a step was in the last snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Waiting,
    /// For a limit that ends then.
    HeldUp(DateTime<Utc>),
    /// In this attempt.
    Running(u32),
    Ended,
}

impl Seen {
    fn of(step: &StepView) -> Self {
        match step.state.as_str() {
            "running" => Self::Running(step.attempts),
            "completed" | "failed" | "cancelled" => Self::Ended,
            _ => match &step.waiting {
                Some(wait) => Self::HeldUp(wait.until),
                None => Self::Waiting,
            },
        }
    }
}

impl<'a> Plain<'a> {
    pub(crate) const fn new(session: &'a Session<'a>, begun: Begun) -> Self {
        Self {
            session,
            begun,
            seen: None,
        }
    }

    pub(crate) fn update(&mut self, run: &RunDetail) {
        let seen = match self.seen.take() {
            Some(seen) => seen,
            None => self.open(run),
        };
        let mut lines: Vec<(DateTime<FixedOffset>, String)> = run
            .steps
            .iter()
            .filter_map(|step| {
                let before = seen.get(&step.id).copied().unwrap_or(Seen::Waiting);
                self.change(run, step, before)
            })
            .collect();
        // A snapshot may hold several changes: they are told in the order of their times.
        lines.sort_by_key(|(time, _)| *time);
        for (time, line) in lines {
            self.say(&format!("{} {line}", time.format("%H:%M:%S")));
        }
        let now = run.steps.iter();
        self.seen = Some(now.map(|step| (step.id.clone(), Seen::of(step))).collect());
    }

    pub(crate) fn message(&self, message: &MessageView) {
        self.say(&short_line(message, self.session));
    }

    pub(crate) fn say(&self, line: &str) {
        self.session.tell(&format!("{line}\n"));
    }

    /// Says what is said once; gives back what needs no line of its own.
    fn open(&self, run: &RunDetail) -> BTreeMap<String, Seen> {
        for line in opening(run, self.begun, self.session.err) {
            self.say(&line);
        }
        let history = run
            .steps
            .iter()
            .filter(|step| self.begun == Begun::Before && Seen::of(step) == Seen::Ended);
        history.map(|step| (step.id.clone(), Seen::Ended)).collect()
    }

    /// The line about a step that is not where it was, with the time it belongs to.
    fn change(
        &self,
        run: &RunDetail,
        step: &StepView,
        before: Seen,
    ) -> Option<(DateTime<FixedOffset>, String)> {
        let after = Seen::of(step);
        if before == after {
            return None;
        }
        let (at, label, rest) = match after {
            Seen::Ended => {
                let rest = match &step.error {
                    Some(error) => format!("{}  {}", figures(step), shorten(error, WIDEST_ERROR)),
                    None => figures(step),
                };
                (step.completed_at, Look::of_step(step).label, rest)
            }
            Seen::Running(attempt) if attempt > 1 => {
                let rest = format!("{}, attempt {attempt}", who(run, step));
                (None, step.state.clone(), rest)
            }
            Seen::Running(_) => (step.started_at, step.state.clone(), who(run, step)),
            Seen::HeldUp(_) => {
                let wait = step.waiting.as_ref();
                let rest = wait.map(|wait| waiting(wait, self.session));
                let label = Look::of_step(step).label;
                let rest = shorten(&rest.unwrap_or_default(), WIDEST_ERROR);
                (None, label, rest)
            }
            Seen::Waiting => (None, "queued".to_owned(), "again".to_owned()),
        };
        let width = run.steps.iter().map(|step| step.id.chars().count()).max();
        let width = width.unwrap_or_default().min(WIDEST_ID);
        let id = shorten(&step.id, WIDEST_ID);
        let line = format!("{id:width$}  {label:9}  {}", rest.trim());
        Some((self.local(at), line.trim_end().to_owned()))
    }

    fn local(&self, time: Option<DateTime<Utc>>) -> DateTime<FixedOffset> {
        let now = (self.session.terminal.now)();
        time.map_or(now, |time| time.with_timezone(now.offset()))
    }
}

/// `planner (scripted)`; of a step that is a run, which one.
fn who(run: &RunDetail, step: &StepView) -> String {
    let Some(name) = &step.agent else {
        let wait = step.waiting.as_ref();
        return wait.map_or_else(String::new, |wait| clean_line(&wait.reason));
    };
    match run.agents.iter().find(|agent| agent.name == *name) {
        Some(agent) => format!("{} ({})", clean_line(name), clean_line(&agent.provider)),
        None => clean_line(name),
    }
}
