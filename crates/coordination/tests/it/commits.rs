//! How often the engine writes.

use std::sync::atomic::{AtomicU32, Ordering};

use fusion_core::{DeliveryStatus, Message};
use fusion_persistence::Repository;
use serde_json::{Map, Value, json};

use crate::conversation::{Talk, end};
use crate::gate::Gate;
use crate::standing::spawn;
use crate::world::World;

/// Transactions of this process.
static COMMITS: AtomicU32 = AtomicU32::new(0);

/// Transactions of a run of steps of one agent, one after the other, from its start on.
async fn commits_of(steps: &[&str]) -> u32 {
    let specs: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(number, id)| {
            let before = number.checked_sub(1).and_then(|before| steps.get(before));
            let needs: Vec<&&str> = before.into_iter().collect();
            json!({ "id": id, "agent": "worker", "prompt": "Go.", "needs": needs })
        })
        .collect();
    let script = steps.iter().map(|id| ((*id).to_owned(), json!([end()])));
    let script: Map<String, Value> = script.collect();
    let (agents, more) = (json!({ "worker": {} }), json!({}));
    let talk = Talk::new(&agents, &json!(specs), &json!(script), &more).await;
    let before = COMMITS.load(Ordering::SeqCst);
    talk.finish().await;
    COMMITS.load(Ordering::SeqCst) - before
}

fn count_commits() -> Result<fail::FailScenario<'static>, String> {
    let scenario = fail::FailScenario::setup();
    fail::cfg_callback("persistence_sql::after_commit", || {
        COMMITS.fetch_add(1, Ordering::SeqCst);
    })?;
    Ok(scenario)
}

/// The start with the first claim, and of each step its begin and its end: with the next claim, or with
/// the end of the run.
#[tokio::test]
async fn a_step_is_two_commits_and_a_run_one_more() {
    let _scenario = count_commits().unwrap();
    assert_eq!(commits_of(&["one"]).await, 3);
    assert_eq!(commits_of(&["one", "two", "three"]).await, 7);
}

/// What comes next waits for the first to be done, and is one commit as well.
#[tokio::test]
async fn a_message_and_the_run_that_is_begun_for_it_are_one_commit() {
    let _scenario = count_commits().unwrap();
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "writer").await;
    let before = COMMITS.load(Ordering::SeqCst);
    let engine = world.engine();
    let first = engine.send_to_agent(id, json!("One.")).await.unwrap();
    assert_eq!(COMMITS.load(Ordering::SeqCst) - before, 1);
    let second = engine.send_to_agent(id, json!("Two.")).await.unwrap();
    assert_eq!(COMMITS.load(Ordering::SeqCst) - before, 2);
    assert_eq!(second.run, None);
    let run = world.run(first.run.unwrap()).await;
    assert_eq!(run.inputs["message"], "One.");
    let mut found = Vec::new();
    for sent in [first, second] {
        let message: Message = world.store.get(sent.message).await.unwrap();
        found.push(message.delivery_status);
    }
    assert_eq!(found, [DeliveryStatus::Delivered, DeliveryStatus::Pending]);
}
