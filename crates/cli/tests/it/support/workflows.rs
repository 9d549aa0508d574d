//! What the fake backend says of workflows.

use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{
    Problem, RunDetail, RunList, RunSummary, StoredWorkflow, WorkflowCreated, WorkflowGraph,
    WorkflowList, WorkflowSummary,
};
use fusion_cli::{Progress, StartWorkflow, Workflows};

use super::Fake;

#[async_trait]
impl Workflows for Fake {
    async fn validate_workflow(&self, file: &Path) -> Result<WorkflowSummary, Problem> {
        self.ask(format!("validate {}", file.display()))?;
        Ok(self.workflow.clone().unwrap())
    }

    async fn create_workflow(
        &self,
        file: &Path,
        project: Option<&str>,
    ) -> Result<WorkflowCreated, Problem> {
        let of = project.map_or_else(String::new, |project| format!(" of {project}"));
        self.report(format!("create {}{of}", file.display()))
    }

    async fn delete_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem> {
        self.report(format!("delete {workflow} {version:?}"))
    }

    async fn list_workflows(&self, limit: u32) -> Result<Vec<StoredWorkflow>, Problem> {
        let list: WorkflowList = self.report(format!("list {limit}"))?;
        Ok(list.workflows)
    }

    async fn workflow_versions(&self, workflow: &str) -> Result<Vec<StoredWorkflow>, Problem> {
        let list: WorkflowList = self.report(format!("versions {workflow}"))?;
        Ok(list.workflows)
    }

    /// Version n is the nth of the list.
    async fn show_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem> {
        let list: WorkflowList = self.report(format!("get {workflow} {version:?}"))?;
        let place = version.map_or(list.workflows.len(), |version| version as usize);
        Ok(list.workflows[place - 1].clone())
    }

    async fn workflow_graph(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<WorkflowGraph, Problem> {
        self.report(format!("graph {workflow} {version:?}"))
    }

    async fn start_workflow(
        &self,
        request: &StartWorkflow,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        self.ask(format!("{request:?}"))?;
        Ok(self.play(progress))
    }

    async fn cancel_workflow(&self, workflow: &str) -> Result<Vec<RunSummary>, Problem> {
        let list: RunList = self.report(format!("cancel {workflow}"))?;
        Ok(list.runs)
    }
}
