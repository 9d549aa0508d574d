//! Whether the server can do its work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The state of the server and of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `healthy` or `unhealthy`.
    pub status: String,
    /// `connected` or `unavailable`.
    pub database: String,
    /// `connected`, or what is wrong: work goes on without the bus, only slower.
    pub bus: String,
    /// Of the program.
    pub version: String,
    /// What a server of before does not know, so that a client can ask before it relies on it. `dry_run`: the
    /// routes that name this parameter take it. `retry_description`: a task is asked for again with other words.
    #[serde(default)]
    pub knows: Vec<String>,
}

impl Health {
    /// In `knows`: requests that only ask what would change.
    pub const DRY_RUN: &str = "dry_run";
    /// In `knows`: a task is asked for again with other words.
    pub const RETRY_DESCRIPTION: &str = "retry_description";
}

/// Whether requests can be served now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Whether every check is right.
    pub ready: bool,
    /// Each check.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// Whether it is right.
    pub ok: bool,
}
