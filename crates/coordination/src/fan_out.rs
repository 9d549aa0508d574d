//! Steps that are done for each entry of a list: their tasks become many, and one again.

use std::collections::BTreeSet;
use std::path::Path;

use fusion_agents::Failure;
use fusion_core::{ErrorCode, ForeachSpec, Task};
use fusion_persistence::Batch;
use serde_json::Value;

use crate::artifacts::{ArtifactFile, Work, files_of, within_limits};
use crate::journal::TaskJournal;
use crate::worker::Job;
use crate::{Coordinator, Result, calls};

/// Entries of a list at most.
const MAX_ITEMS: usize = 10_000;

impl Coordinator {
    /// Makes a task for each entry of the list, all in one commit, or ends the step at once where the
    /// list is empty.
    pub(crate) async fn fan_out(
        &self,
        job: Job<'_>,
        foreach: &ForeachSpec,
        context: &Value,
    ) -> Result<()> {
        let values = match items(foreach, context) {
            Ok(values) => values,
            Err(why) => return self.fail_unstarted(job, why).await,
        };
        if values.is_empty() {
            return self.join(job).await;
        }
        let moment = self.moment();
        // Agents are the bound of what they do; of runs there could be any number.
        let at_once = foreach
            .max_parallel
            .or_else(|| job.step.call.as_ref().map(|_| calls::AT_ONCE));
        let decision = job.task.fan_out(values, at_once, moment)?;
        self.commit(Batch::release(job.fence, decision)).await
    }

    /// All items of a task have ended: it ends with what they made.
    pub(crate) async fn join(&self, job: Job<'_>) -> Result<()> {
        let items = self.parts.store.items_of(job.task.id).await?;
        let files = files(&items);
        let joined = job.task.join(&items);
        let joined = match &job.step.call {
            Some(_) => joined.and_then(|outputs| with_files_of_runs(outputs, &files)),
            None => joined,
        };
        let (job, opening) = job.begin(serde_json::json!({}), self.moment())?;
        let journal = TaskJournal::new(self, &job.task, &job.agent, opening);
        match journal.write(Vec::new()).await {
            Err(error) if error.is_held() => return self.give_back_unbegun(&job).await,
            written => written?,
        }
        match joined {
            Ok(outputs) => {
                let artifacts = artifacts(&job, &items);
                let work = Work {
                    outputs,
                    artifacts,
                    files,
                };
                self.complete(&job, &journal, Vec::new(), work).await
            }
            Err(message) => {
                let failure = Failure {
                    // Each item had its own attempts.
                    code: ErrorCode::InvalidInput,
                    message,
                    help: None,
                };
                self.fail(&job, &journal, Vec::new(), failure).await
            }
        }
    }

    /// Whether an item need not be begun any more because another one of its list failed; it is ended
    /// then.
    pub(crate) async fn was_left_out(&self, job: &Job<'_>) -> Result<bool> {
        let Some(item) = &job.task.course.item else {
            return Ok(false);
        };
        if job.task.bears_failed_items() || !self.parts.store.has_failed_item(item.fan_out).await? {
            return Ok(false);
        }
        let decision = job.task.clone().leave_out(self.moment())?;
        self.commit_end(job, decision).await?;
        Ok(true)
    }
}

/// The entries that a step is done for.
fn items(foreach: &ForeachSpec, context: &Value) -> std::result::Result<Vec<Value>, String> {
    let value = fusion_workflow_file::render(&foreach.items, context)
        .map_err(|error| format!("`foreach` can't be evaluated: {error}"))?;
    let Value::Array(values) = value else {
        return Err(format!(
            "`foreach` must give a list, and `{}` is none",
            foreach.items
        ));
    };
    if values.len() > MAX_ITEMS {
        return Err(format!(
            "the list of `foreach` has {} entries and the limit is {MAX_ITEMS}",
            values.len()
        ));
    }
    Ok(values)
}

/// What the runs of all items made; together they may have the files of one.
fn with_files_of_runs(
    outputs: Value,
    files: &[ArtifactFile],
) -> std::result::Result<Value, String> {
    match within_limits(files) {
        Ok(()) => Ok(outputs),
        Err(why) => Err(format!("the runs of its `foreach` made too much: {why}")),
    }
}

/// The files that the items made, in their order, each after the number of its item.
fn files(items: &[Task]) -> Vec<ArtifactFile> {
    let numbered = items.iter().filter_map(|item| {
        let number = item.course.item.as_ref()?.index;
        Some(files_of(item).into_iter().map(move |file| ArtifactFile {
            path: format!("{number}/{}", file.path),
            ..file
        }))
    });
    numbered.flatten().collect()
}

/// The files that the items made, in their order: in which workspace each is, only its whole path says.
fn artifacts(job: &Job<'_>, items: &[Task]) -> Vec<String> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    for item in items {
        let root = item
            .agent_id
            .and_then(|agent| job.plan.workspace(agent).ok());
        let made = item.output_artifacts.as_ref();
        let paths = made.and_then(|made| made.get("artifacts")?.as_array());
        for path in paths.into_iter().flatten().filter_map(Value::as_str) {
            let whole = root.map(|root| Path::new(&root.root_path).join(path));
            let whole = whole.map_or_else(|| path.to_owned(), |whole| whole.display().to_string());
            // Who did several items has the files of all of them in one workspace.
            if seen.insert(whole.clone()) {
                found.push(whole);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ArtifactFile, with_files_of_runs};

    #[test]
    fn the_files_of_all_runs_of_a_list_have_the_limits_of_those_of_one() {
        let files = |count: usize, bytes| {
            let file = |number| ArtifactFile {
                path: format!("{number}/a"),
                sha256: "1f".repeat(32),
                bytes,
            };
            (0..count).map(file).collect::<Vec<_>>()
        };
        let with = |files: Vec<ArtifactFile>| with_files_of_runs(json!([1]), &files);
        assert_eq!(with(files(10_000, 1)), Ok(json!([1])));
        let why = "the runs of its `foreach` made too much: 10001 files are more than 10000, which is the limit";
        assert_eq!(with(files(10_001, 1)), Err(why.to_owned()));
        let why = "the runs of its `foreach` made too much: its files have more than 1024 MiB, which is the limit";
        assert_eq!(with(files(1_025, 1 << 20)), Err(why.to_owned()));
    }
}
