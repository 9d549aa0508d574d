//! The port behind `schedule`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fusion_api_types::{Problem, api};

/// A schedule to be made, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its unique name.
    pub name: String,
    /// The stored workflow.
    pub workflow: String,
    /// Five fields of cron.
    pub cron: String,
    /// An IANA time zone.
    pub timezone: String,
    /// `skip` or `queue`.
    pub overlap: String,
    /// What each run is given, by name.
    pub inputs: BTreeMap<String, String>,
}

/// Looks after schedules. One is named by its name or its id.
#[async_trait]
pub trait Schedules {
    /// Makes a schedule.
    ///
    /// # Errors
    /// The name is taken, there is no such workflow, it does not take these inputs, or the time can't be
    /// read.
    async fn create_schedule(&self, new: &NewSchedule) -> Result<api::Schedule, Problem>;

    /// Schedules, the newest first.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_schedules(&self, limit: u32) -> Result<Vec<api::Schedule>, Problem>;

    /// One schedule.
    ///
    /// # Errors
    /// There is none of this name.
    async fn show_schedule(&self, name: &str) -> Result<api::Schedule, Problem>;

    /// Pauses a schedule, or lets it go on.
    ///
    /// # Errors
    /// There is none of this name.
    async fn pause_schedule(&self, name: &str, paused: bool) -> Result<api::Schedule, Problem>;

    /// Takes a schedule away.
    ///
    /// # Errors
    /// There is none of this name.
    async fn delete_schedule(&self, name: &str) -> Result<api::Schedule, Problem>;
}
