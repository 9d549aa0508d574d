//! What an agent used, as the API and the command line show it.

use std::time::Duration;

use fusion_api_types::api::{AgentMetrics, MetricsSample};
use fusion_core::{MetricsId, MetricsStep, MetricsSteps};
use fusion_persistence::{self as persistence, MetricsFilter, Page, Reader, Repository};

use crate::views;

/// Samples that are read at once. Each time all older ones are sorted.
const AT_ONCE: u32 = 10_000;

/// Samples that are put into steps at most, the newest ones.
pub const STEPPED: usize = 100_000;

/// What an agent used, the newest first: samples, or steps of this length, and at most so many of them. Each
/// step is whole, also where the time of the filter begins within it.
///
/// # Errors
/// The store fails.
pub async fn metrics(
    store: &dyn Reader,
    filter: &MetricsFilter,
    step: Option<Duration>,
    limit: u32,
) -> persistence::Result<AgentMetrics> {
    let Some(step) = step else {
        let rows = store.list(filter, Page::first(limit)).await?;
        let metrics = rows.into_iter().map(views::sample).collect();
        return Ok(AgentMetrics { metrics });
    };
    let mut steps = MetricsSteps::new(step, limit as usize);
    let filter = &MetricsFilter {
        since: filter.since.map(|since| steps.begin(since)),
        ..filter.clone()
    };
    let (mut read, mut after): (usize, Option<MetricsId>) = (0, None);
    let is_cut = loop {
        let page = Page {
            after,
            limit: AT_ONCE,
        };
        let rows = store.list(filter, page).await?;
        let is_last = rows.len() < AT_ONCE as usize;
        read = read.saturating_add(rows.len());
        after = rows.last().map(|row| row.id);
        let is_enough = !rows.into_iter().all(|row| steps.add(row));
        if is_enough || is_last {
            break false;
        }
        if read >= STEPPED {
            break true;
        }
    };
    let metrics = steps.done(is_cut).into_iter().map(stepped).collect();
    Ok(AgentMetrics { metrics })
}

fn stepped(step: MetricsStep) -> MetricsSample {
    MetricsSample {
        samples: step.samples,
        ..views::sample(step.used)
    }
}
