//! Workflows on a server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fusion_api_types::{
    GraphStep, Problem, ProblemKind, RunDetail, RunSummary, StoredWorkflow, WorkflowCreated,
    WorkflowGraph, api,
};
use fusion_cli::{Progress, RunQuery, StartWorkflow};
use fusion_core::{InputSpec, WorkflowId};
use tokio_util::sync::CancellationToken;

use super::Remote;
use super::runs::started_with;
use crate::files::{in_their_types, read_file};
use crate::workflows::is_of_a_file;

/// Versions, and open runs, that are looked at.
const SEARCHED: usize = 10_000;

impl Remote {
    pub(crate) async fn create_workflow(
        &self,
        file: &Path,
        project: Option<&str>,
    ) -> Result<WorkflowCreated, Problem> {
        let file = read_file(file)?;
        let project = match project {
            Some(project) => Some(self.project(project).await?.0.to_string()),
            None => None,
        };
        let name = file.definition.name.clone();
        let before = self.versions(Some(&name)).await?.into_iter().next();
        let new = api::NewWorkflow {
            source: Some(file.source),
            base_dir: Some(file.base_dir.display().to_string()),
            project_id: project,
            ..api::NewWorkflow::default()
        };
        let row: api::Workflow = self.client.post("/workflows", &new).await?;
        Ok(WorkflowCreated {
            created: before.is_none_or(|before| before.id != row.id),
            workflow: StoredWorkflow {
                source: None,
                ..stored(row)
            },
        })
    }

    pub(crate) async fn list_workflows(&self, limit: u32) -> Result<Vec<StoredWorkflow>, Problem> {
        let mut names = BTreeSet::new();
        let mut rows = self.versions(None).await?;
        rows.retain(|row| names.insert(row.name.clone()) && is_of_a_file(&row.name));
        rows.truncate(limit as usize);
        Ok(rows.into_iter().map(stored).collect())
    }

    pub(crate) async fn workflow_versions(
        &self,
        workflow: &str,
    ) -> Result<Vec<StoredWorkflow>, Problem> {
        let name = self.found(workflow, None).await?.name;
        let rows = self.versions(Some(&name)).await?;
        Ok(rows.into_iter().map(stored).collect())
    }

    pub(crate) async fn show_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem> {
        Ok(stored(self.found(workflow, version).await?))
    }

    pub(crate) async fn delete_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem> {
        let row = self.found(workflow, version).await?;
        let path = format!("/workflows/{}", row.id);
        self.client.delete(&path, &[]).await?;
        Ok(StoredWorkflow {
            source: None,
            ..stored(row)
        })
    }

    pub(crate) async fn workflow_graph(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<WorkflowGraph, Problem> {
        let row = self.found(workflow, version).await?;
        let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for edge in row.dag_definition.edges {
            needs.entry(edge.to).or_default().push(edge.from);
        }
        let nodes = row.dag_definition.nodes.into_iter();
        let steps = nodes.map(|node| GraphStep {
            needs: needs.remove(&node.id).unwrap_or_default(),
            id: node.id,
        });
        Ok(WorkflowGraph {
            name: row.name,
            steps: steps.collect(),
        })
    }

    pub(crate) async fn start_workflow(
        &self,
        request: &StartWorkflow,
        progress: &mut dyn Progress,
        stop: &CancellationToken,
    ) -> Result<RunDetail, Problem> {
        let row = self.found(&request.workflow, request.version).await?;
        let declared = row.execution_parameters.get("inputs").cloned();
        let declared: BTreeMap<String, InputSpec> =
            serde_json::from_value(declared.unwrap_or_default()).unwrap_or_default();
        let inputs = in_their_types(&declared, &request.inputs);
        let path = format!("/workflows/{}/start", row.id);
        let started: api::RunStarted = self
            .client
            .post(&path, &started_with(inputs, request.max_cost.as_deref()))
            .await?;
        self.begun(&started.run_id, request.detach, (progress, stop))
            .await
    }

    pub(crate) async fn cancel_workflow(&self, workflow: &str) -> Result<Vec<RunSummary>, Problem> {
        let mut cancelled = Vec::new();
        for run in self.open_runs(workflow).await? {
            match self.cancel_run(&run.id).await {
                Ok(run) => cancelled.push(run),
                // One may have ended by itself since it was listed.
                Err(problem) if problem.kind == ProblemKind::Conflict => {}
                Err(problem) => return Err(problem),
            }
        }
        Ok(cancelled)
    }

    /// The open runs of all versions of a workflow.
    pub(crate) async fn open_runs(&self, workflow: &str) -> Result<Vec<RunSummary>, Problem> {
        let open = RunQuery {
            states: vec!["ready", "running"],
            workflow: Some(self.found(workflow, None).await?.name),
            parent: None,
            limit: u32::try_from(SEARCHED).unwrap_or(u32::MAX),
        };
        self.list_runs(&open).await
    }

    async fn versions(&self, name: Option<&str>) -> Result<Vec<api::Workflow>, Problem> {
        let query: Vec<(&str, String)> = name
            .map(|name| ("name", name.to_owned()))
            .into_iter()
            .collect();
        self.rows("/workflows", "workflows", &query, SEARCHED).await
    }

    /// The project of the newest version of a workflow, where that is this very text: a run of it stays there.
    pub(super) async fn project_of_text(
        &self,
        name: &str,
        source: &str,
    ) -> Result<Option<String>, Problem> {
        let query = [("name", name.to_owned())];
        let newest: Vec<api::Workflow> = self.rows("/workflows", "workflows", &query, 1).await?;
        let Some(newest) = newest.iter().find(|row| row.project_id.is_some()) else {
            return Ok(None);
        };
        let found = self.found(&newest.id, None).await?;
        Ok(found
            .project_id
            .filter(|_| found.source.as_deref() == Some(source)))
    }

    /// A version with its text: the newest without a number.
    pub(crate) async fn found(
        &self,
        text: &str,
        version: Option<u32>,
    ) -> Result<api::Workflow, Problem> {
        if text.parse::<WorkflowId>().is_ok() && version.is_none() {
            return self.client.get(&format!("/workflows/{text}"), &[]).await;
        }
        let rows = self.versions(Some(text)).await?;
        let is_meant = |row: &&api::Workflow| version.is_none_or(|it| row.version == it);
        let Some(row) = rows.iter().find(is_meant) else {
            let shown: String = text.chars().take(100).collect();
            let number = version.map_or_else(String::new, |it| format!(" in version {it}"));
            let message = format!("there is no workflow '{shown}'{number}");
            return Err(Problem::new(ProblemKind::NotFound, message));
        };
        self.client
            .get(&format!("/workflows/{}", row.id), &[])
            .await
    }
}

fn stored(row: api::Workflow) -> StoredWorkflow {
    StoredWorkflow {
        id: row.id,
        name: row.name,
        version: row.version,
        description: (!row.description.is_empty()).then_some(row.description),
        steps: u32::try_from(row.dag_definition.nodes.len()).unwrap_or(u32::MAX),
        created_at: row.created_at,
        source: row.source,
    }
}
