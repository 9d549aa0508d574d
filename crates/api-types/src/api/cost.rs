//! What model calls cost.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::UsageView;

/// What model calls cost, as it was booked to tasks. Calls under way are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostReport {
    /// What a row stands for: `agent` (the one that has the task), `model`, `task`, `workflow` (in all its
    /// versions), `project` or `day` (in UTC).
    pub by: String,
    /// Only calls that ended at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only calls that ended before this time.
    pub until: Option<DateTime<Utc>>,
    /// The rows, the greatest cost first, then the most tokens.
    pub costs: Vec<CostLine>,
    /// All rows together, also those that were left out.
    pub total: CostSum,
    /// How many rows were left out.
    pub rows_left_out: u64,
    /// The rows together that were left out.
    pub left_out: CostSum,
    /// What calls cost whose end nobody heard, of tasks that were at work in that time, and calls of deleted runs
    /// in an hour of which that time has only a part: whether they ended in it is not known, so they are in no
    /// row and not in the total. Nothing where all times are asked for: then they are in the rows.
    pub undated: UsageView,
}

/// One row of costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostLine {
    /// UUID of the agent, the task or the project; `null` for what has none.
    pub id: Option<String>,
    /// Its name, the model or the day; `null` for what belongs to none: calls whose end nobody heard have no
    /// model and no day, tasks of their own no workflow.
    pub name: Option<String>,
    /// What its calls used.
    pub usage: UsageView,
    /// Calls among them whose cost nobody knows; it counts as zero.
    pub calls_without_price: u64,
}

/// What several calls used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostSum {
    /// In all.
    pub usage: UsageView,
    /// Calls among them whose cost nobody knows; it counts as zero.
    pub calls_without_price: u64,
}
