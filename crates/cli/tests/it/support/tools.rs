//! What the fake backend says of commands and tools.

use async_trait::async_trait;
use fusion_api_types::{Problem, ToolAnswer, ToolList};
use fusion_cli::{HeldCommand, NotRun, ToolFolder, Tools};
use serde_json::Value;

use super::Fake;

#[async_trait]
impl Tools for Fake {
    /// A command without a problem ends with 7.
    async fn run_held(
        &self,
        command: &HeldCommand,
        notice: &(dyn Fn(&str) + Sync),
    ) -> Result<u8, NotRun> {
        notice("a notice");
        let asked = self.ask(format!(
            "held {:?} in {:?}",
            command.argv, command.workspace
        ));
        asked
            .map(|()| 7)
            .map_err(|problem| NotRun { problem, code: 125 })
    }

    fn tools(&self) -> ToolList {
        self.report("tools".to_owned()).unwrap()
    }

    async fn call_tool(
        &self,
        name: &str,
        input: Value,
        folder: ToolFolder<'_>,
    ) -> Result<ToolAnswer, Problem> {
        let hosts = folder.hosts.iter().map(|host| format!(" with {host}"));
        let hosts: String = hosts.collect();
        self.report(format!(
            "call {name} {input} in {}{hosts}",
            folder.workspace.display()
        ))
    }

    async fn next_line(&self) -> Result<Option<String>, Problem> {
        Ok(self.lines.lock().unwrap().pop_front())
    }
}
