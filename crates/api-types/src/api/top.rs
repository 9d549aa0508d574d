//! Who used most in a time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::CostSum;
use crate::UsageView;

/// Who used most in a time: agents by samples of what their commands used, and by calls of models; models and
/// projects by calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopReport {
    /// What put the rows in order: `cpu` (on the average of the samples), `memory` (the most that a sample has),
    /// `disk` (read and written), `tokens` or `cost`.
    pub by: String,
    /// What a row stands for: `agent`, `model` or `project`.
    pub per: String,
    /// Only samples of this time and calls that ended at it, or later.
    pub since: Option<DateTime<Utc>>,
    /// Only samples and ends of calls before this time.
    pub until: Option<DateTime<Utc>>,
    /// The rows, who used most first.
    pub top: Vec<TopLine>,
    /// What all rows used of models, also those that were left out.
    pub total: CostSum,
    /// What all rows used of disks; `null` where rows are no agents.
    pub sampled: Option<SampledTotal>,
    /// How many rows were left out.
    pub rows_left_out: u64,
    /// What calls used whose end nobody heard, of tasks that were at work in that time, and calls of deleted runs
    /// in an hour of which that time has only a part: whether they ended in it is not known, so they are in no
    /// row and not in the total. Nothing where all times are asked for: then they are in the rows.
    pub undated: UsageView,
}

/// One row of those who used most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopLine {
    /// UUID of the agent or the project; `null` for what has none.
    pub id: Option<String>,
    /// Its name, or the model; `null` for what belongs to none: calls whose end nobody heard have no model.
    pub name: Option<String>,
    /// What its commands used; `null` for what is no agent, and where no sample was taken in that time.
    pub sampled: Option<Sampled>,
    /// What its calls used, as it was booked to tasks.
    pub usage: UsageView,
    /// Calls among them whose cost nobody knows; it counts as zero.
    pub calls_without_price: u64,
}

/// What the commands of an agent used of the machine. Figures have three places.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sampled {
    /// How many samples there are.
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

/// What samples add up to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SampledTotal {
    /// How many there are.
    pub samples: u64,
    /// Read, MiB.
    pub disk_io_read_mb: f64,
    /// Written, MiB.
    pub disk_io_write_mb: f64,
}
