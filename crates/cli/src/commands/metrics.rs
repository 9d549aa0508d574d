//! `metrics`: what agents use.

use fusion_api_types::Problem;

use crate::args::{AgentMetricsArgs, CostArgs, MetricsCommand, MetricsTopArgs};
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
        MetricsCommand::Cost(asked) => cost(asked, backend, session).await,
        MetricsCommand::Top(asked) => top(asked, backend, session).await,
    }
}

async fn agent(
    of: &AgentMetricsArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let metrics = backend.agent_metrics(of).await?;
    if session.is_machine() {
        session.print_rows(&metrics, &metrics.metrics)?;
    } else if metrics.metrics.is_empty() {
        session.tell("no samples: one is taken of an agent at work, every 30 seconds\n");
    } else {
        let is_stepped = of.step.is_some();
        session.print(&report::table(&metrics.metrics, is_stepped, session))?;
    }
    Ok(Exit::Done)
}

async fn cost(
    asked: &CostArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let costs = backend.costs(asked).await?;
    if session.is_machine() {
        session.print_rows(&costs, &costs.costs)?;
        return Ok(Exit::Done);
    }
    if costs.costs.is_empty() {
        session.tell("no model calls\n");
    } else {
        session.print(&report::costs(&costs, session))?;
    }
    session.tell(&report::beside(&costs));
    Ok(Exit::Done)
}

async fn top(
    asked: &MetricsTopArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let top = backend.used_most(asked).await?;
    if session.is_machine() {
        session.print_rows(&top, &top.top)?;
        return Ok(Exit::Done);
    }
    if top.top.is_empty() {
        session.tell("nobody used anything in that time\n");
    } else {
        session.print(&report::top(&top, session))?;
    }
    session.tell(&report::beside_top(&top));
    Ok(Exit::Done)
}
