//! The work of `metrics`: what agents used, from the samples that were kept.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api::cost_views;
use fusion_api_types::Problem;
use fusion_api_types::api::{AgentMetrics, CostReport};
use fusion_cli::{CostArgs, CostGroup, Metrics};
use fusion_core::{Clock, CostBy};
use fusion_persistence::{CostQuery, Costs, MetricsFilter, Page, Repository};

use crate::agents::{find_agent, no_agents};
use crate::backend::LocalBackend;
use crate::problems;
use crate::system::SystemClock;

#[async_trait]
impl Metrics for LocalBackend {
    async fn agent_metrics(
        &self,
        agent: &str,
        since: Option<Duration>,
        limit: u32,
    ) -> Result<AgentMetrics, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.agent_metrics(agent, since, limit).await;
        }
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let found = find_agent(reading.store(), reading.data_dir(), agent).await?;
        let now = SystemClock.now();
        let ago = |time| now.checked_sub_signed(chrono::Duration::from_std(time).ok()?);
        let filter = MetricsFilter {
            agent: Some(found.id),
            since: since.and_then(ago),
            until: None,
        };
        let rows = reading.store().list(&filter, Page::first(limit)).await;
        let rows = rows.map_err(|error| problems::of_store(&error))?;
        let metrics = rows.into_iter().map(fusion_api::metrics_view).collect();
        Ok(AgentMetrics { metrics })
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
