//! What `task` asks for and prints.

use serde_json::{Value, json};

use crate::support::{Ended, Fake, answering, check_snapshot, fusion_kit};

const ID: &str = "019ab3c4-0000-7000-8000-000000000001";

fn task(name: &str, state: &str) -> Value {
    json!({
        "id": ID, "name": name, "description": "Write a haiku\u{1b}[31m about bees.",
        "agent_id": null, "priority": 5, "required_capabilities": ["prose"], "state": state,
        "queued_at": "2026-11-23T12:00:00Z", "started_at": null, "completed_at": null,
        "dependencies": [], "input_artifacts": {}, "output_artifacts": null,
        "error_message": null, "cancel_reason": null, "communication_channels": [],
        "workflow_id": null, "run_id": "019ab3c4-0000-7000-8000-00000000000a",
        "standalone": true, "project_id": null, "demanded": false, "waiting": null, "attempts": 0,
        "usage": { "turns": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0" },
    })
}

fn waiting() -> Value {
    let mut task = task("haiku", "queued");
    task["waits_for"] = json!([
        { "kind": "dependency", "text": "it needs 'bees', which is running", "task_id": ID, "until": null },
        { "kind": "time", "text": "no quota", "task_id": null, "until": "2026-11-23T13:00:00Z" },
    ]);
    task
}

fn done() -> Value {
    let mut task = task("haiku", "completed");
    let more = json!({
        "agent_id": "019ab3c4-0000-7000-8000-00000000000b", "demanded": true,
        "started_at": "2026-11-23T12:00:01Z", "completed_at": "2026-11-23T12:00:03Z",
        "output_artifacts": { "outputs": { "text": "Bees hum." }, "artifacts": [] },
        "attempts": 1, "waits_for": [],
        "usage": { "turns": 2, "input_tokens": 1000, "output_tokens": 204, "cost_usd": "0.0042" },
    });
    for (name, value) in more.as_object().unwrap() {
        task[name] = value.clone();
    }
    task
}

#[tokio::test]
async fn a_reason_goes_with_what_is_cancelled() {
    let backend = answering(task("t", "cancelled"));
    let said = fusion_kit("task cancel x --reason late", &backend).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(*backend.asked.lock().unwrap(), ["cancel x because late"]);
}

#[tokio::test]
async fn tasks_are_asked_for_as_they_were_typed() {
    for (line, answer, wanted) in [
        (
            "task create Do it.",
            waiting(),
            "TaskRequest { description: Text(\"Do it.\"), name: None, capabilities: [], agent: None, \
             demanded: false, priority: 0, needs: [], inputs: {}, project: None, delay: None, \
             after: None, timeout: None, max_attempts: None, max_cost: None }",
        ),
        (
            "task create Do it. --name n --capabilities a,b --agent w --priority -3 --needs x,y \
             -i k=v=w --project p --in 10m --timeout 2h --max-attempts 3 \
             --max-cost 2",
            waiting(),
            "TaskRequest { description: Text(\"Do it.\"), name: Some(\"n\"), capabilities: [\"a\", \"b\"], \
             agent: Some(\"w\"), demanded: true, priority: -3, needs: [\"x\", \"y\"], inputs: \
             {\"k\": \"v=w\"}, project: Some(\"p\"), delay: Some(600s), after: None, timeout: \
             Some(7200s), max_attempts: Some(3), max_cost: Some(\"2\") }",
        ),
        (
            "task create Do it. --prefer w --after 2026-12-01T09:00:00Z",
            waiting(),
            "TaskRequest { description: Text(\"Do it.\"), name: None, capabilities: [], agent: \
             Some(\"w\"), demanded: false, priority: 0, needs: [], inputs: {}, project: None, \
             delay: None, after: Some(2026-12-01T09:00:00Z), timeout: None, max_attempts: None, max_cost: None }",
        ),
        (
            "task create --description Do-it. --depends-on x,y --retries 2",
            waiting(),
            "TaskRequest { description: Text(\"Do-it.\"), name: None, capabilities: [], agent: None, \
             demanded: false, priority: 0, needs: [\"x\", \"y\"], inputs: {}, project: None, delay: None, \
             after: None, timeout: None, max_attempts: Some(3), max_cost: None }",
        ),
        (
            "task list --state queued,running --agent w --workflow v --run r --project p --limit 7",
            json!([]),
            "TaskQuery { states: [\"queued\", \"running\"], agent: Some(\"w\"), workflow: \
             Some(\"v\"), run: Some(\"r\"), project: Some(\"p\"), limit: 7 }",
        ),
        ("task get x", waiting(), "show x"),
        ("task cancel x", task("t", "cancelled"), "cancel x"),
        ("task retry x", task("t", "queued"), "retry x"),
        (
            "task logs x --limit 3 --follow",
            json!({ "entries": [] }),
            "task logs x 3 true",
        ),
        (
            "task wait x y --timeout 90s",
            json!([done()]),
            "wait [\"x\", \"y\"] Some(90s)",
        ),
    ] {
        let backend = answering(answer);
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
}

#[tokio::test]
async fn a_task_is_changed_and_asked_for_again_as_it_was_typed() {
    for (line, wanted) in [
        ("task update x --priority -2", "update x Priority(-2)"),
        (
            "task update x --max-cost 0.50",
            "update x MaxCost(\"0.50\")",
        ),
        (
            "task retry x --description Instead.",
            "retry x Text(\"Instead.\")",
        ),
        ("task retry x -F -", "retry x Stdin"),
    ] {
        let backend = answering(task("t", "queued"));
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
    for line in ["task update x", "task update x --priority 1 --max-cost 2"] {
        let refused = fusion_kit(line, &answering(Value::Null)).await;
        assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{line}");
    }
}

#[tokio::test]
async fn what_a_task_asks_is_taken_from_where_it_stands() {
    for (line, wanted) in [
        ("task create Do it.", "description: Text(\"Do it.\")"),
        (
            "task create --file brief.md",
            "description: File(\"brief.md\")",
        ),
        ("task create -F -", "description: Stdin"),
    ] {
        let backend = answering(waiting());
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        let asked = backend.asked.lock().unwrap().concat();
        let wanted = format!("TaskRequest {{ {wanted}, name: None,");
        assert!(asked.starts_with(&wanted), "{line}: {asked}");
    }
}

#[tokio::test]
async fn a_wish_that_contradicts_itself_is_refused() {
    for (line, told) in [
        ("task create", "were not provided"),
        ("task create x --agent a --prefer b", "cannot be used with"),
        (
            "task create x --in 1m --after 2026-12-01T09:00:00Z",
            "cannot be used with",
        ),
        ("task create x --in soon", "write a number and a unit"),
        ("task create x -i k", "has no '='"),
        ("task wait", "were not provided"),
        (
            "task list --state lost",
            "[possible values: queued, assigned",
        ),
    ] {
        let said = fusion_kit(line, &Fake::default()).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(told), "{line}: {}", said.err);
    }
}

#[tokio::test]
async fn tasks_are_shown_with_what_they_wait_for() {
    let mut later = task("later", "queued");
    later["waiting"] =
        json!({ "until": "2026-11-23T13:00:00Z", "reason": "it is asked for later" });
    let list = json!([
        task("haiku", "queued"),
        later,
        done(),
        task("gone", "cancelled")
    ]);
    let said = fusion_kit("task list", &answering(list)).await;
    check_snapshot("task-list.txt", &said.out);
    let said = fusion_kit("task get x", &answering(waiting())).await;
    check_snapshot("task-get-waiting.txt", &said.out);
    let said = fusion_kit("task get x", &answering(done())).await;
    check_snapshot("task-get-done.txt", &said.out);
    let said = fusion_kit("task get x --json", &answering(waiting())).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), waiting());
    let none = fusion_kit("task list --data-dir d", &answering(json!([]))).await;
    let wanted = Ended {
        code: 0,
        out: String::new(),
        err: "no such tasks; ask for one with: fusion-kit task create WHAT --data-dir d\n"
            .to_owned(),
    };
    assert_eq!(none, wanted);
}

#[tokio::test]
async fn the_exit_code_of_waiting_says_how_the_tasks_ended() {
    for (states, code) in [
        (&["completed", "completed"][..], 0),
        (&["completed", "failed"], 6),
        (&["cancelled"], 6),
        (&["completed", "running"], 130),
    ] {
        let tasks: Vec<Value> = states.iter().map(|state| task("t", state)).collect();
        let said = fusion_kit("task wait x", &answering(json!(tasks))).await;
        assert_eq!(said.code, code, "{states:?}: {}", said.err);
    }
}

#[tokio::test]
async fn a_tree_of_tasks_shows_what_stands_above_once() {
    let line = |depth: u32, name: &str, again: bool| json!({ "depth": depth, "id": ID, "name": name, "state": "queued", "again": again });
    let tree = json!({
        "task": line(0, "middle", false),
        "needs": [line(1, "a", false), line(2, "root", false), line(1, "b", false), line(2, "root", true)],
        "needed_by": [],
    });
    let said = fusion_kit("task deps x", &answering(tree)).await;
    let wanted = format!(
        "· queued middle ({ID})\nneeds\n  · queued a ({ID})\n    · queued root ({ID})\n  · queued b \
         ({ID})\n    · queued root ({ID}) (see above)\nneeded by nothing\n"
    );
    assert_eq!(said.out, wanted);
}
