//! What `${{ }}` expressions can name.

use fusion_core::{CancelReason, Run, Task};
use serde_json::{Map, Value, json};

use crate::artifacts::{files_of, path_of};

/// The values of a run, and of the given tasks by their step's id.
pub(crate) fn expression_context(run: &Run, tasks: &[Task]) -> Value {
    let steps: Map<String, Value> = tasks
        .iter()
        .filter(|task| task.course.item.is_none())
        .map(|task| (task.name.clone(), step(task)))
        .collect();
    json!({
        "inputs": run.inputs,
        "steps": steps,
        "run": { "id": run.id },
        "workflow": { "name": run.workflow_name },
    })
}

/// The same with what the task at work is of its step: its item, round and attempt.
pub(crate) fn task_context(run: &Run, tasks: &[Task], own: &Task) -> Value {
    let mut context = expression_context(run, tasks);
    let course = &own.course;
    if let Value::Object(names) = &mut context {
        if let Some(item) = &course.item {
            names.insert("item".to_owned(), item.value.clone());
            names.insert("index".to_owned(), json!(item.index));
        }
        let previous = course.previous.clone();
        names.insert("previous".to_owned(), previous.unwrap_or_else(|| json!({})));
        names.insert("round".to_owned(), json!(course.rounds.saturating_add(1)));
        let attempt = course.failures.saturating_add(1);
        names.insert("attempt".to_owned(), json!(attempt));
    }
    context
}

/// Adds what a round made.
pub(crate) fn with_round(context: &mut Value, outputs: &Value) {
    if let Value::Object(names) = context {
        names.insert("outputs".to_owned(), outputs.clone());
    }
}

/// The files of a step, with the paths that they have in the workspace of who takes them.
fn files(task: &Task) -> Vec<Value> {
    let files = files_of(task).into_iter();
    let shown = files.map(|file| {
        let path = path_of(&task.name, &file.path);
        json!({ "path": path, "sha256": file.sha256, "bytes": file.bytes })
    });
    shown.collect()
}

fn step(task: &Task) -> Value {
    let made = task.output_artifacts.as_ref();
    let part = |name: &str, empty: Value| {
        made.and_then(|made| made.get(name))
            .cloned()
            .unwrap_or(empty)
    };
    json!({
        "status": status(task),
        "outputs": part("outputs", json!({})),
        "artifacts": part("artifacts", json!([])),
        "files": files(task),
        "error": task.error_message,
    })
}

/// The task's state, except that a task the workflow itself left out is `skipped`.
fn status(task: &Task) -> &'static str {
    if task.cancel_reason.is_some_and(CancelReason::is_skip) {
        "skipped"
    } else {
        task.state.as_str()
    }
}
