//! What a workflow file grants the commands of an agent beyond its workspace.

use serde::{Deserialize, Serialize};

use crate::transition::text_enum;

text_enum! {
    /// What an agent's commands reach of the network.
    NetworkAccess {
        /// Nothing.
        None = "none",
        /// The network of the machine.
        Full = "full",
    }
}

/// The `sandbox` of an agent. Empty means: its workspace, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// What its commands reach of the network.
    #[serde(default = "no_network")]
    pub network: NetworkAccess,
    /// Folders that they may read and run programs of, or templates of them: absolute, or from the
    /// folder of the workflow file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<String>,
    /// Folders that they may write too, in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// Names of variables of the operator's environment that they are given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Other bounds than the usual ones.
    #[serde(default, skip_serializing_if = "LimitsSpec::is_empty")]
    pub limits: LimitsSpec,
}

const fn no_network() -> NetworkAccess {
    NetworkAccess::None
}

impl Default for SandboxSpec {
    fn default() -> Self {
        Self {
            network: NetworkAccess::None,
            read: Vec::new(),
            write: Vec::new(),
            env: Vec::new(),
            limits: LimitsSpec::default(),
        }
    }
}

impl SandboxSpec {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Bounds of an agent's commands; `None` leaves the usual one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsSpec {
    /// Bytes of memory of one command with all it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Processes and threads at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// Seconds of computing of one process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<u64>,
    /// Bytes of one file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_size: Option<u64>,
    /// Bytes of its workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
    /// Bytes of a workspace that is put back after a crash; of a larger one nothing is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
    /// Files, folders and links in its workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
}

impl LimitsSpec {
    /// Whether every bound is the usual one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
