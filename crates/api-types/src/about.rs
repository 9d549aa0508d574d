//! The program itself: its version, and where its things are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::SchemaView;
use crate::api::{BudgetUse, ServerNode};

/// Which program it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// Of this program.
    pub version: String,
    /// The server that is asked; `null` where the work is done in this process.
    pub server: Option<ServerVersion>,
}

/// Which program a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerVersion {
    /// Where it answers.
    pub url: String,
    /// Of its program.
    pub version: String,
}

/// Where everything is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InfoView {
    /// Of this program.
    pub version: String,
    /// What is on this machine; `null` where a server was named.
    pub here: Option<PlacesView>,
    /// The server that is asked, or that owns the data directory.
    pub server: Option<ServerInfo>,
    /// The processes that share the work of the database, the newest first.
    pub nodes: Vec<ServerNode>,
}

/// Where things are on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlacesView {
    /// The data directory.
    pub data_dir: String,
    /// The folder that the newest workspace was made in, else that in which the first will be.
    pub workspaces: String,
    /// The path of the database, or the URL of its server without the password.
    pub database: String,
    /// `SQLite` or `PostgreSQL`; `null` when there is no database yet.
    pub database_kind: Option<String>,
    /// Of the library or of the server.
    pub database_version: Option<String>,
    /// Which steps its schema has.
    pub schema: Option<SchemaView>,
    /// `in process`, or the servers that carry messages among processes.
    pub bus: String,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerInfo {
    /// Where it answers.
    pub url: String,
    /// Of its program.
    pub version: String,
    /// `healthy` or `unhealthy`.
    pub status: String,
    /// `connected` or `unavailable`.
    pub database: String,
    /// `connected`, or what is wrong.
    pub bus: String,
}

/// A budget of a project, or of all runs of one of its workflows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetLine {
    /// Name of the project.
    pub name: String,
    /// `total`, `day` or `workflow`.
    pub per: String,
    /// The workflow, for `workflow`.
    pub workflow: Option<String>,
    /// What may be used, and what was.
    #[serde(flatten)]
    pub budget: BudgetUse,
}
