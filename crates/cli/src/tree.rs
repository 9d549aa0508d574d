//! The tree of commands, as help, completions, the manual and tests see it.

use clap::{Command, CommandFactory};

use crate::args::Cli;
use crate::exit::CODES;

/// Every command, each with its exit codes at the end of its help.
#[must_use]
pub fn command() -> Command {
    Cli::command().mut_subcommands(with_exit_codes)
}

fn with_exit_codes(command: Command) -> Command {
    let command = command.mut_subcommands(with_exit_codes);
    let help = command.get_after_long_help().map(ToString::to_string);
    let help = help.unwrap_or_default();
    if help.contains("Exit codes:") {
        return command;
    }
    command.after_long_help(format!("{help}\n\n{CODES}"))
}

/// Every command that does something, by the words that lead to it: `agent list`.
#[must_use]
pub fn command_lines() -> Vec<String> {
    let all = leaves().into_iter();
    all.map(|(words, _)| words).collect()
}

/// The first example of every command that does something, with the words that lead to it.
#[must_use]
pub fn examples() -> Vec<(String, String)> {
    let all = leaves().into_iter();
    all.filter_map(|(words, command)| {
        let help = command.get_after_long_help()?.to_string();
        let begins = format!("fusion-kit {words}");
        let mut lines = help.lines().map(str::trim);
        let example = lines.find(|line| line.starts_with(&begins))?;
        // What follows two spaces is said about it, what follows a bar is not ours.
        let example = example.split("  ").next()?.split(['|', '>']).next()?;
        Some((words, example.trim().to_owned()))
    })
    .collect()
}

/// Every command that does something, with the words that lead to it.
pub(crate) fn leaves() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    let mut left: Vec<(String, Command)> = command()
        .get_subcommands()
        .map(|one| (one.get_name().to_owned(), one.clone()))
        .collect();
    while let Some((words, command)) = left.pop() {
        let below = command.get_subcommands();
        left.extend(below.map(|one| (format!("{words} {}", one.get_name()), one.clone())));
        // One that has nothing but commands below it does nothing by itself.
        let is_leaf =
            command.get_subcommands().next().is_none() || command.get_arguments().next().is_some();
        if is_leaf {
            found.push((words, command));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}
