//! Files that go into runs below and come out of them. They stay where they are kept: what is handed over
//! is their names and hashes, in the inputs of the run and in the result of the step that waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fusion_agents::Failure;
use fusion_core::{InputType, Run, RunId, WorkflowDefinition};
use fusion_persistence::Repository as _;
use serde_json::{Map, Value, json};

use crate::artifacts::{ArtifactFile, KeptFiles, cant_be_kept, files_of, path_of, within_limits};
use crate::plan::Plan;
use crate::worker::Job;
use crate::{Coordinator, Result, brief};

/// What a run may hand on: its path where it was made, by the path and the hash that expressions see.
type Known = BTreeMap<(String, String), ArtifactFile>;

impl Plan {
    /// The files of an input of the run, with the paths that they have in the workspace of who takes them;
    /// none of an input of another type.
    pub(crate) fn handed(&self, input: &str) -> Vec<(String, ArtifactFile)> {
        let spec = self.workflow.definition.inputs.get(input);
        let is_files = spec.is_some_and(|spec| spec.kind == InputType::Files);
        let value = self.run.inputs.get(input).filter(|_| is_files);
        let files: Option<Vec<ArtifactFile>> =
            value.and_then(|files| serde_json::from_value(files.clone()).ok());
        let files = files.into_iter().flatten();
        files.map(|file| (file.path.clone(), file)).collect()
    }
}

impl Coordinator {
    /// Takes the inputs that are files out of what a run is given; `Err` says why it can't have them. A run
    /// is handed only what the one above has: what a model says names no other file.
    pub(crate) async fn files_given(
        &self,
        job: &Job<'_>,
        definition: &WorkflowDefinition,
        given: &mut Map<String, Value>,
    ) -> Result<std::result::Result<Map<String, Value>, String>> {
        let inputs = definition.inputs.iter();
        let inputs = inputs.filter(|(_, spec)| spec.kind == InputType::Files);
        let lists: Vec<(&String, Value)> = inputs
            .filter_map(|(name, _)| Some((name, given.remove(name)?)))
            .collect();
        if lists.is_empty() {
            return Ok(Ok(Map::new()));
        }
        let known = self.known_files(job).await?;
        let mut all = Vec::new();
        let mut files = Map::new();
        for (name, value) in lists {
            match of_input(name, &value, &known) {
                Ok(found) => {
                    files.insert(name.clone(), json!(found));
                    all.extend(found);
                }
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(within_limits(&all).map(|()| files))
    }

    /// The files of the steps that a step names, and of the inputs of its run.
    async fn known_files(&self, job: &Job<'_>) -> Result<Known> {
        let steps: Vec<String> = brief::steps_named(job.step).into_iter().collect();
        let tasks = self
            .parts
            .store
            .tasks_named(job.task.run_id, &steps)
            .await?;
        let mut known = Known::new();
        for task in tasks.iter().filter(|task| task.course.item.is_none()) {
            for file in files_of(task) {
                let placed = path_of(&task.name, &file.path);
                known.insert((placed, file.sha256.clone()), file);
            }
        }
        for input in job.plan.workflow.definition.inputs.keys() {
            let folder = path_of(input, "");
            for (placed, file) in job.plan.handed(input) {
                let path = placed.strip_prefix(&folder).unwrap_or(&placed).to_owned();
                let hash = file.sha256.clone();
                known.insert((placed, hash), ArtifactFile { path, ..file });
            }
        }
        Ok(known)
    }

    /// The files that a run which has ended well hands to the step that waited for it, each after the name
    /// of the step that made it. Its tasks name them until the run above is deleted, so nobody removes them.
    pub(crate) async fn files_of_run(
        &self,
        run: RunId,
    ) -> Result<std::result::Result<KeptFiles, Failure>> {
        let run: Run = self.parts.store.get(run).await?;
        let workflow = self.workflow_version(run.workflow_id).await?;
        let names = &workflow.definition.artifacts;
        if names.is_empty() {
            return Ok(Ok(KeptFiles::default()));
        }
        let tasks = self.parts.store.tasks_named(run.id, names).await?;
        let mut files = Vec::new();
        for name in names.iter().collect::<BTreeSet<_>>() {
            let mut made = tasks.iter().filter(|task| task.name == *name);
            for file in made.next().map(files_of).into_iter().flatten() {
                let path = format!("{name}/{}", file.path);
                files.push(ArtifactFile { path, ..file });
            }
        }
        Ok(match within_limits(&files) {
            Ok(()) => Ok(KeptFiles {
                files,
                ..KeptFiles::default()
            }),
            Err(why) => Err(cant_be_kept(why)),
        })
    }
}

/// The files of one input, with the paths that they have in the workspaces of who takes them.
fn of_input(
    name: &str,
    value: &Value,
    known: &Known,
) -> std::result::Result<Vec<ArtifactFile>, String> {
    let mut found: BTreeMap<String, ArtifactFile> = BTreeMap::new();
    for entry in entries(value) {
        let text = |key| Some(entry.get(key)?.as_str()?.to_owned());
        let (Some(placed), Some(sha256)) = (text("path"), text("sha256")) else {
            return Err(format!(
                "the input '{name}' must be a list of files, each with `path` and `sha256`, as `steps.STEP.files` gives it"
            ));
        };
        let Some(file) = known.get(&(placed.clone(), sha256)) else {
            return Err(format!(
                "the input '{name}' has a file that no step before this one made: {placed}"
            ));
        };
        let path = path_of(name, &file.path);
        let handed = ArtifactFile {
            path: path.clone(),
            ..file.clone()
        };
        if found.get(&path).is_some_and(|other| *other != handed) {
            return Err(format!(
                "two files of the input '{name}' are called {}: hand them to two inputs",
                file.path
            ));
        }
        found.insert(path, handed);
    }
    match within_another(&found) {
        Some((file, folder)) => Err(format!(
            "the input '{name}' has both a file {} and a file in a folder of that name, {}: hand them to \
             two inputs",
            file.path, folder.path
        )),
        None => Ok(found.into_values().collect()),
    }
}

/// A file and another one below it, which a workspace can't have: as they are handed over.
fn within_another(
    files: &BTreeMap<String, ArtifactFile>,
) -> Option<(&ArtifactFile, &ArtifactFile)> {
    files.values().find_map(|file| {
        let above = Path::new(&file.path).ancestors().skip(1);
        let other = above.filter_map(|above| files.get(above.to_str()?)).next();
        other.map(|other| (other, file))
    })
}

/// One file, the files of a list, or those of the lists in it.
fn entries(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().flat_map(entries).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            vec![value]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ArtifactFile, Known, of_input, path_of};

    #[test]
    fn a_file_and_a_folder_of_the_same_name_are_refused_before_they_are_put_anywhere() {
        let sha256 = "1f".repeat(32);
        let file = |path: &str| ArtifactFile {
            path: path.to_owned(),
            sha256: sha256.clone(),
            bytes: 1,
        };
        let paths = ["a", "a-b", "a/c/d"];
        let known: Known = paths
            .iter()
            .map(|path| ((path_of("make", path), sha256.clone()), file(path)))
            .collect();
        let given = |paths: &[&str]| {
            let files = paths
                .iter()
                .map(|path| json!({ "path": path_of("make", path), "sha256": sha256, "bytes": 1 }));
            of_input("table", &files.collect(), &known)
        };
        let placed = |path| file(&path_of("table", path));
        assert_eq!(given(&["a", "a-b"]), Ok(vec![placed("a"), placed("a-b")]));
        let why = "the input 'table' has both a file artifacts/table/a and a file in a folder of that name, \
                   artifacts/table/a/c/d: hand them to two inputs";
        assert_eq!(given(&paths), Err(why.to_owned()));
    }
}
