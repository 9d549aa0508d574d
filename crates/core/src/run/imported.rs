//! Runs that were not done here.

use serde::{Deserialize, Serialize};

use crate::{Run, Timestamp};

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
