//! The port behind the commands that steer runs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fusion_api_types::{Problem, RunDetail, RunSummary};

use super::Progress;

/// Which runs are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Names of states; all without any.
    pub states: Vec<&'static str>,
    /// The name of the workflow.
    pub workflow: Option<String>,
    /// Id or unique prefix of the run that they are steps of; `none` is those that are no steps.
    pub parent: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// A new attempt of a run, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgainRequest {
    /// Id or unique prefix of the run, which has ended.
    pub run: String,
    /// The step from which on everything is done again; only what is not finished without it.
    pub from: Option<String>,
    /// Inputs in the place of those that the run had, as typed.
    pub inputs: BTreeMap<String, String>,
    /// Whether the newest version of the workflow is run.
    pub latest: bool,
}

/// Steers runs, also those that another process works on.
///
/// A run is named by its id or the unique beginning of one.
#[async_trait]
pub trait Steering {
    /// Ends a run for good; gives it as it is then.
    ///
    /// # Errors
    /// No such run, or it has ended in another way.
    async fn cancel_run(&self, run: &str) -> Result<RunSummary, Problem>;

    /// Holds a run; with `now` what is under way is cut off.
    ///
    /// # Errors
    /// No such run, or it has ended.
    async fn pause_run(&self, run: &str, now: bool) -> Result<RunSummary, Problem>;

    /// Makes a new attempt of a run and works on it until it ends or is interrupted. What was finished is
    /// taken over.
    ///
    /// # Errors
    /// No such run or step, it has not ended, there is nothing to do again, or the newest version
    /// can't take over what was finished.
    async fn run_again(
        &self,
        request: &AgainRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem>;

    /// Tells how a run goes until it has ended or a signal comes: by id or unique prefix, else the
    /// newest one.
    ///
    /// # Errors
    /// No such run, or the data directory can't be read.
    async fn watch_run(
        &self,
        run: Option<&str>,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem>;
}
