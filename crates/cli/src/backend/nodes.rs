//! The port behind `node`.

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_api_types::api::{ServerNode, ServerNodeList};

/// Looks after the processes that share the work.
#[async_trait]
pub trait Nodes {
    /// The nodes that are known, the newest first.
    ///
    /// # Errors
    /// The database can't be used.
    async fn list_nodes(&self) -> Result<ServerNodeList, Problem>;

    /// The node of this name or id.
    ///
    /// # Errors
    /// There is none, or several; or the database can't be used.
    async fn get_node(&self, node: &str) -> Result<ServerNode, Problem>;

    /// Tells a node to drain.
    ///
    /// # Errors
    /// As [`get_node`](Self::get_node); or it is down.
    async fn drain_node(&self, node: &str) -> Result<ServerNode, Problem>;
}
