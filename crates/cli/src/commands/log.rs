//! What `agent logs` and `task logs` print.

use std::ops::ControlFlow;

use fusion_api_types::api::{Delta, DeltaKind};
use fusion_api_types::{AgentLog, AgentLogEntry, Problem};

use crate::backend::Log;
use crate::exit::Exit;
use crate::report::agent as report;
use crate::session::Session;
use crate::text::clean;

/// A log for a program that wants it whole, or each entry as it comes and for a person what is said
/// until then.
pub(super) struct Shown<'a> {
    session: &'a Session<'a>,
    /// All entries, where they are printed together.
    kept: Option<Vec<AgentLogEntry>>,
    /// Task and turn whose words are on the screen, without the end of their line.
    saying: Option<(String, u32)>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(follow: bool, session: &'a Session<'a>) -> Self {
        Self {
            session,
            kept: (session.is_machine() && !follow).then(Vec::new),
            saying: None,
        }
    }

    /// Prints what was kept.
    pub(super) fn finish(mut self) -> Result<Exit, Problem> {
        match self.kept.take() {
            Some(entries) => {
                let log = AgentLog { entries };
                self.session.print_rows(&log, &log.entries)?;
            }
            None => self.close().map(|_| ())?,
        }
        Ok(Exit::Done)
    }

    /// Ends the line of what was said.
    fn close(&mut self) -> Result<ControlFlow<()>, Problem> {
        match self.saying.take() {
            Some(_) => self.session.stream("\n"),
            None => Ok(ControlFlow::Continue(())),
        }
    }

    fn say(&mut self, delta: &Delta) -> Result<ControlFlow<()>, Problem> {
        let turn = (delta.task_id.clone(), delta.turn);
        let mut text = clean(&delta.text);
        if self.saying.as_ref() != Some(&turn) {
            if self.close()?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            text.insert_str(0, &report::says(delta));
            self.saying = Some(turn);
        }
        self.session.stream(&text)
    }
}

impl Log for Shown<'_> {
    fn entry(&mut self, entry: &AgentLogEntry) -> Result<ControlFlow<()>, Problem> {
        if let Some(kept) = &mut self.kept {
            kept.push(entry.clone());
            return Ok(ControlFlow::Continue(()));
        }
        if self.session.is_machine() {
            return self.session.stream_json(entry);
        }
        if self.close()?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.session.stream(&report::line(entry, self.session))
    }

    fn words(&mut self, delta: &Delta) -> Result<ControlFlow<()>, Problem> {
        if self.session.is_machine() {
            return Ok(ControlFlow::Continue(()));
        }
        match delta.kind {
            DeltaKind::Text => self.say(delta),
            DeltaKind::Discarded | DeltaKind::End => self.close(),
            DeltaKind::Reasoning | DeltaKind::ToolCall => Ok(ControlFlow::Continue(())),
        }
    }

    fn notice(&mut self, text: &str) -> Result<(), Problem> {
        self.close().map(|_| ())?;
        self.session.tell(&format!("{}\n", clean(text)));
        Ok(())
    }
}
