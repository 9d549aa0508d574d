//! What the model is told about its tools and about calls that can't be done.

use fusion_core::ToolGroup;
use serde_json::{Value, json};

use crate::place::{Place, calls, done};

/// What the model reads after a call, and whether it worked.
async fn outcome(tool: &str, arguments: Value) -> (String, bool) {
    let place = Place::new(&json!([calls(&[(tool, arguments)]), done()]));
    let finished = place.finish(&place.brief()).await;
    assert_eq!(finished.ending, Ok(json!({ "summary": "Done." })));
    let ok = finished.journal[1].outcome.as_ref().unwrap()["ok"].clone();
    (finished.content(2).to_owned(), ok == json!(true))
}

async fn refusal(tool: &str, arguments: Value) -> String {
    let (content, ok) = outcome(tool, arguments).await;
    assert!(!ok, "{content}");
    content
}

/// Names of the tools with the names of their arguments.
async fn offered(groups: &[ToolGroup], outputs: bool) -> Value {
    let place = Place::new(&json!([{ "text": "x" }, done()]));
    let mut brief = place.brief();
    brief.tools = groups.to_vec();
    if !outputs {
        brief.output_schema = None;
    }
    let finished = place.finish(&brief).await;
    let sent = finished.model.sent();
    let tools = sent[0].tools.iter().map(|tool| {
        let properties = tool.parameters["properties"].as_object().unwrap();
        for (name, schema) in properties.iter().filter(|(_, it)| it["type"] == "string") {
            let limit = schema["maxLength"].as_u64();
            assert!(limit.is_some(), "{}.{name} has no maxLength", tool.name);
        }
        assert_eq!(tool.parameters["type"], "object");
        assert_eq!(tool.parameters["additionalProperties"], json!(false));
        let names: Vec<&String> = properties.keys().collect();
        json!([tool.name, names, tool.parameters["required"]])
    });
    tools.collect()
}

#[tokio::test]
async fn an_agent_is_offered_the_tools_of_its_groups_and_beside_these_finish_for_outputs() {
    let files = [
        json!(["read_file", ["path"], ["path"]]),
        json!(["write_file", ["content", "path"], ["path", "content"]]),
        json!(["list_files", ["path"], null]),
    ];
    let command = json!(["run_command", ["command", "timeout_seconds"], ["command"]]);
    let messages = [
        json!([
            "send_message",
            [
                "data",
                "expires_in_seconds",
                "reply_to",
                "text",
                "to",
                "type"
            ],
            ["to", "text"]
        ]),
        json!(["read_messages", ["limit"], null]),
        json!([
            "wait_for_message",
            ["from", "reply_to", "timeout_seconds"],
            null
        ]),
        json!(["subscribe", ["pattern"], ["pattern"]]),
        json!(["unsubscribe", ["pattern"], ["pattern"]]),
    ];
    let finish = json!(["finish", ["summary"], ["summary"]]);
    assert_eq!(
        offered(ToolGroup::ALL, true).await,
        json!([&files[..], &[command], &messages, &[finish]].concat())
    );
    assert_eq!(offered(&[ToolGroup::Files], false).await, json!(files));
    for outputs in [true, false] {
        assert_eq!(offered(&[], outputs).await, json!([]));
    }
}

#[tokio::test]
async fn a_written_file_is_listed_and_read() {
    let file = json!({ "path": "projects/deep/a.txt", "content": "héllo" });
    let path = |path: &str| json!({ "path": path });
    let place = Place::new(&json!([
        calls(&[
            ("write_file", file),
            ("list_files", path("projects")),
            ("read_file", path("projects/deep/a.txt")),
            ("list_files", path("logs")),
        ]),
        done(),
    ]));
    let finished = place.finish(&place.brief()).await;
    assert_eq!(
        [2, 3, 4, 5].map(|effect| finished.content(effect)),
        [
            "wrote 6 bytes to projects/deep/a.txt",
            "projects/deep/\nprojects/deep/a.txt (6 bytes)",
            "héllo",
            "[empty]",
        ]
    );
}

#[tokio::test]
async fn a_tool_that_is_not_there_is_told_with_those_that_are() {
    assert_eq!(
        refusal("fetch", json!({})).await,
        "there is no tool 'fetch'; there are: read_file, write_file, list_files, run_command, \
         send_message, read_messages, wait_for_message, subscribe, unsubscribe, finish"
    );
}

#[tokio::test]
async fn arguments_that_are_no_object_are_told_as_the_model_wrote_them() {
    for (arguments, written) in [
        (json!("{\"path\": "), "{\"path\": "),
        (json!(["a.txt"]), "[\"a.txt\"]"),
        (Value::Null, "null"),
    ] {
        assert_eq!(
            refusal("read_file", arguments).await,
            format!("the arguments of read_file are not a JSON object: {written}")
        );
    }
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_by_name() {
    assert_eq!(
        refusal("read_file", json!({})).await,
        "the arguments of read_file do not fit: missing field `path`"
    );
    assert_eq!(
        refusal("list_files", json!({ "folder": "x" })).await,
        "the arguments of list_files do not fit: unknown field `folder`, expected `path`"
    );
}

#[tokio::test]
async fn a_path_out_of_the_workspace_is_refused_and_the_agent_goes_on() {
    let told = refusal("read_file", json!({ "path": "../../etc/passwd" })).await;
    assert!(told.contains("../../etc/passwd"), "{told}");
}

#[tokio::test]
async fn a_command_tells_its_output_and_its_exit_code() {
    assert_eq!(
        outcome("run_command", json!({ "command": "make" })).await,
        ("the command says 1\n[exit code 1]".to_owned(), false)
    );
}
