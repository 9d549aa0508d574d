//! `metrics`: what agents use.

use fusion_api_types::Problem;

use crate::args::{AgentMetricsArgs, MetricsCommand};
use crate::backend::Backend;
use crate::exit::Exit;
use crate::report::metrics as report;
use crate::session::Session;

/// Every command below `metrics`.
pub(crate) async fn metrics(
    command: &MetricsCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        MetricsCommand::Agent(of) => agent(of, backend, session).await,
    }
}

async fn agent(
    of: &AgentMetricsArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let metrics = backend.agent_metrics(&of.agent, of.since, of.limit).await?;
    if session.is_machine() {
        session.print_rows(&metrics, &metrics.metrics)?;
    } else if metrics.metrics.is_empty() {
        session.tell("no samples: one is taken of an agent at work, every 30 seconds\n");
    } else {
        session.print(&report::table(&metrics.metrics, session))?;
    }
    Ok(Exit::Done)
}
