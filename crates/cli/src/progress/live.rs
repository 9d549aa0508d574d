//! Progress on a terminal: a line for each step, drawn anew at every snapshot.

use std::io;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use console::{measure_text_width, truncate_str};
use fusion_api_types::{MessageView, RunDetail, StepView};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::{Begun, opening};
use crate::report::message::short_line;
use crate::report::{took, totals, waiting};
use crate::session::Session;
use crate::style::{Look, Palette, Tone};
use crate::terminal::{Output, Size};
use crate::text::{clean_line, count, shorten, thousands};

const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// No name takes more columns than this.
const WIDEST_NAME: usize = 24;

/// The drawn lines. `indicatif` keeps the cursor right; what the lines say is made here.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    session: &'a Session<'a>,
    begun: Begun,
    bar: ProgressBar,
    frame: usize,
}

impl<'a> Live<'a> {
    pub(crate) fn new(session: &'a Session<'a>, begun: Begun) -> Self {
        let screen = Screen {
            output: session.terminal.stderr.clone(),
            pending: Mutex::default(),
        };
        let target = ProgressDrawTarget::term_like(Box::new(screen));
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self {
            session,
            begun,
            bar,
            frame: 0,
        }
    }

    pub(crate) fn update(&mut self, run: &RunDetail) {
        if self.frame == 0 {
            for line in opening(run, self.begun, self.session.err) {
                self.say(&line);
            }
        }
        let size = self.session.terminal.stderr.size().unwrap_or(Size {
            columns: 80,
            rows: 24,
        });
        let frame = Frame {
            run,
            spinner: SPINNER.get(self.frame % SPINNER.len()).copied(),
            now: (self.session.terminal.now)().to_utc(),
            palette: self.session.err,
            session: self.session,
        };
        self.bar.set_message(frame.lines(size).join("\n"));
        self.frame += 1;
    }

    pub(crate) fn message(&self, message: &MessageView) {
        self.say(&short_line(message, self.session));
    }

    pub(crate) fn say(&self, line: &str) {
        self.bar.println(line);
    }

    /// Takes the lines away where the result on stdout says the same on the same screen.
    pub(crate) fn finish(self) {
        let result_follows = self.session.terminal.stdout.size().is_some();
        if self.frame == 0 || (result_follows && !self.session.is_machine()) {
            self.bar.finish_and_clear();
        } else {
            self.bar.finish();
            self.session.tell("\n");
        }
    }
}

/// One picture of a run.
#[derive(Debug)]
struct Frame<'a> {
    run: &'a RunDetail,
    spinner: Option<&'static str>,
    now: DateTime<Utc>,
    palette: Palette,
    session: &'a Session<'a>,
}

impl Frame<'_> {
    /// At most as many lines as the window has, none wider than it.
    fn lines(&self, size: Size) -> Vec<String> {
        // One line for the totals, one for the steps left out, one for the cursor.
        let room = usize::from(size.rows).saturating_sub(3).max(1);
        let shown = self.most_telling(room);
        let left_out = self.run.steps.len().saturating_sub(shown.len());
        let widest = |name: fn(&StepView) -> &str| {
            let widths = shown
                .iter()
                .map(|step| measure_text_width(&shorten(name(step), WIDEST_NAME)));
            widths.max().unwrap_or_default()
        };
        let (ids, agents) = (widest(|step| &step.id), widest(agent));
        let mut lines: Vec<String> = shown
            .iter()
            .map(|step| self.step(step, ids, agents))
            .collect();
        if left_out > 0 {
            lines.push(format!("  … and {} more", count(left_out as u64, "step")));
        }
        lines.push(
            self.palette
                .paint(Tone::Quiet, &totals(self.run, Some(self.now))),
        );
        let columns = usize::from(size.columns.max(1));
        lines
            .iter()
            .map(|line| truncate_str(line, columns, "…").into_owned())
            .collect()
    }

    /// The steps that fit: those at work, then failed or held up, then waiting, then the latest that ended.
    fn most_telling(&self, room: usize) -> Vec<&StepView> {
        let mut places: Vec<(usize, &StepView)> = self.run.steps.iter().enumerate().collect();
        places.sort_by_key(|(place, step)| match step.state.as_str() {
            "running" => (0, *place),
            "failed" => (1, *place),
            "queued" if step.waiting.is_some() => (1, *place),
            "completed" | "cancelled" => (3, usize::MAX - place),
            _ => (2, *place),
        });
        places.truncate(room);
        places.sort_by_key(|(place, _)| *place);
        places.into_iter().map(|(_, step)| step).collect()
    }

    fn step(&self, step: &StepView, ids: usize, agents: usize) -> String {
        let mut look = Look::of_step(step);
        let runs = step.state == "running" && !self.run.summary.interrupted;
        if let Some(spinner) = self.spinner.filter(|_| runs) {
            look.mark = spinner;
        }
        let until = step.completed_at.or_else(|| runs.then_some(self.now));
        let time = took(step.started_at, until).unwrap_or_default();
        let (tokens, cost) = if step.usage.turns > 0 {
            (
                count(step.usage.tokens(), "token"),
                format!("${}", clean_line(&step.usage.cost_usd)),
            )
        } else {
            (String::new(), String::new())
        };
        let line = format!(
            "{} {}  {}  {}  {time:>6}  {tokens:>12}  {cost:<8}  {}",
            self.palette.paint(look.tone, look.mark),
            pad(&step.id, ids),
            pad(agent(step), agents),
            self.palette.paint(look.tone, &format!("{:9}", look.label)),
            self.doing(step, runs),
        );
        line.trim_end().to_owned()
    }

    fn doing(&self, step: &StepView, runs: bool) -> String {
        let activity = match (&step.error, &step.activity, &step.waiting) {
            (Some(error), ..) => clean_line(error),
            (None, Some(activity), _) if runs => clean_line(activity),
            (None, _, Some(wait)) => waiting(wait, self.session),
            (None, ..) => String::new(),
        };
        if step.attempts > 1 && runs {
            return format!(
                "{activity} (attempt {})",
                thousands(u64::from(step.attempts))
            );
        }
        activity
    }
}

fn agent(step: &StepView) -> &str {
    step.agent.as_deref().unwrap_or_default()
}

fn pad(name: &str, width: usize) -> String {
    let name = shorten(name, WIDEST_NAME);
    let gap = width.saturating_sub(measure_text_width(&name));
    format!("{name}{}", " ".repeat(gap))
}

/// The terminal as `indicatif` draws on it: a whole picture is written at once, so that it does
/// not flicker.
#[derive(Debug)]
struct Screen {
    output: Output,
    pending: Mutex<String>,
}

impl Screen {
    fn push(&self, text: &str) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.push_str(text);
    }

    fn move_cursor(&self, by: usize, direction: char) {
        if by > 0 {
            self.push(&format!("\u{1b}[{by}{direction}"));
        }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.output.size().map_or(80, |size| size.columns)
    }

    fn height(&self) -> u16 {
        self.output.size().map_or(24, |size| size.rows)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D');
        Ok(())
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.push(s);
        self.push("\n");
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.push(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push("\r\u{1b}[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let picture = std::mem::take(&mut *pending);
        drop(pending);
        self.output.write(&picture)
    }
}
