//! Who used most, as the API and the command line show it.

use fusion_api_types::api::{Sampled, SampledTotal, TopLine, TopReport};
use fusion_core::{TopPer, to_three_places as rounded};
use fusion_persistence::{self as persistence, Reader, Top, TopQuery, TopRow};

use crate::{cost_views, views};

/// Who used most, by what is asked for.
///
/// # Errors
/// The store fails.
pub async fn top(store: &dyn Reader, query: &TopQuery) -> persistence::Result<TopReport> {
    Ok(report(query, store.top(query).await?))
}

/// What a store that there is not yet tells.
#[must_use]
pub fn report(query: &TopQuery, top: Top) -> TopReport {
    let shown = u64::try_from(top.rows.len()).unwrap_or(u64::MAX);
    let sampled = match query.per {
        TopPer::Agent => Some(SampledTotal {
            samples: top.sampled.samples,
            disk_io_read_mb: rounded(top.sampled.disk_io_read_mb),
            disk_io_write_mb: rounded(top.sampled.disk_io_write_mb),
        }),
        TopPer::Model | TopPer::Project => None,
    };
    TopReport {
        by: query.by.as_str().to_owned(),
        per: query.per.as_str().to_owned(),
        since: query.since,
        until: query.until,
        top: top.rows.into_iter().map(line).collect(),
        total: cost_views::sum(top.total),
        sampled,
        rows_left_out: top.groups.saturating_sub(shown),
        undated: views::usage(top.undated),
    }
}

/// What is wrong with what is asked for.
#[must_use]
pub fn fault(query: &TopQuery) -> Option<String> {
    let TopQuery { by, per, .. } = query;
    let known = per.known();
    (!known.contains(by)).then(|| {
        let known: Vec<&str> = known.iter().map(|by| by.as_str()).collect();
        format!("per {per} it must be one of: {}", known.join(", "))
    })
}

fn line(row: TopRow) -> TopLine {
    let sampled = |of: persistence::Sampled| Sampled {
        samples: of.samples,
        cpu_percent: rounded(of.cpu_percent),
        cpu_percent_most: rounded(of.cpu_percent_most),
        memory_mb: rounded(of.memory_mb),
        memory_mb_most: rounded(of.memory_mb_most),
        disk_io_read_mb: rounded(of.disk_io_read_mb),
        disk_io_write_mb: rounded(of.disk_io_write_mb),
    };
    TopLine {
        id: row.id.map(|id| id.to_string()),
        name: row.name,
        sampled: row.sampled.map(sampled),
        usage: views::usage(row.sum.usage),
        calls_without_price: row.sum.calls_without_price,
    }
}
