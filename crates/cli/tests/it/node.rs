//! What `node` asks for and says.

use serde_json::{Value, json};

use crate::support::{Fake, fusion_kit};

fn node() -> Value {
    json!({
        "id": "01a20936-de9a-7252-8a49-87ec557b0be4", "name": "web-2", "state": "draining",
        "roles": ["api", "worker"], "epoch": 7, "version": "0.1.0", "capacity": 10000, "runs": 1,
        "tasks": 3, "started_at": "2026-11-23T16:22:00Z", "last_seen": "2026-11-23T16:23:00Z",
    })
}

fn telling(report: Value) -> Fake {
    Fake {
        report,
        ..Fake::default()
    }
}

#[tokio::test]
async fn nodes_are_listed_with_what_they_have_in_hand() {
    let backend = telling(json!({ "nodes": [node()] }));
    let said = fusion_kit("node list", &backend).await;
    assert_eq!(said.code, 0, "{}", said.err);
    let mut lines = said.out.lines();
    let head: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        head,
        [
            "NODE", "NAME", "STATE", "ROLES", "RUNS", "STEPS", "CAPACITY", "SEEN"
        ]
    );
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        row[1..7],
        ["web-2", "draining", "api,worker", "1", "3", "10000"]
    );
    let none = fusion_kit("node list", &telling(json!({ "nodes": [] }))).await;
    assert_eq!((none.out.as_str(), none.code), ("", 0));
    assert!(none.err.contains("no process has worked here yet"));
}

#[tokio::test]
async fn a_node_is_named_and_told_to_drain() {
    let backend = telling(node());
    let said = fusion_kit("node drain web-2", &backend).await;
    assert!(
        said.out
            .starts_with("web-2 takes nothing new; it has 1 run and 3 steps at work")
    );
    let said = fusion_kit("node get web-2 --json", &backend).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), node());
    let asked = ["drain_node web-2", "get_node web-2"];
    assert_eq!(*backend.asked.lock().unwrap(), asked);
}
