//! What `message` asks for and prints.

use serde_json::{Value, json};

use crate::support::{Ended, Fake, answering, check_snapshot, fusion_kit};

const ID: &str = "019ab3c4-0000-7000-8000-000000000001";

fn agent(name: &str) -> Value {
    json!({ "id": format!("id-of-{name}"), "name": name })
}

fn message(status: &str, payload: &Value) -> Value {
    json!({
        "id": ID, "seq": 7, "sent_at": "2026-11-23T12:00:00Z", "run": "run-1",
        "sender": agent("planner"), "recipients": [agent("reviewer")],
        "topic": "agent.id-of-reviewer.inbox", "message_type": "note", "payload": payload,
        "status": status, "delivered_at": null, "expires_at": null, "reply_to": null,
        "resends": null, "hops": 0,
    })
}

fn broadcast() -> Value {
    let mut message = message("failed", &json!({ "risks": ["a\u{1b}[31m", 2] }));
    message["sender"] = Value::Null;
    message["recipients"] = Value::Null;
    message["topic"] = json!("broadcast.all");
    message["expires_at"] = json!("2026-11-23T12:10:00Z");
    message["resends"] = json!("019ab3c4-0000-7000-8000-000000000009");
    message["hops"] = json!(2);
    message
}

fn delivery(name: &str, status: &str, reason: Option<&str>) -> Value {
    let since = (status != "pending").then_some("2026-11-23T12:00:01Z");
    json!({ "agent": agent(name), "status": status, "settled_at": since, "reason": reason })
}

fn detail() -> Value {
    let mut detail = broadcast();
    detail["deliveries"] = json!([
        delivery("planner", "delivered", None),
        delivery("reviewer", "pending", None),
        delivery("tester", "failed", Some("the agent has ended")),
        delivery("writer", "expired", None),
    ]);
    detail
}

async fn asked(line: &str) -> String {
    let backend = answering(detail());
    let said = fusion_kit(line, &backend).await;
    assert_eq!(said.code, 0, "{line}: {}", said.err);
    backend.asked.lock().unwrap().remove(0)
}

#[tokio::test]
async fn a_message_is_sent_as_it_was_typed() {
    for (line, wanted) in [
        (
            "message send --to reviewer hello",
            "NewMessage { to: Agent(\"reviewer\"), run: None, message_type: \"message\", \
             reply_to: None, expires_in: None, content: Text(\"hello\") }",
        ),
        (
            "message send --topic review.done --run 019a --type note --reply-to 019b --expires 10m \
             --payload notice.json",
            "NewMessage { to: Topic(\"review.done\"), run: Some(\"019a\"), message_type: \"note\", \
             reply_to: Some(\"019b\"), expires_in: Some(600s), content: File(\"notice.json\") }",
        ),
        (
            "message send --broadcast --expires 3d --payload -",
            "NewMessage { to: Everyone, run: None, message_type: \"message\", reply_to: None, \
             expires_in: Some(259200s), content: Stdin }",
        ),
        ("message show 019a", "show 019a"),
        ("message resend 019a", "resend 019a"),
    ] {
        assert_eq!(asked(line).await, wanted, "{line}");
    }
}

#[tokio::test]
async fn what_is_not_one_message_is_refused() {
    for (line, told) in [
        ("message send hello", "were not provided"),
        ("message send --to a", "were not provided"),
        ("message send --to a --broadcast x", "cannot be used with"),
        ("message send --to a x --payload f", "cannot be used with"),
        (
            "message send --to a x --expires 10",
            "write a number and a unit, such as 90s, 10m, 2h or 3d",
        ),
        (
            "message send --to a x --expires 0s",
            "from 1s to 36500d are allowed",
        ),
        (
            "message list --status lost",
            "[possible values: pending, delivered, failed, expired]",
        ),
    ] {
        let said = fusion_kit(line, &Fake::default()).await;
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{line}");
        assert!(said.err.contains(told), "{line}: {}", said.err);
    }
}

#[tokio::test]
async fn messages_are_listed_as_they_were_asked_for() {
    let messages = [message("pending", &json!("look\nhere")), broadcast()];
    let mut list = json!({ "messages": messages, "cut": false });
    let backend = answering(list.clone());
    let line = "message list --run 019a --from planner --to reviewer --topic t \
                --status failed,expired --since 2h --limit 5";
    let said = fusion_kit(line, &backend).await;
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "MessageQuery { run: Some(\"019a\"), from: Some(\"planner\"), to: Some(\"reviewer\"), \
             topic: Some(\"t\"), statuses: [\"failed\", \"expired\"], since: Some(7200s), limit: 5 }"
        ]
    );
    check_snapshot("message-list.txt", &said.out);
    let said = fusion_kit("message list --json", &answering(list.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), list);
    assert_eq!(said.err, "");
    list["cut"] = json!(true);
    let said = fusion_kit("message list", &answering(list)).await;
    assert_eq!(
        said.err,
        "older messages were left out: those above hold as much as one list takes\n"
    );
    let none = fusion_kit("message list", &answering(json!({ "messages": [] }))).await;
    let wanted = Ended {
        code: 0,
        out: String::new(),
        err: "no such messages\n".to_owned(),
    };
    assert_eq!(none, wanted);
}

#[tokio::test]
async fn a_message_is_shown_with_what_became_of_it() {
    let said = fusion_kit("message show 019a --data-dir d", &answering(detail())).await;
    check_snapshot("message-show.txt", &said.out);
    let said = fusion_kit("message show 019a --json", &answering(detail())).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), detail());
    let sent = fusion_kit("message send --broadcast hello", &answering(detail())).await;
    let wanted = format!(
        "sent {ID} to planner, reviewer, tester, 1 other\n\
         see what becomes of it: fusion-kit message show {ID}\n"
    );
    assert_eq!(sent.out, wanted);
}

#[tokio::test]
async fn the_tail_is_a_line_for_each_message() {
    let messages = [message("pending", &json!("look\nhere")), broadcast()];
    let list = json!({ "messages": messages });
    let backend = answering(list.clone());
    let said = fusion_kit("message tail --follow --limit 3", &backend).await;
    let asked = backend.asked.lock().unwrap().remove(0);
    assert!(asked.ends_with("limit: 3 } true"), "{asked}");
    assert_eq!(
        said.out,
        "13:00:00 planner -> reviewer  inbox  look here\n\
         13:00:00 (a person) -> (listeners)  broadcast.all  {\"risks\":[\"a\\u001b[31m\",2]}\n"
    );
    let said = fusion_kit("message tail --json", &answering(list)).await;
    let lines = said.out.lines();
    let lines: Vec<Value> = lines.map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines, messages);
}
