//! What `sandbox run` and `tool` ask for and print.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::{Ended, Fake, answering, fusion_kit, problem};

fn ended(code: u8, out: &str, err: &str) -> Ended {
    Ended {
        code,
        out: out.to_owned(),
        err: err.to_owned(),
    }
}

#[tokio::test]
async fn a_command_in_the_sandbox_ends_this_command_with_its_code() {
    let backend = Fake::default();
    let said = fusion_kit("sandbox run --workspace w -- make -j 2 --json", &backend).await;
    assert_eq!(said, ended(7, "", "a notice\n"));
    let asked = r#"held ["make", "-j", "2", "--json"] in Some("w")"#;
    assert_eq!(*backend.asked.lock().unwrap(), [asked]);
    let said = fusion_kit("sandbox run -q ls -l", &backend).await;
    assert_eq!(said, ended(7, "", ""));
    let said = fusion_kit("sandbox run -q true", &Fake::refusing(problem("no room"))).await;
    assert_eq!(said, ended(125, "", "error: no room\n"));
    assert_eq!(fusion_kit("sandbox run", &backend).await.code, 2);
}

#[tokio::test]
async fn a_tool_that_does_not_do_what_was_asked_fails_the_command() {
    let call = r#"tool call read_file --workspace w --input {"path":"a"}"#;
    let backend = answering(json!({ "ok": true, "content": "text\u{1b}[31m", "exit_code": null }));
    assert_eq!(
        fusion_kit(call, &backend).await,
        ended(0, "text␛[31m\n", "")
    );
    let asked = r#"call read_file {"path":"a"} in w"#;
    assert_eq!(*backend.asked.lock().unwrap(), [asked]);
    let backend = answering(json!({ "ok": false, "content": "refused", "exit_code": 3 }));
    assert_eq!(fusion_kit(call, &backend).await, ended(1, "refused\n", ""));
    let as_json = r#"{"ok":false,"content":"refused","exit_code":3}"#;
    let said = fusion_kit(&format!("{call} --json"), &backend).await;
    assert_eq!(said, ended(1, &format!("{as_json}\n"), ""));
}

#[tokio::test]
async fn wrong_usage_of_tool_call_is_told_and_nothing_is_asked() {
    for line in [
        "tool call --workspace w",
        "tool call read_file",
        "tool call read_file --workspace w --lines",
        "tool call read_file --workspace w --input {",
    ] {
        let backend = Fake::default();
        assert_eq!(fusion_kit(line, &backend).await.code, 2, "{line}");
        assert_eq!(*backend.asked.lock().unwrap(), [] as [&str; 0], "{line}");
    }
}

#[tokio::test]
async fn each_line_is_answered_by_a_line() {
    let lines = [
        r#"{"id": 4, "name": "list_files"}"#,
        "",
        r#"{"name": "read_file", "input": {"path": "a"}, "more": 1}"#,
        r#"{"name": "read_file", "input": {"path": "a"}}"#,
    ];
    let backend = Fake {
        lines: Mutex::new(
            lines
                .map(str::to_owned)
                .into_iter()
                .collect::<VecDeque<_>>(),
        ),
        ..answering(json!({ "ok": true, "content": "x", "exit_code": null }))
    };
    let said = fusion_kit("tool call --lines --workspace w", &backend).await;
    let answers: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), 3, "{}", said.out);
    assert_eq!(
        answers[0],
        json!({ "id": 4, "ok": true, "content": "x", "exit_code": null })
    );
    assert_eq!(answers[1]["ok"], json!(false));
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "call list_files {} in w",
            r#"call read_file {"path":"a"} in w"#
        ]
    );
}

#[tokio::test]
async fn tools_are_listed_with_their_groups_and_effects() {
    let list = json!({ "tools": [{
        "name": "read_file", "group": "files", "effect": "read",
        "description": "Reads a file.", "parameters": { "type": "object" },
    }] });
    let table = "TOOL       GROUP  EFFECT  WHAT IT DOES\n\
                 read_file  files  read    Reads a file.\n";
    let said = fusion_kit("tool list", &answering(list.clone())).await;
    assert_eq!(said, ended(0, table, ""));
    let said = fusion_kit("tool list --json", &answering(list.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), list);
}
