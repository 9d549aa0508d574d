//! Subscriptions that another process made.

use fusion_core::{Agent, AgentId};
use fusion_persistence::{MessageReader, Repository, WriteRepository};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::conversation::{Talk, calls, end, step, wait};

#[tokio::test]
async fn who_subscribed_in_another_process_hears_how_a_step_ends() {
    let talk = Talk::new(
        &json!({ "worker": {}, "watcher": {} }),
        &json!([step("worker", &[])]),
        &json!({ "worker": [calls(&[wait(&json!({}))]), end()] }),
        &json!({}),
    )
    .await;
    let elsewhere = async {
        while talk.journal("worker").await.is_empty() {
            tokio::task::yield_now().await;
        }
        let mut watcher = talk.agent("watcher").await;
        watcher.message_subscriptions = vec!["task.completed.*".to_owned()];
        talk.world.store.update(watcher).await.unwrap();
        talk.person_sends("worker", "Go on.", 1).await;
    };
    tokio::join!(talk.finish(), elsewhere);
    let messages = talk.messages().await;
    let told: Vec<&Value> = messages.iter().map(|one| &one.payload).collect();
    assert_eq!(
        told,
        [&json!("Go on."), &json!("The step 'worker' is completed.")]
    );
}

/// Between the look at who listens and the commit of the end.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn who_subscribes_while_the_end_of_a_step_is_written_is_told_of_it() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let talk = Talk::new(
        &json!({
            "worker": {},
            "early": { "subscriptions": ["task.completed.*"] },
            "late": {},
        }),
        &json!([step("worker", &[])]),
        &json!({ "worker": [end()] }),
        &json!({}),
    )
    .await;
    let mut late = talk.agent("late").await;
    late.message_subscriptions = vec!["task.completed.*".to_owned()];
    let id = late.id;
    let (store, handle) = (Arc::clone(&talk.world.store), Handle::current());
    let scenario = fail::FailScenario::setup();
    let is_over = AtomicBool::new(false);
    fail::cfg_callback("coordination::listeners_read", move || {
        if !is_over.swap(true, Ordering::SeqCst) {
            // Its row was written since by the start of the run.
            tokio::task::block_in_place(|| {
                handle.block_on(async {
                    let now: Agent = store.get(id).await.unwrap();
                    let subscribed = Agent {
                        message_subscriptions: late.message_subscriptions.clone(),
                        ..now
                    };
                    store.update(subscribed).await.unwrap();
                });
            });
        }
    })
    .unwrap();
    talk.finish().await;
    scenario.teardown();
    let mut told: Vec<AgentId> = Vec::new();
    for message in talk.messages().await {
        let deliveries = talk.world.store.deliveries(message.id).await.unwrap();
        told.extend(deliveries.iter().map(|delivery| delivery.agent_id));
    }
    told.sort_unstable();
    let mut both = vec![talk.agent("early").await.id, id];
    both.sort_unstable();
    assert_eq!(told, both);
}
