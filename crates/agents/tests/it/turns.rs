//! Whole tasks: checks of the work, repairs, and ends that are none.

use fusion_core::{EntryKind, Usage};
use fusion_providers::Message;
use serde_json::{Map, Value, json};

use crate::place::{Place, calls, done};

fn kinds(journal: &[fusion_core::JournalEntry]) -> Vec<EntryKind> {
    journal.iter().map(|entry| entry.kind).collect()
}

#[tokio::test]
async fn work_that_fails_its_check_goes_back_to_the_agent_until_it_passes() {
    let file = json!({ "path": "projects/a.txt", "content": "a" });
    let place = Place::new(&json!([done(), calls(&[("write_file", file)]), done()]));
    let mut brief = place.brief();
    brief.verify = vec!["test -e projects/a.txt".into()];
    let finished = place.finish(&brief).await;
    assert_eq!(finished.ending, Ok(json!({ "summary": "Done." })));
    use EntryKind::{Check, Tool, Turn};
    assert_eq!(
        kinds(&finished.journal),
        [Turn, Check, Turn, Tool, Turn, Check]
    );
    let checks = [1, 5].map(|at| finished.journal[at].outcome.clone().unwrap());
    let report = "$ test -e projects/a.txt\nthe command says 1\n[exit code 1]";
    assert_eq!(
        checks,
        [
            json!({ "passed": false, "report": report }),
            json!({ "passed": true, "report": "" }),
        ]
    );
}

#[tokio::test]
async fn the_first_verify_command_that_fails_is_the_last_that_runs() {
    let place = Place::new(&json!([done()]));
    let mut brief = place.brief();
    brief.verify = vec!["first".into(), "second".into()];
    brief.max_turns = 1;
    let finished = place.finish(&brief).await;
    let (message, _) = finished.ending.unwrap_err();
    assert_eq!(
        message,
        "the agent 'writer' did not finish within 1 turn; its last check failed: $ first"
    );
    assert_eq!(place.starts(), 1);
}

#[tokio::test]
async fn what_a_turn_used_is_in_its_entry_and_in_no_other() {
    let place = Place::new(&json!([calls(&[("list_files", json!({}))]), done()]));
    let finished = place.finish(&place.brief()).await;
    for entry in &finished.journal {
        match entry.kind {
            EntryKind::Turn => {
                assert_eq!(entry.usage.turns, 1);
                assert!(entry.usage.input_tokens > 0 && entry.usage.output_tokens > 0);
            }
            EntryKind::Tool | EntryKind::Check | EntryKind::Inbox => {
                assert_eq!(entry.usage, Usage::default());
            }
        }
    }
}

#[tokio::test]
async fn a_model_that_has_no_answer_fails_the_task_with_its_words() {
    let place = Place::new(&json!([calls(&[("list_files", json!({}))])]));
    let finished = place.finish(&place.brief()).await;
    let (message, _) = finished.ending.unwrap_err();
    assert!(message.contains("model.yaml"), "{message}");
    let outcome: &Value = finished.journal[2].outcome.as_ref().unwrap();
    assert_eq!(outcome["error"]["message"], json!(message));
    assert_eq!(finished.journal[2].usage, Usage::default());
}

#[tokio::test]
async fn outputs_of_an_agent_without_tools_are_its_answer_bound_to_their_schema() {
    let wrong = json!({ "text": "{\"summary\": 5}" });
    let right = json!({ "text": "{\"summary\": \"Done.\"}" });
    let place = Place::new(&json!([wrong, right]));
    let mut brief = place.brief();
    brief.tools = vec![];
    let finished = place.finish(&brief).await;
    assert_eq!(finished.ending, Ok(json!({ "summary": "Done." })));
    for sent in finished.model.sent() {
        assert_eq!(sent.tools, []);
        assert_eq!(sent.output_schema, brief.output_schema);
    }
    assert_eq!(
        finished.model.told_at(2),
        [Message::User {
            text: "output 'summary' does not fit: 5 is not of type \"string\". Answer with one JSON object \
                   with every output, each as its schema says."
                .into()
        }]
    );
}

#[tokio::test]
async fn outputs_of_an_agent_with_tools_are_handed_in_by_a_tool() {
    let place = Place::new(&json!([done()]));
    let finished = place.finish(&place.brief()).await;
    let sent = &finished.model.sent()[0];
    assert!(sent.tools.iter().any(|tool| tool.name == "finish"));
    assert_eq!(sent.output_schema, None);
}

#[tokio::test]
async fn options_for_the_provider_are_sent_as_they_are() {
    let place = Place::new(&json!([done()]));
    let mut brief = place.brief();
    let options: Map<String, Value> = [("top_p".to_owned(), json!(0.5))].into_iter().collect();
    brief.provider_options = options.clone();
    let finished = place.finish(&brief).await;
    assert_eq!(finished.model.sent()[0].options, Some(options));
}
