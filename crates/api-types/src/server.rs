//! A server that listens.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a server listens and what it works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerReady {
    /// What requests begin with, such as `http://127.0.0.1:8000`; empty where none is answered.
    pub url: String,
    /// Absolute path of the file that holds a token.
    pub token_file: String,
    /// Absolute path of its data directory.
    pub data_dir: String,
    /// Its process.
    pub pid: u32,
    /// Of the program.
    pub version: String,
}
