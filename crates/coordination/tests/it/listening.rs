//! Subscriptions that another process made.

use fusion_persistence::WriteRepository;
use serde_json::{Value, json};

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
