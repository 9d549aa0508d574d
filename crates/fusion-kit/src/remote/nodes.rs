//! Nodes, asked of a server.

use fusion_api_types::Problem;
use fusion_api_types::api::{ServerNode, ServerNodeList};
use serde_json::json;

use super::Remote;

impl Remote {
    pub(crate) async fn list_nodes(&self) -> Result<ServerNodeList, Problem> {
        self.client.get("/nodes", &[]).await
    }

    pub(crate) async fn drain_node(&self, id: &str) -> Result<ServerNode, Problem> {
        self.client
            .post(&format!("/nodes/{id}/drain"), &json!({}))
            .await
    }
}
