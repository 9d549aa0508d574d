//! How often the engine writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use crate::conversation::{Talk, end};

/// Transactions of a run of these steps, all of one agent, from its start on.
async fn commits_of(steps: &[&str]) -> u32 {
    let specs: Vec<_> = steps
        .iter()
        .enumerate()
        .map(|(number, id)| {
            let needs: Vec<_> = steps
                .iter()
                .take(number)
                .skip(number.saturating_sub(1))
                .collect();
            json!({ "id": id, "agent": "worker", "prompt": "Go.", "needs": needs })
        })
        .collect();
    let answers: serde_json::Map<_, _> = steps
        .iter()
        .map(|id| ((*id).to_owned(), json!([end()])))
        .collect();
    let (agents, more) = (json!({ "worker": {} }), json!({}));
    let talk = Talk::new(&agents, &json!(specs), &json!(answers), &more).await;
    let count = Arc::new(AtomicU32::new(0));
    let scenario = fail::FailScenario::setup();
    let counted = Arc::clone(&count);
    fail::cfg_callback("persistence_sql::after_commit", move || {
        counted.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    talk.finish().await;
    scenario.teardown();
    count.load(Ordering::SeqCst)
}

/// The start with the first claim, and of each step its begin and its end: with the next claim, or with
/// the end of the run.
#[tokio::test]
async fn a_step_is_two_commits_and_a_run_one_more() {
    assert_eq!(commits_of(&["one"]).await, 3);
    assert_eq!(commits_of(&["one", "two", "three"]).await, 7);
}
