//! The work of `workflow`: files, and the workflows that are stored.

use std::collections::BTreeSet;
use std::path::Path;

use async_trait::async_trait;
use fusion_api::run_views::{stored_workflow, workflow_graph, workflow_summary};
use fusion_api_types::{
    Problem, ProblemKind, RunDetail, RunSummary, StoredWorkflow, WorkflowCreated, WorkflowGraph,
    WorkflowSummary,
};
use fusion_cli::{Progress, StartWorkflow, Workflows};
use fusion_coordination::{Ask, NewDefinition, Version, check_models, expect_own};
use fusion_core::{Run, RunId, Workflow, WorkflowId, nearest};
use fusion_persistence::{
    Error as StoreError, Page, Reader, Repository, RunFilter, WorkflowFilter,
};

use crate::backend::LocalBackend;
use crate::budget;
use crate::data_dir::DataDir;
use crate::files::{read_file, read_text, typed_inputs};
use crate::problems;
use crate::remote::refuse_to_leave;
use crate::signals::Signalled;
use crate::steering::told;
use crate::wiring::Engine;

/// Versions that are looked at.
const SEARCHED: u32 = 10_000;

#[async_trait]
impl Workflows for LocalBackend {
    async fn validate_workflow(&self, file: &Path) -> Result<WorkflowSummary, Problem> {
        if let Some(name) = stored_name(file) {
            let stored = self.show_workflow(name, None).await?;
            let source = stored.source.unwrap_or_default();
            // As a file of its name: what is wrong is shown in its text.
            let path = Path::new(&stored.name);
            let definition = read_text(path, source.clone())?;
            self.check_calls(&definition, (path, &source), None).await?;
            return Ok(workflow_summary(&definition, &source));
        }
        let read = read_file(file)?;
        let (definition, folder) = (&read.definition, Some(read.base_dir.as_path()));
        self.check_calls(definition, (file, &read.source), folder)
            .await?;
        Ok(workflow_summary(definition, &read.source))
    }

    async fn create_workflow(
        &self,
        file: &Path,
        project: Option<&str>,
    ) -> Result<WorkflowCreated, Problem> {
        let project = project.or_else(|| self.config().of_user.project.as_deref());
        if let Some(remote) = self.remote()? {
            return remote.create_workflow(file, project).await;
        }
        let path = file;
        let file = read_file(path)?;
        self.check_calls(&file.definition, (path, &file.source), None)
            .await?;
        let project = match project {
            Some(project) => Some(self.project(project).await?.0),
            None => None,
        };
        let new = NewDefinition {
            definition: file.definition,
            source: file.source,
            base_dir: file.base_dir.display().to_string(),
            project_id: project,
            after: None,
        };
        let registry = self.registry_of(&[]);
        let engine = self.engine(&self.data_dir()?, registry).await?;
        let stored = engine.coordinator().store_workflow(new, |_| Ask::default());
        let stored = stored.await;
        engine.close().await;
        match stored.map_err(|error| problems::of_engine(&error))? {
            Version::New(row) => Ok(created(&row, true)),
            Version::Same(row) => Ok(created(&row, false)),
        }
    }

    async fn list_workflows(&self, limit: u32) -> Result<Vec<StoredWorkflow>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_workflows(limit).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let all = versions(reading.store(), None).await?;
        let mut names = BTreeSet::new();
        let newest = all.iter().filter(|row| names.insert(row.name.as_str()));
        let newest = newest.filter(|row| is_of_a_file(&row.name));
        let newest = newest.map(|row| stored_workflow(row, false));
        Ok(newest.take(limit as usize).collect())
    }

    async fn workflow_versions(&self, workflow: &str) -> Result<Vec<StoredWorkflow>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.workflow_versions(workflow).await;
        }
        let found = self.stored_workflow(workflow, None).await?;
        let reading = self.reading().await?.ok_or_else(|| none(workflow, &[]))?;
        let rows = versions(reading.store(), Some(&found.name)).await?;
        Ok(rows.iter().map(|row| stored_workflow(row, false)).collect())
    }

    async fn show_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.show_workflow(workflow, version).await;
        }
        let found = self.stored_workflow(workflow, version).await?;
        Ok(stored_workflow(&found, true))
    }

    async fn delete_workflow(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<StoredWorkflow, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.delete_workflow(workflow, version).await;
        }
        let found = self.stored_workflow(workflow, version).await?;
        let engine = self.steering().await?;
        let gone = engine
            .coordinator()
            .delete_record(&found, Ask::default())
            .await;
        engine.close().await;
        gone.map_err(|error| problems::of_engine(&error))?;
        Ok(stored_workflow(&found, false))
    }

    async fn workflow_graph(
        &self,
        workflow: &str,
        version: Option<u32>,
    ) -> Result<WorkflowGraph, Problem> {
        let file = Path::new(workflow);
        if version.is_none() && file.is_file() {
            return Ok(workflow_graph(&read_file(file)?.definition));
        }
        if let Some(remote) = self.named_remote()? {
            return remote.workflow_graph(workflow, version).await;
        }
        let found = self.stored_workflow(workflow, version).await?;
        Ok(workflow_graph(&found.definition))
    }

    async fn start_workflow(
        &self,
        request: &StartWorkflow,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        if let Some(remote) = self.remote()? {
            let signalled = Signalled::catch();
            let stop = &signalled.stop;
            return remote.start_workflow(request, progress, stop).await;
        }
        refuse_to_leave(request.detach)?;
        self.tell_sandbox(progress)?;
        let found = self
            .stored_workflow(&request.workflow, request.version)
            .await?;
        let data_dir = self.data_dir()?;
        let registry = self.registry_of(&self.stored_providers().await?);
        let engine = self.engine(&data_dir, registry).await?;
        let stored = started(&engine, &found, request).await;
        self.drive_stored(engine, &data_dir, stored, progress).await
    }

    async fn cancel_workflow(&self, workflow: &str) -> Result<Vec<RunSummary>, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.cancel_workflow(workflow).await;
        }
        let found = self.stored_workflow(workflow, None).await?;
        let engine = self.steering().await?;
        let cancelled = cancelled(&engine, &found.name, &self.person()).await;
        engine.close().await;
        cancelled
    }
}

impl LocalBackend {
    /// A version of a stored workflow: the newest without a number.
    pub(crate) async fn stored_workflow(
        &self,
        text: &str,
        version: Option<u32>,
    ) -> Result<Workflow, Problem> {
        let reading = self.reading().await?.ok_or_else(|| none(text, &[]))?;
        find_workflow(reading.store(), reading.data_dir(), text, version).await
    }
}

/// What can only mean a stored workflow: no file is there, and it is not written as one.
fn stored_name(file: &Path) -> Option<&str> {
    let text = file.to_str()?;
    let is_path = text.contains('/') || file.extension().is_some() || file.exists();
    (!is_path).then_some(text)
}

async fn find_workflow(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: &str,
    version: Option<u32>,
) -> Result<Workflow, Problem> {
    let name = match text.parse::<WorkflowId>() {
        Ok(id) => match (store.find(id).await.map_err(read)?, version) {
            (Some(row), None) => return Ok(row),
            (Some(row), Some(_)) => row.name,
            (None, _) => return Err(none(text, &[])),
        },
        Err(_) => text.to_owned(),
    };
    let rows = versions(store, Some(&name)).await?;
    if rows.is_empty() {
        let all = versions(store, None).await?;
        return Err(none(text, &all));
    }
    let is_meant = |row: &&Workflow| version.is_none_or(|it| row.definition_version == it);
    let found = rows.iter().find(is_meant).cloned();
    found.ok_or_else(|| {
        let number = version.unwrap_or_default();
        let list = data_dir.command(&format!("workflow versions {name}"));
        let message = format!("the workflow '{name}' has no version {number}");
        Problem::new(ProblemKind::NotFound, message).with_help(format!("see all with: {list}"))
    })
}

/// The versions of a name, or of all, the newest first.
async fn versions(store: &dyn Reader, name: Option<&str>) -> Result<Vec<Workflow>, Problem> {
    let filter = WorkflowFilter {
        name: name.map(str::to_owned),
        ..WorkflowFilter::default()
    };
    store
        .list(&filter, Page::first(SEARCHED))
        .await
        .map_err(read)
}

/// A standing agent's own workflow has a name that no file can have.
pub(crate) fn is_of_a_file(name: &str) -> bool {
    !name.contains('@')
}

fn none(text: &str, known: &[Workflow]) -> Problem {
    let shown: String = text.chars().take(100).collect();
    let problem = Problem::new(
        ProblemKind::NotFound,
        format!("there is no workflow '{shown}'"),
    );
    let names = known.iter().map(|row| row.name.as_str());
    match nearest(text, names.filter(|name| is_of_a_file(name))) {
        Some(near) => problem.with_help(format!("did you mean '{near}'?")),
        None => problem.with_help("store one with: fusion-kit workflow create FILE"),
    }
}

fn created(row: &Workflow, created: bool) -> WorkflowCreated {
    WorkflowCreated {
        workflow: stored_workflow(row, false),
        created,
    }
}

/// Stores a run of a version.
async fn started(
    engine: &Engine,
    workflow: &Workflow,
    request: &StartWorkflow,
) -> Result<RunId, Problem> {
    expect_own(&workflow.name).map_err(|error| problems::of_engine(&error))?;
    let inputs = typed_inputs(&workflow.definition, &request.inputs)
        .map_err(|faults| problems::of_inputs(&faults))?;
    let limit = budget::limit(request.max_cost.as_deref())?;
    let base_dir = Path::new(&workflow.base_dir);
    let coordinator = engine.coordinator();
    let stored = async {
        let registry = coordinator.providers();
        let models = check_models(registry, &workflow.definition, &inputs, base_dir).await?;
        coordinator
            .create_run_of(workflow, inputs.clone(), (models, limit), |_| {
                Ask::default()
            })
            .await
    };
    stored.await.map_err(|error| problems::of_engine(&error))
}

/// The open runs of all versions of a workflow.
pub(crate) async fn open_runs(engine: &Engine, name: &str) -> Result<Vec<Run>, Problem> {
    let open = RunFilter {
        workflow_name: Some(name.to_owned()),
        ..RunFilter::unfinished()
    };
    let runs = engine.store().list(&open, Page::first(SEARCHED)).await;
    runs.map_err(read)
}

async fn cancelled(engine: &Engine, name: &str, by: &str) -> Result<Vec<RunSummary>, Problem> {
    let mut summaries = Vec::new();
    for run in open_runs(engine, name).await? {
        // One may have ended by itself since it was listed.
        if let Ok(run) = engine.coordinator().cancel_run(run.id, by).await {
            summaries.push(told(engine, &run).await.map_err(read)?);
        }
    }
    Ok(summaries)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: StoreError) -> Problem {
    problems::of_store(&error)
}
