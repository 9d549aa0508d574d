//! `node`: the processes that share the work.

use fusion_api_types::Problem;

use super::db::{answer, answer_rows};
use crate::args::NodeCommand;
use crate::backend::Backend;
use crate::exit::Exit;
use crate::report::node as report;
use crate::session::Session;

/// Every command below `node`.
pub(crate) async fn node(
    command: &NodeCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        NodeCommand::List => {
            let found = backend.list_nodes().await?;
            if found.nodes.is_empty() && !session.is_machine() {
                session.tell("no process has worked here yet\n");
                return Ok(Exit::Done);
            }
            answer_rows(&found, &found.nodes, report::list, session)
        }
        NodeCommand::Get(name) => {
            answer(&backend.get_node(&name.node).await?, report::one, session)
        }
        NodeCommand::Drain(name) => {
            let told = backend.drain_node(&name.node).await?;
            answer(&told, report::drained, session)
        }
    }
}
