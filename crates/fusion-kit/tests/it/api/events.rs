//! The event log and its live streams: without gaps, without duplicates.

use std::time::Duration;

use fusion_persistence::{Prune, Store};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::client::Serving;
use crate::own_store::OwnStore;
use crate::support::Project;

/// Makes something, which is told.
async fn tell(serving: &Serving, number: usize) {
    let body = json!({ "name": format!("c{number}") });
    serving
        .post("/api/v1/capabilities", &body)
        .await
        .expect(201);
}

/// Walks the log page by page from a path to its end.
async fn walk(serving: &Serving, path: &str) -> Vec<u64> {
    let mut places = Vec::new();
    let mut next = path.to_owned();
    loop {
        let page = serving.get(&next).await.expect(200).json();
        let events = page["events"].as_array().unwrap();
        places.extend(events.iter().map(|event| event["seq"].as_u64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("/api/v1/events?limit=3&cursor={cursor}"),
            None => return places,
        }
    }
}

#[tokio::test]
async fn a_walk_of_the_log_sees_every_event_once_while_more_are_told() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    for number in 0..40 {
        tell(&serving, number).await;
    }
    let telling = async {
        for number in 40..80 {
            tell(&serving, number).await;
        }
    };
    let walking = async {
        let back = walk(&serving, "/api/v1/events?limit=3").await;
        let on = walk(&serving, "/api/v1/events?limit=3&after=0").await;
        (back, on)
    };
    let ((), (back, on)) = tokio::join!(telling, walking);
    let newest = back[0];
    assert_eq!(back, (1..=newest).rev().collect::<Vec<_>>());
    assert!(on.len() >= 40);
    assert_eq!(on, (1..=on.len() as u64).collect::<Vec<_>>());
    assert_eq!(
        walk(&serving, "/api/v1/events?limit=3&after=0").await.len(),
        80
    );
}

#[tokio::test]
async fn a_farewell_is_answered() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut socket = serving.socket("").await;
    socket.frame().await.unwrap();
    let answer = socket.close().await.expect("a close frame with a code");
    assert_eq!(u16::from(answer.code), 1000);
}

#[tokio::test]
async fn sockets_that_are_cut_go_on_where_they_were() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let telling = async {
        for number in 0..200 {
            tell(&serving, number).await;
        }
    };
    let listening = async {
        let mut seen: Vec<u64> = Vec::new();
        let mut cuts = 0;
        while seen.len() < 200 {
            let place = seen.last().copied().unwrap_or_default();
            let mut socket = serving.socket(&format!("?after={place}")).await;
            let hello = socket.frame().await.unwrap();
            assert_eq!(
                json!([hello["type"], hello["seq"]]),
                json!(["hello", place])
            );
            // Cut after a few, in the middle of what is being sent.
            let some = (1 + cuts % 7).min(200 - seen.len());
            seen.extend(socket.events(some).await);
            cuts += 1;
        }
        (seen, cuts)
    };
    let ((), (seen, cuts)) = tokio::join!(telling, listening);
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
    assert!(cuts >= 50, "{cuts}");
}

#[tokio::test]
async fn a_stream_is_filtered_and_goes_on_over_a_kill_of_the_server() {
    let project = Project::of_examples();
    let serving = Serving::on(&project).await;
    let run = super::runs::start(&serving, &project, "hello.yaml").await;
    let query = format!("?after=0&event_type=task.*&run_id={run}");
    let mut socket = serving.socket(&query).await;
    let first = socket.events(4).await;
    let told = serving
        .get(&format!("/api/v1/events{query}"))
        .await
        .expect(200)
        .json();
    let stored: Vec<&Value> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["seq"])
        .collect();
    assert_eq!(json!(first), json!(stored));
    let last = first[3];
    serving.stop(Signal::KILL).await;
    let serving = Serving::on(&project).await;
    tell(&serving, 0).await;
    let mut socket = serving
        .socket(&format!("?after={last}&event_type=record.*"))
        .await;
    assert!(socket.events(1).await[0] > last);
}

#[tokio::test]
async fn a_stream_begins_at_the_end_of_the_log_and_refuses_places_that_are_not_there() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    tell(&serving, 0).await;
    let mut socket = serving.socket("").await;
    assert_eq!(socket.frame().await.unwrap()["seq"], 1);
    tell(&serving, 1).await;
    assert_eq!(socket.events(1).await, [2]);
    serving
        .get("/api/v1/events/stream?after=3")
        .await
        .expect(400);
    serving
        .get("/api/v1/events/stream?after=-1")
        .await
        .expect(400);
    serving.get("/api/v1/ws/events").await.expect(400);
    let resumed = serving
        .request("GET", "/api/v1/events/stream")
        .header("Last-Event-ID", "x");
    resumed.send().await.expect(400);
}

#[tokio::test]
async fn a_reader_that_takes_nothing_holds_up_nobody() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut stuck = Vec::new();
    for _ in 0..20 {
        stuck.push(serving.socket("?after=0").await);
    }
    let mut socket = serving.socket("?after=0").await;
    let telling = async {
        for number in 0..300 {
            let body =
                json!({ "name": format!("c{number}"), "metadata": { "x": "y".repeat(10_000) } });
            serving
                .post("/api/v1/capabilities", &body)
                .await
                .expect(201);
        }
    };
    let listening = timeout(Duration::from_secs(50), socket.events(300));
    let ((), heard) = tokio::join!(telling, listening);
    assert_eq!(heard.unwrap(), (1..=300).collect::<Vec<_>>());
    drop(stuck);
}

#[tokio::test]
async fn the_whole_log_is_exported_for_other_programs() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    // More than are read at once.
    for number in 0..520 {
        tell(&serving, number).await;
    }
    let export = async |query: &str| {
        let path = format!("/api/v1/events/export?{query}");
        // The server's own form of a body in pieces is read by its client.
        let client = serving.request("GET", &path).header("Accept", "*/*");
        client.send().await
    };
    let lines = export("").await.expect(200);
    assert_eq!(lines.headers["content-type"], "application/jsonl");
    let places: Vec<u64> = lines
        .body
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|event| event["seq"].as_u64())
        .collect();
    assert_eq!(places, (1..=520).collect::<Vec<_>>());
    let csv = export("format=csv&after=515&event_type=record.*")
        .await
        .expect(200);
    assert!(csv.body.contains("seq,timestamp,event_type,severity,"));
    let rows = csv
        .body
        .lines()
        .filter(|line| line.contains(",record.changed,"));
    assert_eq!(rows.count(), 5);
    let said = project
        .run(["export", "events", "--format", "csv"])
        .await
        .expect(0);
    let own: Vec<&str> = said.stdout.lines().skip(516).collect();
    for row in own {
        assert!(csv.body.contains(row), "{row}");
    }
    export("format=xml").await.expect(400);
    export("after=x").await.expect(400);
}

#[tokio::test]
async fn a_place_before_the_log_begins_is_answered_with_410_and_where_it_begins() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    for number in 0..4 {
        tell(&serving, number).await;
    }
    serving.stop(Signal::TERM).await;
    let store = OwnStore::of(&project).await;
    let old = Prune {
        events_before: Some("2999-01-01T00:00:00Z".parse().unwrap()),
        limit: 2,
        ..Prune::default()
    };
    assert_eq!(store.prune(old).await.unwrap(), 2);
    store.close().await;

    let serving = Serving::on(&project).await;
    for path in ["/api/v1/events?after=0", "/api/v1/events/stream?after=1"] {
        let refused = serving.get(path).await.expect(410).json();
        assert_eq!(
            json!([refused["error"], refused["oldest_seq"]]),
            json!(["cursor_too_old", 3]),
            "{path}"
        );
    }
    let resumed = serving.request("GET", "/api/v1/events/stream");
    let resumed = resumed.header("Last-Event-ID", "1").send().await;
    resumed.expect(410);
    let upgrade = serving.request("GET", "/api/v1/ws/events?after=1");
    let upgrade = upgrade
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    upgrade.send().await.expect(410);
    let mut socket = serving.socket("?after=2").await;
    let hello = socket.frame().await.unwrap();
    assert_eq!(json!([hello["seq"], hello["oldest_seq"]]), json!([2, 3]));
    assert_eq!(socket.events(2).await, [3, 4]);
}
