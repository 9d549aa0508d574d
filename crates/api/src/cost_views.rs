//! What model calls cost, as the API and the command line show it.

use fusion_api_types::api::{CostLine, CostReport, CostSum};
use fusion_core::{Cost, Usage};
use fusion_persistence::{self as persistence, CostQuery, CostRow, Costs, Reader};

use crate::views;

/// What calls cost, by what is asked for.
///
/// # Errors
/// The store fails.
pub async fn costs(store: &dyn Reader, query: &CostQuery) -> persistence::Result<CostReport> {
    Ok(report(query, store.costs(query).await?))
}

/// What a store that there is not yet tells.
#[must_use]
pub fn report(query: &CostQuery, costs: Costs) -> CostReport {
    let shown = u64::try_from(costs.rows.len()).unwrap_or(u64::MAX);
    let left_out = without(costs.total, &costs.rows);
    CostReport {
        by: query.by.as_str().to_owned(),
        since: query.since,
        until: query.until,
        costs: costs.rows.into_iter().map(line).collect(),
        total: sum(costs.total),
        rows_left_out: costs.groups.saturating_sub(shown),
        left_out: sum(left_out),
        undated: views::usage(costs.undated),
    }
}

fn line(row: CostRow) -> CostLine {
    CostLine {
        id: row.id.map(|id| id.to_string()),
        name: row.name,
        usage: views::usage(row.sum.usage),
        calls_without_price: row.sum.calls_without_price,
    }
}

pub(crate) fn sum(sum: persistence::CostSum) -> CostSum {
    CostSum {
        usage: views::usage(sum.usage),
        calls_without_price: sum.calls_without_price,
    }
}

/// What is left of a sum without these rows of it.
fn without(total: persistence::CostSum, rows: &[CostRow]) -> persistence::CostSum {
    let mut shown = persistence::CostSum::default();
    for row in rows {
        shown.usage += row.sum.usage;
        shown.calls_without_price += row.sum.calls_without_price;
    }
    let picos = total.usage.cost.picos() - shown.usage.cost.picos();
    persistence::CostSum {
        usage: Usage {
            turns: total.usage.turns - shown.usage.turns,
            input_tokens: total.usage.input_tokens - shown.usage.input_tokens,
            output_tokens: total.usage.output_tokens - shown.usage.output_tokens,
            cost: Cost::from_picos(picos),
        },
        calls_without_price: total.calls_without_price - shown.calls_without_price,
    }
}
