//! What the commands ask for and print that steer runs, answer questions and look after workflows.

use serde_json::{Value, json};

use crate::support::{Ended, Fake, RUN_ID, answering, completed_run, fusion_kit};

const ID: &str = "019ab3c4-0000-7000-8000-000000000001";

fn said(code: u8, out: &str, err: &str) -> Ended {
    Ended {
        code,
        out: out.to_owned(),
        err: err.to_owned(),
    }
}

fn summary(state: &str, halt: Option<&str>) -> Value {
    let mut run = json!({
        "id": RUN_ID, "workflow": "feature", "state": state, "interrupted": false,
        "steps_total": 3, "steps_completed": 1,
        "usage": { "turns": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0" },
        "created_at": "2026-11-23T12:00:00Z", "started_at": null, "completed_at": null, "error": null,
    });
    if let Some(kind) = halt {
        run["halt"] =
            json!({ "kind": kind, "since": "2026-11-23T12:00:01Z", "by": "ada\u{1b}[31m" });
    }
    run
}

#[tokio::test]
async fn a_held_run_is_told_with_who_holds_it_and_the_way_on() {
    let backend = answering(summary("running", Some("now")));
    let paused = fusion_kit("run pause 019a --now --data-dir d", &backend).await;
    assert_eq!(*backend.asked.lock().unwrap(), ["pause 019a true"]);
    assert_eq!(paused.code, 0);
    let wanted = format!("! paused  run {RUN_ID} of feature\npaused by ada");
    assert!(paused.out.starts_with(&wanted), "{}", paused.out);
    let way = format!("go on with: fusion-kit resume {RUN_ID} --data-dir d\n");
    assert!(paused.out.ends_with(&way), "{}", paused.out);
    assert!(!paused.out.contains('\u{1b}'));
    let ended = answering(summary("cancelled", Some("cancel")));
    let told = fusion_kit("run cancel 019a", &ended).await;
    let wanted = format!("- cancelled  run {RUN_ID} of feature\n");
    assert_eq!(told, said(0, &wanted, ""));
}

#[tokio::test]
async fn a_new_attempt_is_asked_for_as_it_was_typed() {
    let backend = Fake::of(completed_run());
    let fork = "run fork 019a --from build -i issue=a=b --latest -q --json";
    assert_eq!(fusion_kit(fork, &backend).await.code, 0);
    let retry = "run retry 019a -q --json";
    assert_eq!(fusion_kit(retry, &backend).await.code, 0);
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "AgainRequest { run: \"019a\", from: Some(\"build\"), inputs: {\"issue\": \"a=b\"}, latest: true }",
            "AgainRequest { run: \"019a\", from: None, inputs: {}, latest: false }",
        ]
    );
    let twice = fusion_kit("run fork 019a --from build -i a=1 -i a=2", &backend).await;
    assert_eq!(twice.code, 2);
    let without = fusion_kit("run fork 019a", &backend).await;
    assert_eq!(without.code, 2);
    let ways = "<--from <STEP>|--at <EVENT>>";
    assert!(without.err.contains(ways), "{}", without.err);
}

#[tokio::test]
async fn what_waits_for_a_person_is_told_with_what_to_type() {
    let item = |kind: &str, name: &str, message: &str| {
        json!({
            "kind": kind, "id": ID, "run": RUN_ID, "name": name,
            "since": "2026-11-23T12:00:00Z", "expires": null, "message": message,
        })
    };
    let items = json!({ "items": [
        item("approval", "release", "Merge?"),
        item("budget", "feature", "used up"),
    ] });
    let told = fusion_kit("inbox", &answering(items)).await;
    let approve = format!("  fusion-kit approve {ID}\n  fusion-kit reject {ID} --reason ...\n");
    assert!(told.out.starts_with("release asks since "), "{}", told.out);
    assert!(told.out.contains(&approve), "{}", told.out);
    let raise = format!("  fusion-kit resume {ID} --budget-usd USD\n");
    assert!(told.out.ends_with(&raise), "{}", told.out);
    let none = fusion_kit("inbox list", &answering(json!({ "items": [] }))).await;
    assert_eq!(none, said(0, "", "nothing waits for you\n"));
}

#[tokio::test]
async fn an_answer_is_asked_for_with_its_words() {
    let backend = answering(json!({
        "id": ID, "task_id": "t", "run_id": "r", "question": "Merge?", "subject": {},
        "subject_hash": "ab", "requested_by": null, "state": "rejected",
        "requested_at": "2026-11-23T12:00:00Z", "expires_at": null,
        "resolved_at": "2026-11-23T12:00:00Z", "resolved_by": "ada", "comment": "no",
    }));
    let told = fusion_kit("reject 019a --reason no --hash ab", &backend).await;
    assert_eq!(told, said(0, "rejected: Merge?\n", ""));
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "AnswerRequest { approval: \"019a\", approves: false, comment: Some(\"no\"), seen: Some(\"ab\") }"
        ]
    );
    assert_eq!(fusion_kit("reject 019a", &backend).await.code, 2);
    assert_eq!(
        fusion_kit("reject 019a --note no --hash ab", &backend).await,
        told
    );
}

fn version(number: u32, source: &str) -> Value {
    json!({
        "id": ID, "name": "feature", "version": number, "description": "Plan.", "steps": 3,
        "created_at": "2026-11-23T12:00:00Z", "source": source,
    })
}

#[tokio::test]
async fn versions_are_compared_line_by_line() {
    let versions = json!({ "workflows": [version(1, "a\nb\nc\n"), version(2, "a\nB\nc\n")] });
    let diff = "--- feature version 1\n+++ feature version 2\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";
    let told = fusion_kit("workflow diff feature 1 2", &answering(versions.clone())).await;
    assert_eq!(told, said(0, diff, ""));
    let newest = fusion_kit(
        "workflow diff feature 1 --json",
        &answering(versions.clone()),
    )
    .await;
    assert_eq!(
        serde_json::from_str::<Value>(&newest.out).unwrap(),
        json!({ "name": "feature", "from": 1, "to": 2, "diff": diff })
    );
    let same = fusion_kit("workflow diff feature 2 2", &answering(versions)).await;
    assert_eq!(same, said(0, "", "versions 2 and 2 have the same text\n"));
}

#[tokio::test]
async fn a_graph_is_drawn_in_three_ways() {
    let step = |id: &str, needs: &[&str]| json!({ "id": id, "needs": needs });
    let graph = json!({ "name": "w\"x", "steps": [
        step("plan", &[]),
        step("build", &["plan"]),
        step("test", &["plan"]),
        step("end", &["build", "test"]),
    ] });
    let drawn = |format: &str| format!("workflow graph w --format {format}");
    let tree = fusion_kit(&drawn("tree"), &answering(graph.clone())).await;
    let wanted =
        "w\"x (4 steps)\n└─ plan\n   ├─ build\n   │  └─ end  (needs test too)\n   └─ test\n";
    assert_eq!(tree, said(0, wanted, ""));
    let mermaid = fusion_kit(&drawn("mermaid"), &answering(graph.clone())).await;
    let wanted = "flowchart TD\n  s0[\"plan\"]\n  s1[\"build\"]\n  s2[\"test\"]\n  s3[\"end\"]\n  s0 --> s1\n  s0 --> s2\n  s1 --> s3\n  s2 --> s3\n";
    assert_eq!(mermaid, said(0, wanted, ""));
    let dot = fusion_kit(&drawn("dot"), &answering(graph)).await;
    assert!(
        dot.out.starts_with("digraph \"w\\\"x\" {\n  \"plan\";\n"),
        "{}",
        dot.out
    );
}

#[tokio::test]
async fn a_fork_at_an_event_is_one_from_its_step() {
    let event = |run: &str, data: Value| {
        json!({
            "seq": 12, "id": "019e", "timestamp": "2026-11-23T12:00:00Z",
            "event_type": "task.failed", "severity": "error", "source_agent_id": null,
            "source_component": "coordination", "run_id": run, "data": data, "message": "",
            "message_queue_topic": null,
        })
    };
    let of_item = event("019a0000", json!({ "step": "build[3]" }));
    let backend = Fake {
        report: of_item,
        ..Fake::of(completed_run())
    };
    let said = fusion_kit("run fork 019A --at 12 -q --json", &backend).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let request =
        "AgainRequest { run: \"019A\", from: Some(\"build\"), inputs: {}, latest: false }";
    assert_eq!(*backend.asked.lock().unwrap(), ["event 12", request]);
    for of_none in [
        event("019a0000", json!({})),
        event("019b0000", json!({ "step": "build" })),
    ] {
        let backend = Fake {
            report: of_none,
            ..Fake::of(completed_run())
        };
        let said = fusion_kit("run fork 019a --at 12", &backend).await;
        let err = "\
error: event 12 is of no step of the run 019a
help: name the step with --from STEP; `run show` lists them
";
        assert_eq!((said.code, said.err.as_str()), (2, err));
    }
    let both = fusion_kit("run fork 019a --at 12 --from build", &backend).await;
    assert_eq!(both.code, 2);
}
