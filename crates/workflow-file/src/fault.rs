//! What is wrong with a file, and where.

use fusion_core::{Coded, ErrorCode, nearest};

use crate::tree::Span;

/// Faults that are told of one file.
const MAX_TOLD: usize = 50;
/// Faults that are kept before sorting. A file with more is not read further in detail.
const MAX_KEPT: usize = 1_000;
/// Faults after which no nearest name is searched: they will hardly be told, and a search
/// looks at every name of the file.
const MAX_SEARCHES: usize = 100;
/// The longest name that is compared with others, in bytes.
const MAX_COMPARED: usize = 255;
/// The longest message, in characters: a file may have a name of a megabyte.
const MAX_MESSAGE: usize = 600;
/// Names that a help text lists.
const MAX_LISTED: usize = 20;

/// A place in the text of a file. Always inside the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// In bytes from the start of the text.
    pub offset: usize,
    /// In bytes; 0 where something is missing.
    pub length: usize,
}

/// Something wrong in a workflow file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {message}", .position.line, .position.column)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// The way out, where one is known.
    pub help: Option<String>,
    /// Where it is wrong.
    pub position: Position,
}

impl Coded for Fault {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidInput
    }
}

/// A fault whose place is not yet counted in lines.
#[derive(Debug)]
pub(crate) struct RawFault {
    message: String,
    help: Option<String>,
    span: Span,
}

impl RawFault {
    pub(crate) fn new(message: impl Into<String>, span: &Span) -> Self {
        Self {
            message: shortened(message.into()),
            help: None,
            span: span.clone(),
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    pub(crate) fn located(self, text: &str) -> Fault {
        let offset = text.floor_char_boundary(self.span.start.min(text.len()));
        let end = text.floor_char_boundary(self.span.end.min(text.len()));
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line_before = before.get(line_start..).unwrap_or_default();
        Fault {
            message: self.message,
            help: self.help,
            position: Position {
                line: before.matches('\n').count() + 1,
                column: line_before.chars().count() + 1,
                offset,
                length: end.saturating_sub(offset),
            },
        }
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_MESSAGE) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<RawFault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: RawFault) {
        if self.found.len() < MAX_KEPT {
            self.found.push(fault);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The help for a name that is not known: the nearest known one, or what there is.
    /// `kind` is the plural of what the names are.
    pub(crate) fn hint<'a, I>(&self, name: &str, kind: &str, known: I) -> String
    where
        I: Iterator<Item = &'a str> + Clone,
    {
        let search = self.found.len() < MAX_SEARCHES && name.len() <= MAX_COMPARED;
        let comparable = known.clone().filter(|known| known.len() <= MAX_COMPARED);
        if let Some(near) = search.then(|| nearest(name, comparable)).flatten() {
            return format!("did you mean `{near}`?");
        }
        let mut known = known;
        let listed: Vec<&str> = known.by_ref().take(MAX_LISTED).collect();
        if listed.is_empty() {
            return format!("there are no {kind}");
        }
        let more = if known.next().is_some() { ", …" } else { "" };
        format!("the {kind} are: {}{more}", listed.join(", "))
    }

    /// The first of them in the order of the text.
    pub(crate) fn sorted(mut self, text: &str) -> Vec<Fault> {
        self.found.sort_by_key(|fault| fault.span.start);
        self.found
            .into_iter()
            .take(MAX_TOLD)
            .map(|fault| fault.located(text))
            .collect()
    }
}
