//! What model calls cost, added up by the store.

use async_trait::async_trait;
use fusion_core::{CostBy, Timestamp, Usage};
use uuid::Uuid;

use crate::Result;

/// Which costs, and how they are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostQuery {
    /// What a row stands for.
    pub by: CostBy,
    /// Only calls that ended at this time or later.
    pub since: Option<Timestamp>,
    /// Only calls that ended before this time.
    pub until: Option<Timestamp>,
    /// At most so many rows.
    pub limit: u32,
}

impl CostQuery {
    /// Whether only the calls of some time are asked for.
    #[must_use]
    pub const fn is_of_a_time(&self) -> bool {
        self.since.is_some() || self.until.is_some()
    }
}

/// What some model calls used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CostSum {
    /// In all.
    pub usage: Usage,
    /// Calls among them whose cost nobody knows: it counts as zero.
    pub calls_without_price: u64,
}

/// One row of costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostRow {
    /// The agent, the task or the project; `None` for what has no id.
    pub id: Option<Uuid>,
    /// The name, the model or the day; `None` for what belongs to none of them.
    pub name: Option<String>,
    /// What its calls used.
    pub sum: CostSum,
}

/// What model calls cost, as it was at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Costs {
    /// The rows, the greatest cost first, then the most tokens.
    pub rows: Vec<CostRow>,
    /// How many rows there are without a limit.
    pub groups: u64,
    /// All of them together.
    pub total: CostSum,
    /// What calls cost whose end nobody heard, of tasks that were at work in the time that is asked for, and
    /// calls of deleted runs in an hour of which that time has only a part: how much of it is of that time is
    /// not known, so it is in no row and not in the total. Zero where all times are asked for.
    pub undated: Usage,
}

/// Adds up what model calls cost.
///
/// What counts is what was booked to tasks, as runs and agents show it. A call is known by the outcome of
/// its turn in the journal; what tasks used beyond that is of calls whose end nobody heard, which have no
/// model and no day.
#[async_trait]
pub trait CostReader {
    /// What calls cost, by what is asked for. Calls under way are not in it.
    ///
    /// # Errors
    /// The store fails.
    async fn costs(&self, query: &CostQuery) -> Result<Costs>;
}
