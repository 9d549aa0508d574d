//! The work of `node`: beside the processes that share a database, or through one of them.

use async_trait::async_trait;
use fusion_api::node_view;
use fusion_api_types::api::{ServerNode, ServerNodeList};
use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::Nodes;
use fusion_core::NodeId;
use fusion_persistence::NodeReader;

use crate::backend::LocalBackend;
use crate::find::only_one;
use crate::problems;

/// Nodes that are listed at most.
const LISTED: u32 = 1_000;

#[async_trait]
impl Nodes for LocalBackend {
    async fn list_nodes(&self) -> Result<ServerNodeList, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_nodes().await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(ServerNodeList { nodes: Vec::new() });
        };
        let nodes = reading.store().nodes(LISTED).await;
        let nodes = nodes.map_err(|error| problems::of_store(&error))?;
        Ok(ServerNodeList {
            nodes: nodes.into_iter().map(node_view).collect(),
        })
    }

    async fn get_node(&self, node: &str) -> Result<ServerNode, Problem> {
        chosen(self.list_nodes().await?, node)
    }

    async fn drain_node(&self, node: &str) -> Result<ServerNode, Problem> {
        let chosen = chosen(self.list_nodes().await?, node)?;
        if let Some(remote) = self.remote()? {
            return remote.drain_node(&chosen.id).await;
        }
        let id: NodeId = chosen
            .id
            .parse()
            .map_err(|error| Problem::new(ProblemKind::Internal, format!("{error}")))?;
        let data_dir = self.data_dir()?;
        let engine = self.engine(&data_dir, self.registry_of(&[])).await?;
        let drained = engine.coordinator().drain_node(id).await;
        engine.close().await;
        drained
            .map(node_view)
            .map_err(|error| problems::of_engine(&error))
    }
}

/// The node that is meant: the newest of this name, else the only one whose id begins so.
fn chosen(list: ServerNodeList, text: &str) -> Result<ServerNode, Problem> {
    if let Some(named) = list.nodes.iter().find(|node| node.name == text) {
        return Ok(named.clone());
    }
    let wanted = text.to_lowercase();
    let begin_so = list
        .nodes
        .iter()
        .filter(|node| node.id.starts_with(&wanted));
    let ids: Vec<&str> = begin_so.map(|node| node.id.as_str()).collect();
    let id = only_one(&ids, "nodes", text)?;
    let found = id.and_then(|id| list.nodes.iter().find(|node| node.id == id));
    found.cloned().ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        Problem::new(ProblemKind::NotFound, format!("there is no node '{shown}'"))
            .with_help("see all nodes with: fusion-kit node list")
    })
}
