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

/// What is kept of a workspace where other machines find it, as of the commit that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedSnapshot {
    /// Everything, under this name.
    Kept(String),
    /// Nothing, and why: what is there under an older name is not how the workspace is.
    Missing(String),
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

impl Workspace {
    /// The name of its folder.
    #[must_use]
    pub fn dir_name(&self) -> &str {
        self.root_path.rsplit('/').next().unwrap_or_default()
    }

    /// The same workspace in another folder.
    #[must_use]
    pub fn moved_to(self, root_path: String) -> Self {
        Self {
            projects_path: format!("{root_path}/projects"),
            logs_path: format!("{root_path}/logs"),
            root_path,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn workspace() -> Workspace {
        Workspace {
            id: WorkspaceId::from_uuid(Uuid::nil()),
            agent_id: AgentId::from_uuid(Uuid::nil()),
            root_path: "/w/a".to_owned(),
            projects_path: "/w/a/projects".to_owned(),
            logs_path: "/w/a/logs".to_owned(),
            initialized: true,
            initialization_error: None,
            agent_config: json!({}),
            environment_variables: BTreeMap::new(),
            process_uid: None,
            created_at: DateTime::UNIX_EPOCH,
            size_bytes: 0,
            file_count: 0,
            version: 3,
        }
    }

    #[test]
    fn a_workspace_that_moved_has_all_its_folders_elsewhere() {
        let wanted = Workspace {
            root_path: "/v/b".to_owned(),
            projects_path: "/v/b/projects".to_owned(),
            logs_path: "/v/b/logs".to_owned(),
            ..workspace()
        };
        let moved = workspace().moved_to("/v/b".to_owned());
        assert_eq!((moved.dir_name(), &moved), ("b", &wanted));
    }
}
