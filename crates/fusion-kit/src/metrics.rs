//! The work of `metrics`: what agents used, from the samples that were kept.

use async_trait::async_trait;
use fusion_api::{cost_views, metrics_views, top_views};
use fusion_api_types::api::{AgentMetrics, CostReport, TopReport};
use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::{
    AgentMetricsArgs, CostArgs, CostGroup, Metrics, MetricsTopArgs, TopFigure, TopGroup,
};
use fusion_core::{Clock, CostBy, Timestamp, TopBy, TopPer};
use fusion_persistence::{CostQuery, Costs, MetricsFilter, Top, TopQuery};

use crate::agents::{find_agent, no_agents};
use crate::backend::LocalBackend;
use crate::problems;
use crate::system::SystemClock;

#[async_trait]
impl Metrics for LocalBackend {
    async fn agent_metrics(&self, asked: &AgentMetricsArgs) -> Result<AgentMetrics, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.agent_metrics(asked).await;
        }
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let found = find_agent(reading.store(), reading.data_dir(), &asked.agent).await?;
        let now = SystemClock.now();
        let ago = |time| now.checked_sub_signed(chrono::Duration::from_std(time).ok()?);
        let filter = MetricsFilter {
            agent: Some(found.id),
            since: asked.since.and_then(ago),
            until: None,
        };
        let store = reading.store();
        let metrics = metrics_views::metrics(store, &filter, asked.step, asked.limit).await;
        metrics.map_err(|error| problems::of_store(&error))
    }

    async fn costs(&self, asked: &CostArgs) -> Result<CostReport, Problem> {
        let now = SystemClock.now();
        let query = CostQuery {
            by: grouping(asked.by),
            since: asked.since.and_then(|since| since.before(now)),
            until: asked.until.and_then(|until| until.before(now)),
            limit: asked.limit,
        };
        if let Some(remote) = self.named_remote()? {
            return remote.costs(&query).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(cost_views::report(&query, Costs::default()));
        };
        let costs = cost_views::costs(reading.store(), &query).await;
        costs.map_err(|error| problems::of_store(&error))
    }

    async fn used_most(&self, asked: &MetricsTopArgs) -> Result<TopReport, Problem> {
        let query = top_query(asked, SystemClock.now())?;
        if let Some(remote) = self.named_remote()? {
            return remote.used_most(&query).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(top_views::report(&query, Top::default()));
        };
        let top = top_views::top(reading.store(), &query).await;
        top.map_err(|error| problems::of_store(&error))
    }
}

fn top_query(asked: &MetricsTopArgs, now: Timestamp) -> Result<TopQuery, Problem> {
    let per = match asked.per {
        TopGroup::Agent => TopPer::Agent,
        TopGroup::Model => TopPer::Model,
        TopGroup::Project => TopPer::Project,
    };
    let by = match asked.by {
        None => per.usual(),
        Some(TopFigure::Cpu) => TopBy::Cpu,
        Some(TopFigure::Memory) => TopBy::Memory,
        Some(TopFigure::Disk) => TopBy::Disk,
        Some(TopFigure::Tokens) => TopBy::Tokens,
        Some(TopFigure::Cost) => TopBy::Cost,
    };
    let query = TopQuery {
        by,
        per,
        since: asked.since.before(now),
        until: asked.until.and_then(|until| until.before(now)),
        limit: asked.limit,
    };
    match top_views::fault(&query) {
        None => Ok(query),
        Some(fault) => Err(
            Problem::new(ProblemKind::InvalidInput, format!("--by {by}: {fault}"))
                .with_help("what commands use is sampled of agents: leave --per out to see it"),
        ),
    }
}

const fn grouping(by: CostGroup) -> CostBy {
    match by {
        CostGroup::Agent => CostBy::Agent,
        CostGroup::Model => CostBy::Model,
        CostGroup::Task => CostBy::Task,
        CostGroup::Workflow => CostBy::Workflow,
        CostGroup::Project => CostBy::Project,
        CostGroup::Day => CostBy::Day,
    }
}
