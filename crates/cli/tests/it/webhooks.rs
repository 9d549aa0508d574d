//! `webhook`: what is asked for, and what a person sees of it.

use serde_json::{Value, json};

use crate::support::{answering, check_snapshot, fusion_kit};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn ops() -> Value {
    json!({
        "id": ID, "name": "ops", "url": "https://hooks.example/x", "events": ["task.*", "run.*"],
        "severities": ["error", "critical"], "project_id": null, "allow_private": false,
        "state": "enabled", "reason": null, "cursor": 4711, "failed_attempts": 3,
        "failing_since": "2026-11-23T11:00:00Z", "next_attempt_at": "2026-11-23T12:05:00Z",
        "old_secret_until": "2026-11-24T12:00:00Z",
        "created_at": "2026-11-23T10:00:00Z", "updated_at": "2026-11-23T10:00:00Z",
    })
}

fn stopped() -> Value {
    json!({
        "id": ID, "name": "local", "url": "http://127.0.0.1:9000/", "events": [],
        "severities": [], "project_id": ID, "allow_private": true, "state": "stopped",
        "reason": "answered\u{1b}[31m 410", "cursor": 0, "failed_attempts": 0,
        "failing_since": null, "next_attempt_at": null, "old_secret_until": null,
        "created_at": "2026-11-23T10:00:00Z", "updated_at": "2026-11-23T11:00:00Z",
    })
}

fn made() -> Value {
    let mut made = ops();
    made["secret"] = json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    made
}

fn taken(taken: bool) -> Value {
    let (status, error) = if taken {
        (json!(204), Value::Null)
    } else {
        (Value::Null, json!("it did not answer in time"))
    };
    json!({ "taken": taken, "status": status, "error": error, "duration_ms": 7 })
}

fn deliveries() -> Value {
    let one = |seq: u64, status: Value, error: Value| {
        json!({
            "id": ID, "seq": seq, "event_type": "task.failed", "attempt": 1, "status": status,
            "error": error, "duration_ms": 12, "at": "2026-11-23T11:00:00Z",
        })
    };
    json!([
        one(12, json!(503), json!("the receiver answered 503")),
        one(11, json!(204), Value::Null),
    ])
}

#[tokio::test]
async fn webhooks_are_asked_for_as_they_were_typed() {
    for (line, answer, wanted) in [
        (
            "webhook add https://h.example/ --name ops --event task.*,run.* --event x \
             --severity error+ --project shop --allow-private",
            made(),
            "NewWebhook { url: \"https://h.example/\", name: Some(\"ops\"), events: [\"task.*\", \
             \"run.*\", \"x\"], severities: [\"error+\"], project: Some(\"shop\"), \
             allow_private: true }",
        ),
        ("webhook list --limit 7", json!([]), "webhooks 7"),
        ("webhook get ops", ops(), "webhook ops"),
        ("webhook test ops", taken(true), "test webhook ops"),
        (
            "webhook resend ops 4711",
            taken(true),
            "resend 4711 to webhook ops",
        ),
        (
            "webhook deliveries ops --limit 3",
            json!([]),
            "deliveries ops 3",
        ),
        ("webhook enable ops", ops(), "switch webhook ops: true"),
        ("webhook disable ops", ops(), "switch webhook ops: false"),
        ("webhook rotate ops", made(), "rotate webhook ops"),
        ("webhook remove ops", ops(), "remove webhook ops"),
    ] {
        let backend = answering(answer);
        let said = fusion_kit(line, &backend).await;
        assert_eq!(said.code, 0, "{line}: {}", said.err);
        assert_eq!(*backend.asked.lock().unwrap(), [wanted], "{line}");
    }
}

#[tokio::test]
async fn webhooks_are_shown_with_what_is_in_their_way() {
    let list = fusion_kit("webhook list", &answering(json!([stopped(), ops()]))).await;
    check_snapshot("webhook-list.txt", &list.out);
    let one = fusion_kit("webhook get ops", &answering(ops())).await;
    let other = fusion_kit("webhook get local", &answering(stopped())).await;
    check_snapshot("webhook-get.txt", &format!("{}\n{}", one.out, other.out));
    let all = fusion_kit("webhook deliveries ops", &answering(deliveries())).await;
    check_snapshot("webhook-deliveries.txt", &all.out);
}

#[tokio::test]
async fn a_new_secret_stands_alone_on_stdout() {
    let said = fusion_kit("webhook rotate ops", &answering(made())).await;
    assert_eq!(said.out, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let expected = "the secret of webhook ops is shown this once: give it to the receiver\n";
    assert_eq!(said.err, expected);
}

#[tokio::test]
async fn what_is_not_taken_has_its_exit_code() {
    let good = fusion_kit("webhook test ops", &answering(taken(true))).await;
    assert_eq!(
        (good.code, good.out.as_str()),
        (0, "it was taken: 204 (7 ms)\n")
    );
    let bad = fusion_kit("webhook test ops", &answering(taken(false))).await;
    let says = "it was not taken: it did not answer in time (7 ms)\n";
    assert_eq!((bad.code, bad.out.as_str()), (1, says));
    let bad = fusion_kit("webhook resend ops 12", &answering(taken(false))).await;
    assert_eq!((bad.code, bad.out.as_str()), (1, says));
}
