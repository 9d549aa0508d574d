//! One command at work: its options, its streams, its colours.

use std::io::ErrorKind;
use std::ops::ControlFlow;

use fusion_api_types::{Problem, ProblemKind};
use serde::Serialize;

use crate::args::{ColorChoice, Global, OutputForm};
use crate::form;
use crate::style::Palette;
use crate::terminal::{Output, Question, Terminal};
use crate::text::shell_word;

/// What every command needs to answer.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) global: &'a Global,
    pub(crate) terminal: &'a Terminal,
    /// Colours of stdout.
    pub(crate) out: Palette,
    /// Colours of stderr.
    pub(crate) err: Palette,
}

impl<'a> Session<'a> {
    pub(crate) fn new(global: &'a Global, terminal: &'a Terminal) -> Self {
        let palette = |output: &Output| match global.color {
            ColorChoice::Always => Palette::Coloured,
            ColorChoice::Auto if output.size().is_some() && !terminal.no_color => Palette::Coloured,
            ColorChoice::Auto | ColorChoice::Never => Palette::Plain,
        };
        Self {
            global,
            terminal,
            out: palette(&terminal.stdout),
            err: palette(&terminal.stderr),
        }
    }

    /// Writes a result. A reader that went away has all it wanted.
    pub(crate) fn print(&self, text: &str) -> Result<(), Problem> {
        self.stream(text).map(|_| ())
    }

    /// Writes a part of a result; says whether the reader still wants more.
    pub(crate) fn stream(&self, text: &str) -> Result<ControlFlow<()>, Problem> {
        match self.terminal.stdout.write(text) {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
            Err(error) => Err(Problem::new(
                ProblemKind::Unavailable,
                format!("the result could not be written to stdout: {error}"),
            )),
        }
    }

    /// The form that results are asked for in.
    pub(crate) fn form(&self) -> OutputForm {
        match self.global.output {
            Some(form) => form,
            None if self.global.json => OutputForm::Json,
            None => OutputForm::Table,
        }
    }

    /// Whether results are for programs.
    pub(crate) fn is_machine(&self) -> bool {
        !matches!(self.form(), OutputForm::Table | OutputForm::Wide)
    }

    /// Whether nothing in a table is cut.
    pub(crate) fn is_wide(&self) -> bool {
        self.form() == OutputForm::Wide
    }

    /// Writes a result for programs.
    pub(crate) fn print_json(&self, result: &impl Serialize) -> Result<(), Problem> {
        self.stream_json(result).map(|_| ())
    }

    /// Writes a part of a result for programs; says whether the reader still wants more.
    pub(crate) fn stream_json(&self, result: &impl Serialize) -> Result<ControlFlow<()>, Problem> {
        if let Some(filter) = &self.global.jq {
            return filter.apply(&form::json(result)?, |line| self.stream(line));
        }
        let text = match self.form() {
            OutputForm::Yaml => form::yaml(result)?,
            OutputForm::Name => form::name(result)?,
            OutputForm::Json | OutputForm::Jsonl | OutputForm::Table | OutputForm::Wide => {
                form::json(result)?
            }
        };
        self.stream(&text)
    }

    /// Writes a list for programs: whole, or each of its rows by itself where the form has lines.
    pub(crate) fn print_rows(
        &self,
        whole: &impl Serialize,
        rows: &[impl Serialize],
    ) -> Result<(), Problem> {
        if !matches!(self.form(), OutputForm::Jsonl | OutputForm::Name) {
            return self.print_json(whole);
        }
        for row in rows {
            if self.stream_json(row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Writes for a person; where stderr can't be written, nobody could be told.
    pub(crate) fn tell(&self, text: &str) {
        self.terminal.stderr.write(text).ok();
    }

    /// Asks a person; `None` where there is nobody.
    pub(crate) fn ask(&self, text: &str, question: Question) -> Option<String> {
        if !self.terminal.input.is_person() {
            return None;
        }
        self.tell(text);
        self.terminal.input.line(question)
    }

    /// Whether an editor can have the terminal.
    pub(crate) fn can_edit(&self) -> bool {
        self.terminal.input.is_person() && self.terminal.stdout.size().is_some()
    }

    /// A command line that works on the same data directory, or asks the same server.
    pub(crate) fn command(&self, words: &str) -> String {
        let global = self.global;
        let mut line = format!("fusion-kit {words}");
        if let Some(profile) = &global.profile {
            line = format!("{line} --profile {}", shell_word(profile));
        }
        match (&global.server, &global.data_dir) {
            (Some(server), _) => format!("{line} --server {}", shell_word(server)),
            (None, Some(dir)) => {
                let dir = shell_word(&dir.to_string_lossy());
                format!("{line} --data-dir {dir}")
            }
            (None, None) => line,
        }
    }
}
