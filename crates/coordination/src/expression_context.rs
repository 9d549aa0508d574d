//! What `${{ }}` expressions can name.

use fusion_core::{CancelReason, Run, Task};
use serde_json::{Map, Value, json};

/// The values of a run, and of the given tasks by their step's id.
pub(crate) fn expression_context(run: &Run, tasks: &[Task]) -> Value {
    let steps: Map<String, Value> = tasks
        .iter()
        .map(|task| (task.name.clone(), step(task)))
        .collect();
    json!({
        "inputs": run.inputs,
        "steps": steps,
        "run": { "id": run.id },
        "workflow": { "name": run.workflow_name },
    })
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
