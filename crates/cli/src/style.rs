//! Colours and the look of states.

use console::Style;
use fusion_api_types::{RunSummary, StepView};

use crate::text::clean_line;

/// What a colour means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Ended well.
    Good,
    /// Ended badly.
    Bad,
    /// Needs somebody.
    Warn,
    /// Goes on.
    Busy,
    /// Not now.
    Quiet,
    /// A heading.
    Strong,
}

/// Colours of one stream, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Palette {
    /// Escape codes are written.
    Coloured,
    /// Nothing but text is written.
    Plain,
}

impl Palette {
    /// The text in the colour of `tone`.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Good => Style::new().green(),
            Tone::Bad => Style::new().red().bold(),
            Tone::Warn => Style::new().yellow(),
            Tone::Busy => Style::new().cyan(),
            Tone::Quiet => Style::new().dim(),
            Tone::Strong => Style::new().bold(),
        };
        style
            .force_styling(self == Self::Coloured)
            .apply_to(text)
            .to_string()
    }
}

/// How a state is shown: never by colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) mark: &'static str,
    pub(crate) label: String,
    pub(crate) tone: Tone,
}

impl Look {
    fn new(mark: &'static str, label: &str, tone: Tone) -> Self {
        Self {
            mark,
            label: label.to_owned(),
            tone,
        }
    }

    /// Of a step.
    pub(crate) fn of_step(step: &StepView) -> Self {
        match (step.state.as_str(), step.cancel_reason.as_deref()) {
            ("cancelled", Some("condition_false" | "dependency_skipped")) => {
                Self::new("-", "skipped", Tone::Quiet)
            }
            ("queued", _) if step.waiting.is_some() => Self::new("·", "waiting", Tone::Warn),
            (state, _) => Self::of_state(state),
        }
    }

    /// Of a run.
    pub(crate) fn of_run(run: &RunSummary) -> Self {
        if run.interrupted {
            Self::new("!", "interrupted", Tone::Warn)
        } else {
            Self::of_state(&run.state)
        }
    }

    /// Of an agent; `note` says more of its state.
    pub(crate) fn of_agent(state: &str, note: Option<&str>) -> Self {
        let label = match note {
            Some(note) => format!("{state} ({})", clean_line(note)),
            None => clean_line(state),
        };
        match state {
            "idle" => Self::new("·", &label, Tone::Quiet),
            "working" => Self::new("▸", &label, Tone::Busy),
            "paused" => Self::new("!", &label, Tone::Warn),
            "error" => Self::new("✗", &label, Tone::Bad),
            "terminated" => Self::new("-", &label, Tone::Quiet),
            _ => Self::new("?", &label, Tone::Quiet),
        }
    }

    /// Of a task; one that waits for a time says so.
    pub(crate) fn of_task(state: &str, waits: bool) -> Self {
        match state {
            "queued" if waits => Self::new("·", "waiting", Tone::Warn),
            _ => Self::of_state(state),
        }
    }

    /// Of a message or of one of its deliveries.
    pub(crate) fn of_message(status: &str) -> Self {
        match status {
            "delivered" => Self::new("✓", status, Tone::Good),
            "failed" => Self::new("✗", status, Tone::Bad),
            "expired" => Self::new("!", status, Tone::Warn),
            "pending" => Self::new("·", status, Tone::Quiet),
            other => Self::new("?", &clean_line(other), Tone::Quiet),
        }
    }

    /// Mark and label in their colour.
    pub(crate) fn painted(&self, palette: Palette) -> String {
        palette.paint(self.tone, &format!("{} {}", self.mark, self.label))
    }

    fn of_state(state: &str) -> Self {
        match state {
            "completed" => Self::new("✓", state, Tone::Good),
            "failed" => Self::new("✗", state, Tone::Bad),
            "cancelled" => Self::new("-", state, Tone::Warn),
            "running" => Self::new("▸", state, Tone::Busy),
            "ready" | "queued" | "assigned" => Self::new("·", state, Tone::Quiet),
            other => Self::new("?", &clean_line(other), Tone::Quiet),
        }
    }
}
