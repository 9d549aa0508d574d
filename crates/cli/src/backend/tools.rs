//! The port behind `sandbox` and `tool`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fusion_api_types::{Problem, ToolAnswer, ToolList};
use serde_json::Value;

/// A command to be run as an agent's command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCommand {
    /// Where it works; a new folder without it.
    pub workspace: Option<PathBuf>,
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
}

/// Where a tool is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolFolder<'a> {
    /// The folder that it works in.
    pub workspace: &'a Path,
    /// The hosts that it may fetch pages from.
    pub hosts: &'a [String],
}

/// A command that was not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRun {
    /// Why.
    pub problem: Problem,
    /// The number that says so: 126 when it can't be run, 127 when there is none of that name,
    /// 125 for everything else.
    pub code: u8,
}

/// Does what agents do, for a person.
#[async_trait]
pub trait Tools {
    /// Runs a command in the agents' sandbox with the streams of this process; gives the number to
    /// exit with, as a shell would. A `notice` is for a person.
    ///
    /// # Errors
    /// The workspace can't be used, the command can't be run or can't be held as promised.
    async fn run_held(
        &self,
        command: &HeldCommand,
        notice: &(dyn Fn(&str) + Sync),
    ) -> Result<u8, NotRun>;

    /// The tools that agents can be given.
    fn tools(&self) -> ToolList;

    /// Calls a tool in a folder. What the tool refuses is an answer.
    ///
    /// # Errors
    /// The workspace can't be used, or a host is none.
    async fn call_tool(
        &self,
        name: &str,
        input: Value,
        folder: ToolFolder<'_>,
    ) -> Result<ToolAnswer, Problem>;

    /// The next line of stdin without its end; `None` after the last.
    ///
    /// # Errors
    /// It can't be read, is no text, or is longer than any request.
    async fn next_line(&self) -> Result<Option<String>, Problem>;
}
