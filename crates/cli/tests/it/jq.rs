//! What `--jq` makes of what `--json` would print.

use serde_json::{Value, json};

use crate::support::{Fake, answering, fusion_kit};

fn event(seq: u64) -> Value {
    json!({
        "seq": seq, "id": "019ab3c4-0000-7000-8000-000000000001", "timestamp": "2026-11-23T12:00:00Z",
        "event_type": "task.completed", "severity": "info", "source_agent_id": null,
        "source_component": "engine", "run_id": null, "message": "done", "data": { "n": seq },
        "message_queue_topic": null,
    })
}

#[tokio::test]
async fn an_expression_makes_lines_of_a_result() {
    for (line, report, out) in [
        (
            "version --jq .version",
            json!({ "version": "1.2.3", "server": null }),
            "1.2.3\n",
        ),
        (
            "version --jq .server -o json",
            json!({ "version": "1.2.3", "server": null }),
            "null\n",
        ),
        (
            "--jq [.version] version --json",
            json!({ "version": "1", "server": null }),
            "[\"1\"]\n",
        ),
        ("budget list --jq .", json!([]), "{\"budgets\":[]}\n"),
    ] {
        let said = fusion_kit(line, &answering(report)).await;
        assert_eq!(
            (said.code, said.out.as_str(), said.err.as_str()),
            (0, out, ""),
            "{line}"
        );
    }
}

#[tokio::test]
async fn each_row_of_a_stream_is_filtered_by_itself() {
    let rows = json!([event(1), event(2), event(3)]);
    let said = fusion_kit(
        "events tail --jq .data.n,.message",
        &answering(rows.clone()),
    )
    .await;
    assert_eq!(said.out, "1\ndone\n2\ndone\n3\ndone\n");
    let page = json!({ "events": rows, "next_cursor": null });
    let whole = fusion_kit("events list --jq .events[1].seq", &answering(page.clone())).await;
    assert_eq!(whole.out, "2\n");
    let lines = fusion_kit("events list -o jsonl --jq .seq", &answering(page)).await;
    assert_eq!(lines.out, "1\n2\n3\n");
}

#[tokio::test]
async fn a_wrong_expression_is_refused_before_anything_is_done() {
    for (line, why) in [
        (
            "budget clear shop --jq .name[",
            "invalid value '.name[' for '--jq <EXPR>': [ is not closed at character 6",
        ),
        (
            "budget clear shop --jq nope",
            "there is no filter `nope/0` at character 1",
        ),
        (
            "budget clear shop --jq . -o yaml",
            "--jq works on JSON: leave --output out",
        ),
        (
            "completions bash --jq .",
            "`completions` prints a script of a shell",
        ),
        (
            "export events --jq .",
            "`export events` prints each event as JSON lines",
        ),
    ] {
        let backend = Fake::default();
        let said = fusion_kit(line, &backend).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(why), "{line}: {}", said.err);
        assert!(backend.asked.lock().unwrap().is_empty(), "{line}");
    }
}

#[tokio::test]
async fn an_expression_that_does_not_fit_the_result_says_so_in_json() {
    let rows = json!([event(1), event(2)]);
    let said = fusion_kit("events tail --jq .seq,.message.x", &answering(rows)).await;
    assert_eq!((said.code, said.out.as_str()), (2, "1\n"));
    let problem: Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!(problem["kind"], "invalid_input");
    let message = problem["message"].as_str().unwrap();
    assert!(
        message.starts_with("--jq can't go on: cannot index"),
        "{message}"
    );
}
