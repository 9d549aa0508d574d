//! The work of `metrics`: what agents used, from the samples that were kept.

use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_api_types::api::AgentMetrics;
use fusion_cli::Metrics;
use fusion_core::Clock;
use fusion_persistence::{MetricsFilter, Page, Repository};

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
}
