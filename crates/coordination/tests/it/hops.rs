//! Talks that go to and fro, and where they end.

use serde_json::{Value, json};

use crate::conversation::{Talk, calls, end, send, step, wait};

#[tokio::test]
async fn agents_that_answer_each_other_for_ever_are_stopped_whatever_they_name() {
    let reply = || {
        let arguments = json!({ "to": "ping", "text": "Again.", "reply_to": "last" });
        ("send_message", arguments)
    };
    for (own, other) in [
        (send("pong", "Again."), send("ping", "Again.")),
        (send("pong", "Again."), reply()),
        (send("all", "Again."), send("ping", "Again.")),
    ] {
        // The last word is not waited for: it is refused.
        let from = |name: &str| wait(&json!({ "from": name }));
        let mut ping = vec![calls(&[own.clone(), from("pong")]); 8];
        ping.extend([calls(&[own]), end()]);
        let mut pong = vec![calls(&[from("ping")])];
        pong.extend(vec![calls(&[other.clone(), from("ping")]); 8]);
        pong.extend([calls(&[other]), end()]);
        let talk = Talk::new(
            &json!({ "ping": {}, "pong": {} }),
            &json!([step("ping", &[]), step("pong", &[])]),
            &json!({ "ping": ping, "pong": pong }),
            &json!({}),
        )
        .await;
        talk.finish().await;
        let hops: Vec<u32> = talk.messages().await.iter().map(|one| one.hops).collect();
        assert_eq!(hops, (0..=16).collect::<Vec<_>>());
        assert_eq!(
            talk.told("pong").await.last().unwrap(),
            "16 messages went to and fro before this one, which is the limit: end the talk, and go on \
             with what was said"
        );
    }
}

#[tokio::test]
async fn a_talk_begins_afresh_with_the_next_step_and_is_not_that_of_others() {
    let again =
        json!({ "id": "again", "agent": "asker", "needs": ["asker", "other"], "prompt": "x" });
    let talk = Talk::new(
        &json!({ "asker": {}, "answerer": {}, "other": {} }),
        &json!([
            step("asker", &[]),
            step("answerer", &[]),
            step("other", &["answerer"]),
            again
        ]),
        &json!({
            "asker": [
                calls(&[send("answerer", "Good?"), wait(&json!({}))]),
                calls(&[send("answerer", "Why?"), send("other", "Hello.")]),
                end(),
            ],
            "answerer": [
                calls(&[wait(&json!({}))]),
                calls(&[send("asker", "Yes."), wait(&json!({}))]),
                end(),
            ],
            "other": [end()],
            "again": [calls(&[send("answerer", "Thanks.")]), end()],
        }),
        &json!({}),
    )
    .await;
    talk.finish().await;
    let told = talk.messages().await;
    let mut told: Vec<(&str, u32)> = told
        .iter()
        .map(|one| (one.payload.as_str().unwrap(), one.hops))
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("Good?", 0),
            ("Hello.", 0),
            ("Thanks.", 0),
            ("Why?", 2),
            ("Yes.", 1)
        ]
    );
}

#[tokio::test]
async fn only_what_an_agent_read_or_sent_is_answered_by_it() {
    // The ids of a run of scripted agents are the same each time.
    let talk = |id: Value| async move {
        let answer = json!({ "to": "other", "text": "Yes.", "reply_to": id });
        let talk = Talk::new(
            &json!({ "writer": {}, "reader": {}, "other": {} }),
            &json!([step("writer", &[]), step("reader", &["writer"])]),
            &json!({
                "writer": [calls(&[send("other", "Hello.")]), end()],
                "reader": [calls(&[("send_message", answer)]), end()],
            }),
            &json!({}),
        )
        .await;
        talk.finish().await;
        talk
    };
    let first = talk(json!("last")).await;
    let id = first.messages().await[0].id;
    let talk = talk(json!(id)).await;
    assert_eq!(talk.messages().await[0].id, id);
    assert_eq!(
        talk.told("reader").await,
        [format!(
            "you have neither read nor sent a message {id}: take its id from the message, or write `last`"
        )]
    );
}
