//! Agents that talk, in the real binary: `examples/talk.yaml`, also with a death at every commit.

use std::collections::BTreeMap;
use std::fs;

use fusion_core::{DeliveryStatus, Message};
use fusion_persistence::{EventFilter, EventReader, MessageFilter, MessageReader};
use serde_json::{Value, json};

use crate::crash::{die_at, go_on};
use crate::support::{Project, examples, states};

const EXAMPLE: &str = "talk.yaml";

/// More commits than a run of the example has.
const LIMIT: u32 = 200;

fn example() -> Project {
    let project = Project::new();
    for name in [EXAMPLE, "talk.script.yaml"] {
        let text = fs::read_to_string(examples().join(name)).unwrap();
        project.write(name, text);
    }
    project
}

/// The messages of the project's run, in their order.
async fn messages(project: &Project) -> Vec<Message> {
    let (store, run) = project.store().await;
    let filter = MessageFilter {
        run: Some(run),
        ..MessageFilter::default()
    };
    store.messages_after(&filter, 0, 100).await.unwrap()
}

/// How often each message was put before a model, by its id.
pub(crate) fn shown(run: &Value) -> BTreeMap<String, usize> {
    let mut shown = BTreeMap::new();
    for step in run["steps"].as_array().unwrap() {
        let journal = step["journal"].as_array().unwrap();
        let texts = journal
            .iter()
            .filter_map(|entry| match entry["kind"].as_str() {
                Some("inbox") => Some(entry["outcome"]["messages"].as_array().unwrap().clone()),
                Some("tool") => Some(vec![entry["outcome"]["content"].clone()]),
                _ => None,
            });
        for text in texts.flatten() {
            let id = match text.as_str() {
                Some(text) => told_id(text),
                None => text["id"].as_str().map(str::to_owned),
            };
            if let Some(id) = id {
                *shown.entry(id).or_default() += 1;
            }
        }
    }
    shown
}

/// The id of the message that a call of a tool gave.
fn told_id(content: &str) -> Option<String> {
    let (_, message) = content.split_once("\n\nMessage ")?;
    message.split_whitespace().next().map(str::to_owned)
}

/// The run ended as it should, and each message was stored, read and shown once.
async fn assert_talked(project: &Project, place: &str) {
    let run = project.shown().await;
    assert_eq!(
        states(&run),
        [("write", "completed"), ("review", "completed")],
        "{place}"
    );
    assert_eq!(
        run["outputs"],
        json!({
            "advice": "A title should promise one thing and keep it.",
            "title": "The Short Life of a Bee",
        }),
        "{place}"
    );
    let messages = messages(project).await;
    let told: Vec<(&str, DeliveryStatus)> = messages
        .iter()
        .map(|message| (message.message_type.as_str(), message.delivery_status))
        .collect();
    let read = ["question", "answer", "decision"].map(|kind| (kind, DeliveryStatus::Delivered));
    assert_eq!(told, read, "{place}");
    let once = messages.iter().map(|message| (message.id.to_string(), 1));
    assert_eq!(shown(&run), once.collect(), "{place}");
}

#[tokio::test]
async fn two_agents_ask_and_answer() {
    let project = example();
    project.run(["run", EXAMPLE, "--quiet"]).await.expect(0);
    assert_talked(&project, "undisturbed").await;
    let run = project.shown().await;
    let messages = messages(&project).await;
    let [question, answer, decision] = &messages[..] else {
        panic!("{messages:?}");
    };
    assert_eq!((answer.reply_to, answer.hops), (Some(question.id), 1));
    assert_eq!(decision.topic, "title.decided");
    assert_eq!(run["agents"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_agents_say_is_seen_while_they_say_it() {
    let project = example();
    let ended = project.run(["run", EXAMPLE]).await.expect(0);
    let told: Vec<&str> = ended
        .stderr
        .lines()
        .filter_map(|line| Some(line.split_once(' ')?.1))
        .filter(|line| line.contains(" -> "))
        .collect();
    assert_eq!(
        told,
        [
            "writer -> reviewer  inbox  Is `All about Bees` a good title?",
            "reviewer -> writer  inbox  It promises too much. What about `The S…",
            "writer -> reviewer  title.decided  It is `The Short Life of a Bee`.",
        ]
    );
    let quiet = example().run(["run", EXAMPLE, "--no-progress"]).await;
    assert_eq!(quiet.expect(0).stderr, "");
}

#[tokio::test]
async fn a_refusal_of_the_message_flow_is_told_once_whenever_the_program_dies() {
    let mut deaths = 0;
    for passing in 0..LIMIT {
        let project = Project::with(
            "
version: 1
name: flow
agents:
  writer: { provider: scripted, model: script.yaml, tools: [messages] }
  reviewer: { provider: scripted, model: script.yaml }
message_flow: []
steps: [{ id: write, agent: writer, prompt: x }]
",
            "
version: 1
steps:
  write:
    - tool_calls: [{ name: send_message, arguments: { to: reviewer, text: Read it. } }]
    - text: Done.
",
        );
        let run = &["run", "flow.yaml", "--quiet"];
        let died = die_at(&project, run, "agents::after_effect", passing).await;
        if died.is_none() {
            break;
        }
        deaths += 1;
        go_on(&project, "flow.yaml").await;
        let (store, run) = project.store().await;
        let refused = EventFilter {
            types: vec!["message.failed".to_owned()],
            ..EventFilter::of_run(run)
        };
        let told = store.events_after(&refused, 0, 10).await.unwrap();
        assert_eq!(told.len(), 1, "died at effect {passing}");
    }
    assert_eq!(deaths, 3, "two turns and a call");
}

#[tokio::test]
async fn a_death_at_every_commit_loses_no_message_and_shows_none_twice() {
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
        "agents::after_effect",
    ] {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let project = example();
            if die_at(&project, &["run", EXAMPLE, "--quiet"], point, passing)
                .await
                .is_none()
            {
                break;
            }
            deaths += 1;
            go_on(&project, EXAMPLE).await;
            assert_talked(&project, &format!("death at {point}, passing {passing}")).await;
        }
        assert!(
            (5..LIMIT).contains(&deaths),
            "{point} was reached {deaths} times"
        );
    }
}
