//! Nodes: processes that share the work on one store.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A process at work on the store, from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerNode {
    /// UUID; a process that starts again is another node.
    pub id: String,
    /// What it is called: the name of its machine, unless it was given one.
    pub name: String,
    /// `up`, `draining` or `down`.
    pub state: String,
    /// `api`, `worker`.
    pub roles: Vec<String>,
    /// Rises with each start of any process.
    pub epoch: u64,
    /// Which fusion-kit it runs.
    pub version: String,
    /// Runs that it drives at once.
    pub capacity: u32,
    /// Runs that it drives now.
    pub runs: u32,
    /// Steps that its agents work on now.
    pub tasks: u32,
    /// When it started, by the clock of the database.
    pub started_at: DateTime<Utc>,
    /// When it last kept its leases, by the same clock.
    pub last_seen: DateTime<Utc>,
}

/// The nodes that are known, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerNodeList {
    /// The nodes.
    pub nodes: Vec<ServerNode>,
}
