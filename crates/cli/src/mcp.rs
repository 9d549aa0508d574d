//! Commands as tools of the Model Context Protocol: which there are, what they take, and the command
//! line that a call stands for. The tree of commands is the only source: a command is described to a
//! program in the words in which it is described to people.
//!
//! <https://modelcontextprotocol.io/specification>

mod line;
mod reach;
mod takes;

use std::sync::Arc;

use clap::Command;
use serde_json::{Map, Value};

use crate::args::ScopeName;
use crate::tree::leaves;

pub use reach::{Reach, reach};

/// A command that a program can call as a tool.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The words that lead to it, with `_` between them: `agent_list`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What it takes, as JSON Schema of an object.
    pub input_schema: Arc<Map<String, Value>>,
    /// It changes nothing.
    pub is_read_only: bool,
    /// It ends something, takes it away or writes over it.
    pub is_destructive: bool,
    /// It can be tried.
    has_dry_run: bool,
    words: String,
    command: Command,
}

impl Offer {
    fn of(words: String, command: Command, (scope, given): (ScopeName, ScopeName)) -> Self {
        let command = command.mut_args(|arg| {
            let is_kept =
                given < ScopeName::Admin && reach::is_decision(&words, arg.get_id().as_str());
            if is_kept { arg.hide(true) } else { arg }
        });
        let described = command.get_about().map(ToString::to_string);
        let has_dry_run = command.get_arguments().any(|one| one.get_id() == "dry_run");
        Self {
            name: words.replace(' ', "_"),
            description: format!("{}.", described.unwrap_or_default().trim_end_matches('.')),
            input_schema: Arc::new(takes::schema(&command)),
            is_read_only: scope == ScopeName::Read,
            is_destructive: has_dry_run || reach::writes_over(&words),
            has_dry_run,
            words,
            command,
        }
    }

    /// Whether it is done in a moment: it only looks, or it is one that can be tried.
    #[must_use]
    pub const fn is_quick(&self) -> bool {
        self.is_read_only || self.has_dry_run
    }

    /// The arguments of the command line that a call stands for, without the program's name.
    ///
    /// # Errors
    /// What is wrong with the input, in words for a model.
    pub fn command_line(&self, input: &Map<String, Value>) -> Result<Vec<String>, String> {
        line::of(&self.words, &self.command, input)
    }
}

/// What a client may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Nothing that needs more than this.
    pub scope: ScopeName,
    /// These commands, and all below these words; empty for those of every day.
    pub only: Vec<String>,
}

/// The commands of a selection, by their names.
///
/// # Errors
/// The words that lead to no command which can be offered, and why.
pub fn offers(selection: &Selection) -> Result<Vec<Offer>, String> {
    for words in &selection.only {
        check(words, selection.scope)?;
    }
    let chosen = |words: &str, is_everyday: bool| match selection.only.as_slice() {
        [] => is_everyday,
        only => only.iter().any(|prefix| leads_to(prefix, words)),
    };
    let all = leaves().into_iter().filter_map(|(words, command)| {
        let Reach::Offered { scope, is_everyday } = reach(&words)? else {
            return None;
        };
        let is_offered = scope <= selection.scope && chosen(&words, is_everyday);
        is_offered.then(|| Offer::of(words, command, (scope, selection.scope)))
    });
    Ok(all.collect())
}

/// Refuses words of `--only` that would give nothing.
fn check(prefix: &str, scope: ScopeName) -> Result<(), String> {
    let mut why = format!("there is no command '{prefix}'");
    for (words, _) in leaves() {
        if !leads_to(prefix, &words) {
            continue;
        }
        match reach(&words) {
            Some(Reach::Offered { scope: needed, .. }) if needed <= scope => return Ok(()),
            Some(Reach::Offered { scope: needed, .. }) => {
                why = format!("'{words}' needs --scope {}", needed.as_str());
            }
            Some(Reach::Kept(reason)) => why = format!("'{words}' is no tool: {reason}"),
            None => {}
        }
    }
    Err(why)
}

fn leads_to(prefix: &str, words: &str) -> bool {
    let rest = words.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

#[cfg(test)]
mod tests;
