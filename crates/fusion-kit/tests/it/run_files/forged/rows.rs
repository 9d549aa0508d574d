//! Rows of run files that no run has.

use serde_json::{Value, json};

use super::super::{elsewhere, exported, import};
use super::{change, first_line, honest, ordered, refused, write};
use crate::support::Project;

/// The place of a list among the members, what is changed in its first row, and what is said to it.
type Case = (usize, &'static str, Value, &'static str);

/// An id of a time that was.
const ID: &str = "019ab3c4-0000-7000-8000-000000000000";

/// One of a time that is to come.
const AHEAD: &str = "fffffff0-0000-7000-8000-000000000000";

const HAS: &str = "has an id of another time";

const NAMES: &str = "names an id of another time";

const EVENTS: &str = "line 1 of events.jsonl";

const MESSAGES: &str = "line 1 of messages.jsonl";

/// What rows say of each other.
fn of_rows() -> Vec<Case> {
    let parent = json!({ "run_id": ID, "task_id": ID, "step": "x" });
    vec![
        (1, "/name", json!("other"), "two names"),
        (1, "/id", json!(ID), "a workflow that is not in it"),
        (2, "/state", json!("running"), "a run has not ended"),
        (2, "/open_tasks", json!(1), "a run has not ended"),
        (2, "/id", json!(ID), "another run"),
        (2, "/parent", parent, "a step that is not in it"),
        (
            2,
            "/created_at",
            json!("+12345-01-01T00:00:00Z"),
            "after 9999",
        ),
        (2, "/total_tasks", json!(u32::MAX), "too large"),
        (2, "/usage/cost", json!("-1"), "below zero"),
        (2, "/state", json!("dreaming"), "line 1 of runs.jsonl"),
        (3, "/run_id", json!(ID), "an agent is of another run"),
        (3, "/id", json!(ID), "the agent of a step is missing"),
        (4, "/state", json!("queued"), "a step has not ended"),
        (4, "/dependencies", json!([ID]), "needs one that is missing"),
        (4, "/id", json!(ID), "missing"),
        (5, "/task_id", json!(ID), "a step that is missing"),
        (
            0,
            "/machine",
            json!("m".repeat(256)),
            "no machine or version",
        ),
        (0, "/machine", json!("a\nb"), "no machine or version"),
        (
            0,
            "/exported_at",
            json!("2900-01-01T00:00:00Z"),
            "in the future",
        ),
        (
            0,
            "/exported_at",
            json!("2020-01-01T00:00:00Z"),
            "an id of another time",
        ),
        (4, "/output_artifacts", Value::Null, "no result names"),
    ]
}

/// What they name, and what is told.
fn of_names() -> Vec<Case> {
    vec![
        (
            2,
            "/continues",
            json!("019ab3c4-0000-4000-8000-000000000000"),
            NAMES,
        ),
        (2, "/continues", json!(AHEAD), NAMES),
        (2, "/called", json!({ "x": AHEAD }), NAMES),
        (2, "/called", json!({ "x": "none" }), "line 1 of runs.jsonl"),
        (4, "/course", json!({ "child": AHEAD }), NAMES),
        (4, "/course", json!({ "child_before": AHEAD }), NAMES),
        (4, "/course", json!({ "handed_on": [AHEAD] }), NAMES),
        (5, "/id", json!(AHEAD), HAS),
        (8, "/event_type", json!("dreamt"), EVENTS),
        (8, "/severity", json!("loud"), EVENTS),
        (8, "/timestamp", json!("then"), EVENTS),
        (8, "/run_id", json!(ID), "an event is of another run"),
        (
            8,
            "/timestamp",
            json!("+12345-01-01T00:00:00Z"),
            "after 9999",
        ),
    ]
}

#[tokio::test]
async fn rows_that_no_run_has_are_refused() {
    let from = exported().await;
    let to = elsewhere(&from);
    let whole = ordered(&from);
    for (list, pointer, value, says) in of_rows().into_iter().chain(of_names()) {
        let mut members = whole.clone();
        change(&mut members[list].1, pointer, &value);
        honest(&mut members);
        write(&to, &members);
        let place = format!("{} {pointer} {value}", members[list].0);
        refused(&to, &place, says).await;
    }
}

/// Rows of lists that the run at hand has none of: an approval, and a message with its delivery.
fn told(whole: &[(String, Vec<u8>)]) -> (Value, Value) {
    let row = |list: usize| serde_json::from_slice::<Value>(first_line(&whole[list].1)).unwrap();
    let (run, agent, task) = (row(2), row(3), row(4));
    let approval = json!({
        "id": ID, "task_id": task["id"], "run_id": run["id"], "question": "May I?",
        "subject": {}, "subject_hash": "", "requested_by": agent["id"], "state": "approved",
        "requested_at": task["queued_at"], "expires_at": null, "resolved_at": task["queued_at"],
        "resolved_by": "ada", "comment": null, "version": 1,
    });
    let message = json!({
        "id": ID, "seq": 1, "timestamp": task["queued_at"], "sender_agent_id": null,
        "recipient_agent_ids": null, "topic": "news", "payload": {}, "message_type": "message",
        "run_id": run["id"], "reply_to": null, "resends": null, "hops": 0,
        "delivery_status": "delivered", "delivered_at": null, "expiry_at": null,
    });
    let delivery = json!({
        "message_id": ID, "seq": 1, "agent_id": agent["id"], "status": "delivered",
        "settled_at": null, "reason": null,
    });
    (
        approval,
        json!({ "message": message, "deliveries": [delivery] }),
    )
}

fn rewritten(to: &Project, whole: &[(String, Vec<u8>)], rows: [(usize, Value); 2]) {
    let mut members = whole.to_vec();
    for (list, row) in rows {
        members[list].1 = format!("{row}\n").into_bytes();
    }
    honest(&mut members);
    write(to, &members);
}

#[tokio::test]
async fn approvals_and_messages_that_no_run_has_are_refused() {
    let from = exported().await;
    let to = elsewhere(&from);
    let whole = ordered(&from);
    let (approval, sent) = told(&whole);
    let other = "a delivery is of another message";
    let cases: [Case; 9] = [
        (6, "/requested_by", json!(AHEAD), NAMES),
        (6, "/id", json!(AHEAD), HAS),
        (6, "/id", json!("none"), "line 1 of approvals.jsonl"),
        (6, "/state", json!("pending"), "waits for an answer"),
        (7, "/message/topic", json!(7), MESSAGES),
        (7, "/message/run_id", json!(ID), "of another run"),
        (7, "/message/delivery_status", json!("lost"), MESSAGES),
        (7, "/deliveries/0/message_id", json!(AHEAD), other),
        (7, "/deliveries", json!({}), MESSAGES),
    ];
    for (list, pointer, value, says) in cases {
        let mut rows = [(6, approval.clone()), (7, sent.clone())];
        *rows[list - 6].1.pointer_mut(pointer).unwrap() = value.clone();
        rewritten(&to, &whole, rows);
        refused(&to, &format!("{list} {pointer} {value}"), says).await;
    }
    // Nothing else was wrong with them.
    rewritten(&to, &whole, [(6, approval), (7, sent)]);
    assert_eq!(import(&to).await["already"], false);
}
