//! Runs that go into files, and come out of them, through a server.

use std::fs;

use serde_json::{Value, json};

use super::{FILE, elsewhere, exported, import, looks_as_it_was, members, newest};
use crate::api::client::{Request, Serving};
use crate::support::Project;

#[tokio::test]
async fn runs_go_through_a_server_as_they_go_without_one() {
    let from = exported().await;
    let serving = Serving::on(&from).await;
    let id = newest(&from).await;
    let here = from
        .run(["run", "export", &id, "beside.tar.zst"])
        .await
        .expect(0);
    let there = Project::new();
    let server = format!("http://{}", serving.address);
    let named = |line: &[&str]| {
        there
            .fusion_kit(line)
            .env("FUSION_SERVER", &server)
            .env("FUSION_TOKEN", &serving.token)
    };
    let through = named(&["run", "export", &id, "beside.tar.zst"])
        .finish()
        .await;
    assert_eq!((through.code, through.stdout), (Some(0), here.stdout));
    let same = |name: &str, project: &Project| {
        let mut all = members(&project.path().join(name));
        all.remove("manifest.json");
        all
    };
    let both = [
        same("beside.tar.zst", &from),
        same("beside.tar.zst", &there),
    ];
    assert!(both[0] == both[1]);
    // What is here already is told so, by whichever way.
    let again = ["run", "import", "beside.tar.zst", "--json"];
    let told = named(&again).finish().await.expect(0).json();
    assert_eq!(told["already"], true);
    let elsewhere = elsewhere(&from);
    let other = Serving::on(&elsewhere).await;
    let stored = import(&elsewhere).await;
    assert_eq!(stored["already"], false);
    looks_as_it_was(&from, &elsewhere).await;
    drop(other);
}

#[tokio::test]
async fn an_import_over_the_api_is_for_administrators_and_is_done_once() {
    let from = exported().await;
    let to = Project::new();
    let serving = Serving::on(&to).await;
    let bytes = fs::read(from.path().join(FILE)).unwrap();
    let path = "/api/v1/runs/import";
    let octets = "application/octet-stream";
    let send = |key: &'static str| {
        let request = serving.request("POST", path).header("Content-Type", octets);
        request.header("Idempotency-Key", key).body(bytes.clone())
    };
    others_are_refused(&serving, &bytes).await;
    let first = send("k").send().await.expect(200);
    let again = send("k").send().await.expect(200);
    assert_eq!(
        (&again.body, again.headers["idempotent-replayed"].as_str()),
        (&first.body, "true")
    );
    assert_eq!(first.json()["already"], false);
    let other = send("l").send().await.expect(200);
    assert_eq!(other.json()["already"], true);
    // A key counts too where there was nothing to do.
    let replayed = send("l").send().await.expect(200);
    assert_eq!(
        (
            &replayed.body,
            replayed.headers["idempotent-replayed"].as_str()
        ),
        (&other.body, "true")
    );
    let reused = serving.request("POST", path).header("Content-Type", octets);
    let reused = reused.header("Idempotency-Key", "l").body(b"x".to_vec());
    let reused = reused.send().await.expect(409).json();
    assert_eq!(reused["error"], "idempotency_key_reused");
    let told = serving
        .get("/api/v1/events?event_type=record.changed")
        .await
        .expect(200)
        .json();
    let told: Vec<&Value> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["message"])
        .collect();
    assert_eq!(
        told.len(),
        3,
        "the token, the run, who asked for it: {told:?}"
    );
}

/// Weaker tokens, other types, and what is cut off.
async fn others_are_refused(serving: &Serving, bytes: &[u8]) {
    let (path, octets) = ("/api/v1/runs/import", "application/octet-stream");
    let operate = json!({ "name": "o", "scope": "operate" });
    let made = serving
        .post("/api/v1/tokens", &operate)
        .await
        .expect(201)
        .json();
    let token = made["secret"].as_str().unwrap();
    let weak = Request::new(serving.address, "POST", path)
        .header("Authorization", &format!("Bearer {token}"))
        .header("Content-Type", octets);
    weak.body(bytes).send().await.expect(403);
    let json = serving.request("POST", path).json(&json!({}));
    json.send().await.expect(415);
    let broken = serving.request("POST", path).header("Content-Type", octets);
    let broken = broken
        .body(bytes[..100].to_vec())
        .send()
        .await
        .expect(400)
        .json();
    assert!(
        broken["detail"]
            .as_str()
            .unwrap()
            .contains("no whole export"),
        "{broken}"
    );
}
