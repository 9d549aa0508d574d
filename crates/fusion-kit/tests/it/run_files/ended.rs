//! Runs that ended in other ways than by their last step.

use serde_json::{Value, json};

use super::{FLOW, SCRIPT, elsewhere, export_of, import, shown};
use crate::support::{Project, step};

/// Its step still says what it waited for.
#[tokio::test]
async fn a_run_that_was_cancelled_while_a_step_waited_is_imported() {
    let flow = FLOW.replace("prompt: Read.", "prompt: Read., approval: 'Read it?'");
    let from = Project::with(&flow, SCRIPT);
    let running = from.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let run = from
        .until("the question", |run| {
            !step(run, "read")["waiting"].is_null()
        })
        .await;
    let id = run["id"].as_str().unwrap().to_owned();
    from.run(["run", "cancel", &id]).await.expect(0);
    running.finish().await;
    export_of(&from, &id).await;
    let to = elsewhere(&from);
    assert_eq!(import(&to).await["already"], false);
    let (there, _) = shown(&to, &id).await;
    assert_eq!(there["state"], "cancelled");
    let step = step(&there, "read");
    assert_eq!(
        (&step["state"], &step["waiting"]),
        (&json!("cancelled"), &Value::Null)
    );
}
