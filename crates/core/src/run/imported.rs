//! Runs that were not done here.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Agent, Run, Timestamp, Workspace};

/// In the metadata of agents and in the records of their workspaces: that their run was done elsewhere.
pub const IMPORTED: &str = "imported";

/// Where a run comes from that was done elsewhere and read from a file. It has ended, what it cost counts
/// for nothing here, and the workspaces of its agents are not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// When it came here.
    pub at: Timestamp,
    /// When the file was written.
    pub exported_at: Timestamp,
    /// What the machine calls itself on which that was.
    pub machine: String,
    /// The version of the program that wrote it.
    pub program: String,
    /// SHA-256, in hex, of what the file says about the run and the runs below it.
    pub content: String,
    /// SHA-256, in hex, of the file itself, which is kept: its events and messages are in there only.
    pub file: String,
}

impl Run {
    /// Whether it was done elsewhere.
    #[must_use]
    pub const fn is_imported(&self) -> bool {
        self.imported.is_some()
    }
}

impl Agent {
    /// Whether its run was done elsewhere: its workspace is not here.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.metadata.get(IMPORTED).is_some()
    }

    /// Says that its run was done elsewhere.
    pub fn mark_imported(&mut self) {
        mark(&mut self.metadata);
    }

    /// Where its workspace is on this machine; `None` where its run was done elsewhere.
    #[must_use]
    pub fn workspace_here(&self) -> Option<&str> {
        (!self.is_imported()).then_some(self.workspace_path.as_str())
    }
}

impl Workspace {
    /// Whether it is elsewhere: it was never made here.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.agent_config.get(IMPORTED).is_some()
    }

    /// Says that it is elsewhere.
    pub fn mark_imported(&mut self) {
        mark(&mut self.agent_config);
    }
}

fn mark(record: &mut Value) {
    if !record.is_object() {
        *record = json!({});
    }
    if let Value::Object(record) = record {
        record.insert(IMPORTED.to_owned(), json!(true));
    }
}
