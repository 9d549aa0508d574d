//! The files of steps: kept under the hash of their content when a step is done, and put into the
//! workspaces of the steps that take them.

use std::fs::File;
use std::sync::Arc;

use fusion_agents::Failure;
use fusion_core::{ErrorCode, Run, RunId, Task, Workflow, error_chain, handed_files};
use fusion_persistence::{Reader, Repository as _};
use fusion_workspaces::{Artifacts, Holding, WorkspaceDir};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::coordinator::off_runtime;
use crate::worker::Job;
use crate::{Coordinator, Error, Result};

/// Bytes of all files of a step at most.
const STEP_LIMIT: u64 = 1024 * 1024 * 1024;

/// Files of a step at most, where they are those of a run below, or of all inputs of one.
const MOST_FILES: usize = 10_000;

/// The folder, in a workspace, of what was taken from other steps.
const FOLDER: &str = "artifacts";

/// How many files an agent is told by name.
const TOLD: usize = 100;

/// A file that a step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFile {
    /// Its path in the workspace where it was made; of a step with `foreach`, after the number of the item.
    pub path: String,
    /// The SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
    /// How long it is.
    pub bytes: u64,
}

/// The files in the result of a task.
#[must_use]
pub fn files_of(task: &Task) -> Vec<ArtifactFile> {
    let made = task.output_artifacts.as_ref();
    let files = made.and_then(|made| made.get("files")).cloned();
    let files = files.and_then(|files| serde_json::from_value(files).ok());
    files.unwrap_or_default()
}

/// Where a file of a step, or of an input, is put in the workspace of who takes it.
pub(crate) fn path_of(from: &str, path: &str) -> String {
    format!("{FOLDER}/{from}/{path}")
}

/// Refuses more files than a step may have.
///
/// # Errors
/// In words, which limit they pass.
pub(crate) fn within_limits(files: &[ArtifactFile]) -> std::result::Result<(), String> {
    if files.len() > MOST_FILES {
        let count = files.len();
        return Err(format!(
            "{count} files are more than {MOST_FILES}, which is the limit"
        ));
    }
    let sum = files.iter().map(|file| file.bytes);
    if sum.fold(0, u64::saturating_add) > STEP_LIMIT {
        let most = STEP_LIMIT >> 20;
        return Err(format!(
            "its files have more than {most} MiB, which is the limit"
        ));
    }
    Ok(())
}

/// Where the files are that a step made.
pub(crate) enum Source {
    /// In a workspace, where it had one.
    Workspace(Option<Arc<WorkspaceDir>>),
    /// In the results of a run, which was its work.
    Run(RunId),
}

/// The hashes of the files that a run of this workflow was handed. Those of a run below are in results of
/// steps above it.
pub(crate) fn handed_from_outside(run: &Run, workflow: &Workflow) -> Vec<String> {
    let root = run.parent.is_none().then_some(&run.inputs);
    let handed = root.map(|inputs| handed_files(&workflow.definition, inputs));
    handed.unwrap_or_default()
}

/// The same for a run that is stored here.
///
/// # Errors
/// The store fails.
pub(crate) async fn handed_to(store: &dyn Reader, run: &Run) -> Result<Vec<String>> {
    if run.parent.is_some() {
        return Ok(Vec::new());
    }
    Ok(handed_from_outside(run, &store.get(run.workflow_id).await?))
}

/// Files that were kept for a step. Nobody removes one of them while there is this: it lasts until what
/// names them is committed.
#[derive(Default)]
pub(crate) struct KeptFiles {
    pub(crate) files: Vec<ArtifactFile>,
    /// Their paths in the workspace of who made them.
    pub(crate) paths: Vec<String>,
    /// `None` where nothing is kept, or the file system knows no locks: nothing is removed there.
    pub(crate) held: Option<Holding>,
}

/// What a task made: its outputs, the paths of its files, and the files as they are kept.
pub(crate) struct Work {
    pub(crate) outputs: Value,
    pub(crate) artifacts: Vec<String>,
    pub(crate) files: Vec<ArtifactFile>,
}

impl Work {
    /// As it stands in the task.
    pub(crate) fn made(&self) -> Value {
        let mut made = json!({ "outputs": self.outputs, "artifacts": self.artifacts });
        if let (Value::Object(made), false) = (&mut made, self.files.is_empty()) {
            made.insert("files".to_owned(), json!(self.files));
        }
        made
    }
}

impl Coordinator {
    /// A kept file; `None` when there is none with this hash.
    ///
    /// # Errors
    /// It is damaged or can't be read.
    pub async fn artifact(&self, sha256: String) -> Result<Option<File>> {
        let kept = self.kept();
        let opened = off_runtime(move || kept.open(&sha256)).await?;
        opened.map_err(|source| Error::Artifact { source })
    }

    /// Finds and keeps the files that are a step's result; `Err` tells why that can't be done.
    pub(crate) async fn keep_files(
        &self,
        from: Source,
        globs: Vec<String>,
    ) -> Result<std::result::Result<KeptFiles, Failure>> {
        let workspace = match from {
            Source::Run(run) => return self.files_of_run(run).await,
            Source::Workspace(workspace) => workspace.filter(|_| !globs.is_empty()),
        };
        let Some(workspace) = workspace else {
            return Ok(Ok(KeptFiles::default()));
        };
        let kept = self.kept();
        let found = off_runtime(move || {
            let held = kept
                .hold()
                .map_err(|error| format!("the folder of kept files can't be locked: {error}"))?;
            let files = keep(&kept, &workspace, &globs)?;
            let paths = files.iter().map(|file| file.path.clone()).collect();
            Ok(KeptFiles { files, paths, held })
        });
        Ok(found.await?.map_err(cant_be_kept))
    }

    /// Puts what a step takes from others into the workspace where it begins, unless it goes on after an
    /// interruption; gives what its agent is told of it, and `Err` why it can't be done.
    pub(crate) async fn take_over(
        &self,
        job: &Job<'_>,
        workspace: Option<&Arc<WorkspaceDir>>,
        begins: bool,
    ) -> Result<std::result::Result<String, String>> {
        let takes = &job.step.takes;
        let (Some(workspace), false) = (workspace, takes.is_empty()) else {
            return Ok(Ok(String::new()));
        };
        let tasks = self.parts.store.tasks_named(job.task.run_id, takes).await?;
        let all: Vec<(String, ArtifactFile)> = tasks
            .iter()
            .filter(|task| task.course.item.is_none())
            .flat_map(|task| {
                let files = files_of(task).into_iter();
                files.map(|file| (path_of(&task.name, &file.path), file))
            })
            .chain(takes.iter().flat_map(|input| job.plan.handed(input)))
            .collect();
        let told = told(&all);
        if !begins {
            return Ok(Ok(told));
        }
        let (kept, workspace) = (self.kept(), Arc::clone(workspace));
        let placed = off_runtime(move || place(&kept, &workspace, &all)).await?;
        Ok(placed.map(|()| told))
    }

    /// The folder of kept files: beside that of the archives.
    #[must_use]
    pub fn kept(&self) -> Artifacts {
        Artifacts::new(self.options.archives_root.with_file_name("artifacts"))
    }
}

/// A step whose files can't be its result would fail so again.
pub(crate) const fn cant_be_kept(message: String) -> Failure {
    Failure {
        code: ErrorCode::InvalidInput,
        message,
        help: None,
    }
}

fn keep(
    kept: &Artifacts,
    workspace: &WorkspaceDir,
    globs: &[String],
) -> std::result::Result<Vec<ArtifactFile>, String> {
    let paths = workspace
        .matching(globs)
        .map_err(|error| format!("its artifacts can't be listed: {error}"))?;
    let (mut files, mut sum) = (Vec::with_capacity(paths.len()), 0_u64);
    for path in paths {
        let file = kept.keep(workspace, &path).map_err(|error| {
            format!("its artifact {path} can't be kept: {}", error_chain(&error))
        })?;
        sum = sum.saturating_add(file.bytes);
        if sum > STEP_LIMIT {
            return Err(format!(
                "its artifacts have more than {} MiB, which is the limit",
                STEP_LIMIT >> 20
            ));
        }
        files.push(ArtifactFile {
            path,
            sha256: file.sha256,
            bytes: file.bytes,
        });
    }
    Ok(files)
}

fn place(
    kept: &Artifacts,
    workspace: &WorkspaceDir,
    all: &[(String, ArtifactFile)],
) -> std::result::Result<(), String> {
    for (path, file) in all {
        let put = kept.put(&file.sha256, workspace, path);
        let failed = |why: String| format!("the artifact {path} can't be put in: {why}");
        if !put.map_err(|error| failed(error_chain(&error)))? {
            return Err(failed(format!(
                "nothing with the hash {} is kept here",
                file.sha256
            )));
        }
    }
    Ok(())
}

/// What an agent is told of the files that it was given.
fn told(all: &[(String, ArtifactFile)]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut told = "\n\n[Files of other steps, as copies in your workspace:".to_owned();
    for (path, file) in all.iter().take(TOLD) {
        told.push_str(&format!("\n{path} ({} bytes)", file.bytes));
    }
    if all.len() > TOLD {
        told.push_str(&format!("\nand {} more", all.len() - TOLD));
    }
    told.push(']');
    told
}
