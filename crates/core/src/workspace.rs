//! Workspaces: one directory per agent.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::transition::text_enum;
use crate::{AgentId, Timestamp, WorkspaceId};

text_enum! {
    /// What becomes of the workspace of an agent that ends.
    Disposal {
        /// It stays as it is.
        Keep = "keep",
        /// It is packed into one file, and removed once that is on the disk.
        Archive = "archive",
        /// It is removed.
        Remove = "remove",
    }
}

/// The record of an agent's directory: `.agent/`, `projects/`, `logs/`, `.env`, mode 0700.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// Names the workspace.
    pub id: WorkspaceId,
    /// The one agent that it belongs to.
    pub agent_id: AgentId,
    /// Absolute path; no other workspace has the same.
    pub root_path: String,
    /// Absolute path of the folder for the agent's results.
    pub projects_path: String,
    /// Absolute path of the folder for the output of its processes.
    pub logs_path: String,
    /// Whether the directories exist.
    pub initialized: bool,
    /// Why they could not be made.
    pub initialization_error: Option<String>,
    /// Free JSON object, copied to `.agent/`.
    pub agent_config: Value,
    /// Variables for the agent's processes.
    pub environment_variables: BTreeMap<String, String>,
    /// The user id its processes run under when the server runs as root.
    pub process_uid: Option<u32>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// Bytes in use when last measured.
    pub size_bytes: u64,
    /// Files when last measured.
    pub file_count: u64,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}
