//! Changes: once, whole, and not over what somebody else has written.

use std::collections::BTreeSet;

use futures::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Answer, Serving};
use crate::support::Project;

async fn keyed(serving: &Serving, key: &str, body: &Value) -> Answer {
    let request = serving.request("POST", "/api/v1/projects").json(body);
    request.header("Idempotency-Key", key).send().await
}

#[tokio::test]
async fn the_same_key_sent_50_times_at_once_makes_one_row_and_gives_one_answer() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let body = json!({ "name": "one" });
    let answers = join_all((0..50).map(|_| keyed(&serving, "k", &body))).await;
    let bodies: BTreeSet<(u16, String)> = answers
        .iter()
        .map(|answer| (answer.status, answer.body.clone()))
        .collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(bodies.first().unwrap().0, 201);
    let firsts = answers
        .iter()
        .filter(|answer| !answer.headers.contains_key("idempotent-replayed"));
    assert_eq!(firsts.count(), 1);
    let listed = serving.get("/api/v1/projects").await.expect(200).json();
    assert_eq!(listed["total"], 1);
    let told = serving
        .get("/api/v1/events?event_type=record.changed")
        .await
        .expect(200)
        .json();
    assert_eq!(told["events"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    keyed(&serving, "k", &json!({ "name": "one" }))
        .await
        .expect(201);
    let reused = keyed(&serving, "k", &json!({ "name": "two" }))
        .await
        .expect(409)
        .json();
    assert_eq!(reused["error"], "idempotency_key_reused");
    keyed(&serving, "l", &json!({ "name": "one" }))
        .await
        .expect(409);
    keyed(&serving, "", &json!({ "name": "three" }))
        .await
        .expect(400);
    keyed(&serving, &"k".repeat(256), &json!({ "name": "three" }))
        .await
        .expect(400);
    let elsewhere = serving
        .request("POST", "/api/v1/capabilities")
        .json(&json!({ "name": "one" }));
    elsewhere
        .header("Idempotency-Key", "k")
        .send()
        .await
        .expect(201);
}

#[tokio::test]
async fn an_answer_that_was_lost_to_a_kill_is_given_again() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let body = json!({ "name": "one", "metadata": { "b": 1, "a": [2, { "z": null }] } });
    let first = keyed(&serving, "k", &body).await.expect(201);
    serving.stop(Signal::KILL).await;
    let serving = Serving::on(&project).await;
    let again = keyed(&serving, "k", &body).await.expect(201);
    assert_eq!(again.body, first.body, "to the byte");
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(serving.get("/api/v1/projects").await.json()["total"], 1);
}

#[tokio::test]
async fn a_write_over_what_another_has_written_is_refused() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let made = serving
        .post("/api/v1/projects", &json!({ "name": "p" }))
        .await
        .expect(201)
        .json();
    let path = format!("/api/v1/projects/{}", made["id"].as_str().unwrap());
    let read = serving.get(&path).await.expect(200);
    let tag = read.headers["etag"].as_str();
    let unchanged = serving
        .request("GET", &path)
        .header("If-None-Match", tag)
        .send()
        .await;
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
    let change = |text: &str| {
        let request = serving
            .request("PATCH", &path)
            .json(&json!({ "description": text }));
        request.header("If-Match", tag)
    };
    let changed = change("mine").send().await.expect(200);
    assert_ne!(changed.headers["etag"], tag);
    assert_eq!(changed.json()["description"], "mine");
    change("yours").send().await.expect(412);
    assert_eq!(serving.get(&path).await.json()["description"], "mine");
    let remove = serving.request("DELETE", &path);
    remove
        .clone()
        .header("If-Match", tag)
        .send()
        .await
        .expect(412);
    remove.send().await.expect(204);
    let gone = serving.get(&path).await.expect(404).json();
    assert_eq!(
        json!([gone["resource_type"], gone["resource_id"]]),
        json!(["project", made["id"]])
    );
}

#[tokio::test]
async fn a_page_follows_another_while_rows_are_added() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let add = async |number: usize| {
        let body = json!({ "name": format!("c{number}") });
        serving
            .post("/api/v1/capabilities", &body)
            .await
            .expect(201);
    };
    for number in 0..7 {
        add(number).await;
    }
    let mut names = Vec::new();
    let mut path = "/api/v1/capabilities?limit=2".to_owned();
    loop {
        let page = serving.get(&path).await.expect(200).json();
        let rows = page["capabilities"].as_array().unwrap().clone();
        names.extend(
            rows.iter()
                .map(|row| row["name"].as_str().unwrap().to_owned()),
        );
        add(100 + names.len()).await;
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/api/v1/capabilities?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(names, ["c6", "c5", "c4", "c3", "c2", "c1", "c0"]);
}

#[tokio::test]
async fn a_key_of_a_provider_goes_in_and_comes_out_nowhere() {
    let mut project = Project::new();
    let key_file = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key_file);
    let serving = Serving::on(&project).await;
    let body = json!({
        "name": "mine", "provider_type": "openai-compatible",
        "api_endpoint": "http://127.0.0.1:9/v1", "credentials": "canary-4711",
        "rate_limits": { "requests_per_minute": 5 },
    });
    let made = serving.request("POST", "/api/v1/providers").json(&body);
    let made = made.header("Idempotency-Key", "k").send().await.expect(201);
    let row = made.json();
    assert_eq!(
        json!([row["has_credentials"], row["rate_limits"], row["enabled"]]),
        json!([true, { "requests_per_minute": 5, "tokens_per_minute": null }, true])
    );
    let path = format!("/api/v1/providers/{}", row["id"].as_str().unwrap());
    let off = serving
        .request("PATCH", &path)
        .json(&json!({ "enabled": false }))
        .send()
        .await;
    assert_eq!(off.expect(200).json()["enabled"], false);
    for path in [path.as_str(), "/api/v1/providers", "/api/v1/events"] {
        let shown = serving.get(path).await.expect(200);
        assert!(!shown.body.contains("canary"), "{path}");
    }
    assert!(!made.body.contains("canary"));
    serving.request("DELETE", &path).send().await.expect(204);
    let ended = serving.stop(Signal::TERM).await.expect(0);
    assert!(!ended.stderr.contains("canary"));
    for (file, content) in project.contents() {
        let content = content.unwrap_or_default();
        assert!(
            !content.windows(6).any(|part| part == b"canary"),
            "{}",
            file.display()
        );
    }
}
