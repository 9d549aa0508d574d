//! Nodes that are what the test says.

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_api_types::api::{ServerNode, ServerNodeList};
use std::path::Path;

use fusion_api_types::ArtifactSaved;
use fusion_cli::{Artifacts, Nodes};

use super::Fake;

#[async_trait]
impl Nodes for Fake {
    async fn list_nodes(&self) -> Result<ServerNodeList, Problem> {
        self.report("list_nodes".to_owned())
    }

    async fn get_node(&self, node: &str) -> Result<ServerNode, Problem> {
        self.report(format!("get_node {node}"))
    }

    async fn drain_node(&self, node: &str) -> Result<ServerNode, Problem> {
        self.report(format!("drain_node {node}"))
    }
}

#[async_trait]
impl Artifacts for Fake {
    async fn save_artifact(&self, sha256: &str, to: &Path) -> Result<ArtifactSaved, Problem> {
        self.report(format!("save {sha256} to {}", to.display()))
    }
}
