use std::path::Path;
use std::time::Duration;

use fusion_core::{Cost, Usage};
use serde_json::json;

use super::Scripted;
use crate::{
    Ability, CostSource, Error, FinishReason, Message, ModelInfo, ModelRequest, NoDeltas, Price,
    Provider, ToolCall, Turn, TurnPlace, TurnRequest,
};

const SCRIPT: &str = r#"# the answers of a pretend model
version: 1
delay: 300ms
steps:
  plan:
    - text: "First the file."
      tool_calls:
        - { name: write_file, arguments: { path: projects/x.sh, content: "echo hi\n" } }
        - { name: finish }
    - text: "Done."
  review: []
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.yaml"), script).unwrap();
        Self(folder)
    }

    fn file(&self) -> String {
        let path = self.0.path().canonicalize().unwrap().join("model.yaml");
        path.to_str().unwrap().to_owned()
    }
}

async fn spawn(provider: &Scripted, base_dir: &Path, steps: &[&str]) -> crate::Result<ModelInfo> {
    let request = ModelRequest {
        model: "model.yaml",
        needs_tools: true,
        needs_json_schema: false,
        base_dir,
        steps,
    };
    provider.spawn_agent(&request).await
}

async fn ask(provider: &Scripted, model: &str, step: &str, turn: u32) -> crate::Result<Turn> {
    let request = TurnRequest {
        model,
        system: "You plan.",
        messages: &[Message::User {
            text: "Plan it.".into(),
        }],
        tools: &[],
        output_schema: None,
        max_tokens: None,
        temperature: None,
        options: None,
        may_wait: true,
        place: TurnPlace {
            run: "run",
            task: "task",
            step,
            turn,
            agent: "a",
            key: "k",
        },
    };
    provider.send_message(&request, &NoDeltas).await
}

/// The message of the fault that `spawn_agent` finds in a script, with `FILE` for its path.
async fn fault(script: &str, steps: &[&str]) -> String {
    let folder = Folder::with(script);
    let error = spawn(&Scripted::default(), folder.0.path(), steps)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Script { .. }), "{error:?}");
    error.to_string().replace(&folder.file(), "FILE")
}

#[tokio::test(start_paused = true)]
async fn the_answers_come_in_the_order_of_the_turns_and_take_the_delay() {
    let folder = Folder::with(SCRIPT);
    let provider = Scripted::default();
    let info = spawn(&provider, folder.0.path(), &["plan"]).await.unwrap();
    assert_eq!(
        info,
        ModelInfo {
            model: folder.file(),
            scripted: true,
            context_length: None,
            max_output_tokens: None,
            price: Some(Price::FREE),
            tools: Ability::Yes,
            json_schema: Ability::Yes,
        }
    );
    let start = tokio::time::Instant::now();
    let first = ask(&provider, &info.model, "plan", 1).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    assert_eq!(
        first,
        Turn {
            text: "First the file.".into(),
            tool_calls: vec![
                ToolCall {
                    id: "call_1_0".into(),
                    name: "write_file".into(),
                    arguments: json!({"path": "projects/x.sh", "content": "echo hi\n"}),
                },
                ToolCall {
                    id: "call_1_1".into(),
                    name: "finish".into(),
                    arguments: json!({}),
                },
            ],
            finish_reason: FinishReason::ToolCalls,
            // Sent 17 characters; answered 15 + 10 + 46 + 6 + 2.
            usage: Usage {
                turns: 1,
                input_tokens: 5,
                output_tokens: 20,
                cost: Cost::ZERO
            },
            reasoning: None,
            tokens_are_estimated: true,
            cost_source: CostSource::Provider,
            served_by: None,
            model: info.model.clone(),
            generation_id: None,
        }
    );
    let second = ask(&provider, &info.model, "plan", 2).await.unwrap();
    assert_eq!(
        (second.text.as_str(), second.finish_reason),
        ("Done.", FinishReason::Stop)
    );
}

#[tokio::test]
async fn a_repeated_turn_gets_the_same_answer_also_from_another_process() {
    let folder = Folder::with(&SCRIPT.replace("delay: 300ms\n", ""));
    let first = ask(&Scripted::default(), &folder.file(), "plan", 1).await;
    let again = ask(&Scripted::default(), &folder.file(), "plan", 1).await;
    assert_eq!(first.unwrap(), again.unwrap());
}

#[tokio::test]
async fn a_change_of_the_file_is_seen_by_the_next_agent_and_not_by_the_next_turn() {
    let folder = Folder::with("{ version: 1, steps: { plan: [ { text: old } ] } }");
    let provider = Scripted::default();
    let model = folder.file();
    spawn(&provider, folder.0.path(), &["plan"]).await.unwrap();
    std::fs::write(&model, "{ version: 1, steps: { plan: [ { text: new } ] } }").unwrap();
    assert_eq!(ask(&provider, &model, "plan", 1).await.unwrap().text, "old");
    spawn(&provider, folder.0.path(), &["plan"]).await.unwrap();
    assert_eq!(ask(&provider, &model, "plan", 1).await.unwrap().text, "new");
}

#[tokio::test]
async fn a_turn_past_the_end_of_the_script_says_so() {
    let folder = Folder::with(&SCRIPT.replace("delay: 300ms\n", ""));
    let error = ask(&Scripted::default(), &folder.file(), "plan", 3)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}:5:5: turn 3 of step 'plan' has no answer: the script ends after 2",
            folder.file()
        )
    );
}

#[tokio::test]
async fn a_missing_file_is_named_with_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let error = spawn(&Scripted::default(), folder.path(), &[])
        .await
        .unwrap_err();
    let path = folder.path().join("model.yaml");
    assert_eq!(
        error.to_string(),
        format!("{}: the script can't be read", path.display())
    );
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.to_string().contains("No such file"), "{source}");
}

#[tokio::test]
async fn a_folder_is_not_a_script() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("model.yaml")).unwrap();
    let error = spawn(&Scripted::default(), folder.path(), &[])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("must be a file"), "{error}");
}

#[tokio::test]
async fn the_faults_of_a_script_are_told_with_line_and_column() {
    let cases = [
        (
            "version: 1\nsteps: {}\n  plan: }",
            &[][..],
            "FILE:3:3: while parsing a block mapping, did not find expected key",
        ),
        (
            "version: 2\nsteps: {}\n",
            &[],
            "FILE:1:10: version 2 is not known, only 1 is",
        ),
        (
            "version: 1\ndelay: soon\nsteps: {}\n",
            &[],
            "FILE:2:8: a delay is a whole number with ms, s or m, as in 300ms, not 'soon'",
        ),
        (
            "version: 1\nsteps:\n  plan:\n    - texxt: hi\n",
            &[],
            "FILE:4:7: unknown field `texxt`, expected one of text, tool_calls",
        ),
        (
            "version: 1\nsteps:\n  plan:\n    - text: ''\n",
            &[],
            "FILE:4:7: an answer of step 'plan' is empty: give it a text or tool_calls",
        ),
        ("version: 1\n", &[], "FILE:1:1: missing field `steps`"),
        (
            "version: 1\nsteps:\n  plan: []\n",
            &["plan"],
            "FILE:3:9: the list of answers for step 'plan' is empty",
        ),
        (
            "version: 1\nsteps:\n  plan:\n    - text: hi\n",
            &["plan", "plann"],
            "FILE:3:3: the script has no answers for step 'plann'; did you mean 'plan'?",
        ),
    ];
    for (script, steps, expected) in cases {
        let fault = fault(script, steps).await;
        assert_eq!(fault, expected, "{script}");
    }
}
