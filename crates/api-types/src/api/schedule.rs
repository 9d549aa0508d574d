//! Schedules.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A workflow that is started by the clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// UUID.
    pub id: String,
    /// Unique.
    pub name: String,
    /// Name of the workflow, whose newest version is started.
    pub workflow: String,
    /// What each run is given.
    pub inputs: Map<String, Value>,
    /// When: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// The IANA time zone that they are read in.
    pub timezone: String,
    /// What becomes of an occurrence while the run before it goes on: `skip` or `queue`.
    pub overlap: String,
    /// Nothing is started.
    pub paused: bool,
    /// The next occurrence.
    pub next_at: Option<DateTime<Utc>>,
    /// The last occurrence that was dealt with.
    pub last_at: Option<DateTime<Utc>>,
    /// UUID of the last run that was started.
    pub last_run: Option<String>,
    /// Why the last occurrence started nothing.
    pub last_error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A page of schedules, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SchedulePage {
    /// The schedules.
    pub schedules: Vec<Schedule>,
    /// How many the filter selects.
    pub total: u64,
    /// Asks for the next page.
    pub next_cursor: Option<String>,
}

/// A schedule to be made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NewSchedule {
    /// Unique; 1 to 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// Name of a stored workflow.
    pub workflow: String,
    /// What each run is given.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Five fields: minute, hour, day of the month, month, day of the week.
    pub cron: String,
    /// The IANA time zone that they are read in; UTC without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// `skip` (without it) or `queue`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
}

/// What is to change of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleChanges {
    /// Whether nothing is started. What it missed meanwhile is not made up for.
    pub paused: bool,
}
