//! What a model gets to read is bounded, and what is missing is said.

use fusion_providers::Message;
use serde_json::{Value, json};

use crate::place::{Place, calls, done};

const RESULT_LIMIT: usize = 32 * 1024;
const CONTEXT_LIMIT: usize = 400 * 1024;
/// Room for the line that says how much was left out.
const NOTE: usize = 40;

fn read_big() -> (&'static str, Value) {
    ("read_file", json!({ "path": "projects/big" }))
}

/// A text in which every place is different.
fn big() -> String {
    (0..20_000).map(|number| format!("{number:05}\n")).collect()
}

#[tokio::test]
async fn a_long_file_is_given_from_its_beginning_without_a_hole() {
    let place = Place::new(&json!([calls(&[read_big()]), done()]));
    place
        .workspace
        .write_file("projects/big", big().as_bytes())
        .unwrap();
    let finished = place.finish(&place.brief()).await;
    let content = finished.content(2);
    assert!(content.len() <= RESULT_LIMIT, "{}", content.len());
    let (text, note) = content.rsplit_once('[').unwrap();
    assert!(text.len() > RESULT_LIMIT - 500 && big().starts_with(text));
    let lines = text.lines().count();
    assert_eq!(note, format!("lines 1 to {lines} of 20000]"));
}

#[tokio::test]
async fn a_long_result_keeps_its_head_and_its_tail() {
    let place = Place::new(&json!([calls(&[("list_files", json!({}))]), done()]));
    let name = |number: usize| format!("projects/{number:03}{}", "x".repeat(200));
    for number in 0..200 {
        place.workspace.write_file(&name(number), b"").unwrap();
    }
    let finished = place.finish(&place.brief()).await;
    let content = finished.content(2);
    assert!(content.len() <= RESULT_LIMIT + NOTE, "{}", content.len());
    assert!(content.starts_with(".agent/\n"), "{content}");
    assert!(content.contains(" bytes left out ...]\n"));
    assert!(content.ends_with(&format!("{} (0 bytes)", name(199))));
    assert_eq!(
        finished.model.told_at(2),
        [Message::Tool {
            call_id: "call_1_0".into(),
            name: "list_files".into(),
            content: content.to_owned(),
        }]
    );
}

#[tokio::test]
async fn a_long_output_of_a_command_says_how_much_is_missing_in_all_and_where_it_is() {
    let command = ("run_command", json!({ "command": "make" }));
    let place = Place::new(&json!([calls(&[command]), done()]));
    place
        .workspace
        .write_file("projects/output", big().as_bytes())
        .unwrap();
    let finished = place.finish(&place.brief()).await;
    let content = finished.content(2);
    assert!(content.len() <= RESULT_LIMIT, "{}", content.len());
    let (head, rest) = content.split_once("\n[... ").unwrap();
    let (missing, rest) = rest
        .split_once(" bytes left out; the whole is in ")
        .unwrap();
    let (path, tail) = rest.split_once(" ...]\n").unwrap();
    let tail = tail.strip_suffix("\n[exit code 1]").unwrap();
    let all = big() + "the command says 1";
    assert!(all.starts_with(head) && all.ends_with(tail), "{content}");
    let kept = head.len() + tail.len() + 1;
    assert_eq!(missing, (all.len() + 1 - kept).to_string());
    let whole = place.workspace.read_file(path, usize::MAX).unwrap();
    assert_eq!(whole.text, all + "\n");
}

#[tokio::test]
async fn the_oldest_results_are_left_out_when_the_conversation_grows_too_long() {
    let reads = vec![read_big(); 14];
    let place = Place::new(&json!([calls(&reads), done()]));
    place
        .workspace
        .write_file("projects/big", big().as_bytes())
        .unwrap();
    let mut brief = place.brief();
    brief.max_repeats = 100;
    let finished = place.finish(&brief).await;
    assert_eq!(finished.ending, Ok(json!({ "summary": "Done." })));
    let told: Vec<String> = finished
        .model
        .told_at(2)
        .into_iter()
        .map(|message| match message {
            Message::Tool { content, .. } => content,
            Message::User { .. } | Message::Assistant { .. } => panic!("{message:?}"),
        })
        .collect();
    assert!(told.iter().map(String::len).sum::<usize>() <= CONTEXT_LIMIT);
    let whole = finished.content(2);
    let note = format!(
        "[{} bytes of the result of read_file were left out to fit the context]",
        whole.len()
    );
    let left_out = told.iter().take_while(|content| **content == note).count();
    assert!((1..4).contains(&left_out), "{left_out}");
    assert!(told.iter().skip(left_out).all(|content| content == whole));
}

#[tokio::test]
async fn a_prompt_beyond_the_context_fails_before_the_model_is_asked() {
    let place = Place::new(&json!([done()]));
    let mut brief = place.brief();
    brief.prompt = "x".repeat(CONTEXT_LIMIT + 1);
    let finished = place.finish(&brief).await;
    let (message, help) = finished.ending.unwrap_err();
    let limit = message
        .strip_prefix("the conversation has 409601 bytes and the limit is ")
        .unwrap();
    // What the system prompt and the tools take is not there for the conversation.
    let limit: usize = limit.parse().unwrap();
    assert!(
        (CONTEXT_LIMIT - 16 * 1024..CONTEXT_LIMIT).contains(&limit),
        "{limit}"
    );
    assert_eq!(
        help.unwrap(),
        "ask for less in one step, give smaller inputs, or give the agent 'writer' a model that reads more \
         and `context_tokens` for it"
    );
    assert_eq!(finished.model.sent(), []);
}

#[tokio::test]
async fn the_conversation_fits_the_model_and_the_journal_says_what_was_left_out() {
    let reads = vec![read_big(); 2];
    let place = Place::new(&json!([calls(&reads), done()]));
    place
        .workspace
        .write_file("projects/big", big().as_bytes())
        .unwrap();
    let mut brief = place.brief();
    brief.context_tokens = 16_000;
    let finished = place.finish(&brief).await;
    let whole = finished.content(2).len();
    let note =
        format!("[{whole} bytes of the result of read_file were left out to fit the context]");
    let told = finished.model.told_at(2);
    let contents: Vec<&str> = told
        .iter()
        .map(|message| match message {
            Message::Tool { content, .. } => content.as_str(),
            Message::User { .. } | Message::Assistant { .. } => panic!("{message:?}"),
        })
        .collect();
    assert_eq!(contents, [note.as_str(), finished.content(3)]);
    let sizes = [1, 4].map(|effect| {
        let request = &finished.journal[effect - 1].request;
        request["left_out_bytes"].as_u64()
    });
    assert_eq!(sizes, [None, u64::try_from(whole - note.len()).ok()]);
}
