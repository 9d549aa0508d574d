//! The port behind `workflow`.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{
    Problem, RunDetail, RunSummary, StoredWorkflow, WorkflowCreated, WorkflowGraph, WorkflowSummary,
};

use super::Progress;

/// What a stored workflow is started with, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartWorkflow {
    /// Name of the workflow, or the id of a version.
    pub workflow: String,
    /// This version instead of the newest.
    pub version: Option<u32>,
    /// Inputs by name: the workflow says what type they become.
    pub inputs: BTreeMap<String, String>,
    /// US dollars that it may cost at most, as typed.
    pub max_cost: Option<String>,
    /// The server goes on with it alone: nobody waits for its end.
    pub detach: bool,
}

/// Checks workflow files, and looks after stored workflows.
///
/// A workflow is named by its name or by the id of one of its versions.
#[async_trait]
pub trait Workflows {
    /// Reads and checks a workflow file; changes nothing.
    ///
    /// # Errors
    /// The file can't be read, or it is not a valid workflow (all faults at once).
    async fn validate_workflow(&self, file: &Path) -> Result<WorkflowSummary, Problem>;

    /// Stores a workflow file, unless its text is that of the newest version.
    ///
    /// # Errors
    /// As [`validate_workflow`](Self::validate_workflow), or the data directory can't be used.
    async fn create_workflow(
        &self,
        file: &Path,
        project: Option<&str>,
    ) -> Result<WorkflowCreated, Problem>;

    /// The newest version of each workflow, newest first.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_workflows(&self, limit: u32) -> Result<Vec<StoredWorkflow>, Problem>;

    /// The versions of a workflow, newest first.
    ///
    /// # Errors
    /// No such workflow.
    async fn workflow_versions(&self, workflow: &str) -> Result<Vec<StoredWorkflow>, Problem>;

    /// One version with its text; the newest without a number.
    ///
    /// # Errors
    /// No such workflow or version.
    async fn show_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem>;

    /// Takes one version away; the newest without a number.
    ///
    /// # Errors
    /// No such workflow or version, or something refers to it.
    async fn delete_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem>;

    /// The graph of a workflow file or of a stored workflow.
    ///
    /// # Errors
    /// There is neither such a file nor such a workflow, or the file has faults.
    async fn workflow_graph(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<WorkflowGraph, Problem>;

    /// Runs a stored workflow and works on it until it ends or is interrupted.
    ///
    /// # Errors
    /// No such workflow or version, or the inputs are wrong.
    async fn start_workflow(
        &self,
        request: &StartWorkflow,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem>;

    /// Ends every open run of a workflow, whatever its version; gives them as they are then.
    ///
    /// # Errors
    /// No such workflow.
    async fn cancel_workflow(&self, workflow: &str) -> Result<Vec<RunSummary>, Problem>;
}
