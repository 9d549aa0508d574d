//! Who used most in a time, added up by the store.

use async_trait::async_trait;
use fusion_core::{CostBy, Timestamp, TopBy, TopPer, Usage};
use uuid::Uuid;

use crate::{CostQuery, CostSum, Result};

/// Who is meant, in which time, and what puts them in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopQuery {
    /// What puts the rows in order.
    pub by: TopBy,
    /// What a row stands for.
    pub per: TopPer,
    /// Only samples of this time and calls that ended at it, or later.
    pub since: Option<Timestamp>,
    /// Only samples and ends of calls before this time.
    pub until: Option<Timestamp>,
    /// At most so many rows.
    pub limit: u32,
}

impl TopQuery {
    /// What asks for the costs of the same rows.
    #[must_use]
    pub const fn costs(&self) -> CostQuery {
        CostQuery {
            by: match self.per {
                TopPer::Agent => CostBy::Agent,
                TopPer::Model => CostBy::Model,
                TopPer::Project => CostBy::Project,
            },
            since: self.since,
            until: self.until,
            limit: self.limit,
        }
    }
}

/// What the commands of an agent used of the machine, by samples of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// How many there are, one at least.
    pub samples: u64,
    /// Of one core, on the average of the samples: 100 is one core fully used.
    pub cpu_percent: f64,
    /// That of the sample with the most.
    pub cpu_percent_most: f64,
    /// Held on the average of the samples, MiB.
    pub memory_mb: f64,
    /// That of the sample with the most, MiB.
    pub memory_mb_most: f64,
    /// Read, MiB.
    pub disk_io_read_mb: f64,
    /// Written, MiB.
    pub disk_io_write_mb: f64,
}

/// One row of those who used most.
#[derive(Debug, Clone, PartialEq)]
pub struct TopRow {
    /// The agent or the project; `None` for what has no id.
    pub id: Option<Uuid>,
    /// The name or the model; `None` for what belongs to none of them.
    pub name: Option<String>,
    /// What its commands used; `None` for what is no agent, and where no sample was taken.
    pub sampled: Option<Sampled>,
    /// What its calls used.
    pub sum: CostSum,
}

/// What samples of all rows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SampledTotal {
    /// How many there are.
    pub samples: u64,
    /// Read, MiB.
    pub disk_io_read_mb: f64,
    /// Written, MiB.
    pub disk_io_write_mb: f64,
}

/// Who used most, as it was at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Top {
    /// The rows, who used most first.
    pub rows: Vec<TopRow>,
    /// How many rows there are without a limit.
    pub groups: u64,
    /// What all of them used of models.
    pub total: CostSum,
    /// What all of them used of the machine; nothing where rows are no agents.
    pub sampled: SampledTotal,
    /// As that of [`crate::Costs`].
    pub undated: Usage,
}

/// Finds who used most.
#[async_trait]
pub trait TopReader {
    /// There is a row for each who has a sample or a call that ended in the time. What calls used is what
    /// [`crate::CostReader`] tells of the same time. Rows without a sample come last where samples put them
    /// in order: `cpu` by the average of the samples, `memory` by the most that one has, `disk` by what was
    /// read and written.
    ///
    /// # Errors
    /// The store fails.
    async fn top(&self, query: &TopQuery) -> Result<Top>;
}
