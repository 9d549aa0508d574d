//! Whole tasks: checks of the work, repairs, and ends that are none.

use fusion_core::{EntryKind, Usage};
use serde_json::{Value, json};

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
            EntryKind::Tool | EntryKind::Check => assert_eq!(entry.usage, Usage::default()),
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
