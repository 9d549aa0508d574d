//! Webhooks as people keep them, and where their secrets are not.

use fusion_testkit::MisbehavingHttp;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{added, is_signed, place, printed, received, tell, willing};
use crate::api::client::Serving;
use crate::support::{Project, contents, said};

/// Its secret, as it is made.
async fn is_made(project: &Project, url: &str) -> String {
    let add = format!(
        "webhook add {url}/x --name ops --allow-private --event task.*,run.x --severity warning+"
    );
    let unknown = said(project, &add).await.expect(2);
    unknown.says(&["'run.x' matches none"]);
    let add = add.replace(",run.x", ",workflow.*");
    let made = printed(project, &add).await;
    let expected = json!({
        "id": made["id"], "name": "ops", "url": format!("{url}/x"),
        "events": ["task.*", "workflow.*"], "severities": ["warning", "error", "critical"],
        "project_id": null, "allow_private": true, "state": "enabled", "reason": null,
        "cursor": made["cursor"], "failed_attempts": 0, "failing_since": null,
        "next_attempt_at": null, "old_secret_until": null, "created_at": made["created_at"],
        "updated_at": made["created_at"], "secret": made["secret"],
    });
    assert_eq!(made, expected);
    let taken = said(project, &add).await.expect(5);
    taken.says(&["webhook 'ops'"]);
    made["secret"].as_str().unwrap().to_owned()
}

/// After a rotation both secrets sign.
async fn is_rotated(project: &Project, receiver: &MisbehavingHttp, secret: &str) {
    let tested = printed(project, "webhook test ops").await;
    let is = (&tested["taken"], &tested["status"]);
    assert_eq!(is, (&json!(true), &json!(204)));
    is_signed(receiver.requests().last().unwrap(), secret);
    let rotated = printed(project, "webhook rotate ops").await;
    assert!(rotated["old_secret_until"].is_string(), "{rotated}");
    printed(project, "webhook test ops").await;
    let both = receiver.requests().pop().unwrap();
    is_signed(&both, secret);
    is_signed(&both, rotated["secret"].as_str().unwrap());
}

async fn is_switched(project: &Project) {
    let off = printed(project, "webhook disable ops").await;
    assert_eq!(off["state"], "disabled");
    assert_eq!(printed(project, "webhook get ops").await, off);
    let listed = printed(project, "webhook list").await;
    assert_eq!(listed, json!({ "webhooks": [off] }));
    let on = printed(project, "webhook enable ops").await;
    assert_eq!(on["state"], "enabled");
    let near = said(project, "webhook disable op").await.expect(3);
    near.says(&["did you mean 'ops'?"]);
}

/// The same commands, answers and exit codes whether there is a server or not.
async fn is_kept(project: &Project, receiver: &MisbehavingHttp) -> String {
    let secret = is_made(project, &receiver.url()).await;
    is_rotated(project, receiver, &secret).await;
    is_switched(project).await;
    said(project, "webhook remove ops").await.expect(0);
    let gone = said(project, "webhook get ops").await.expect(3);
    gone.says(&["there is no webhook 'ops'"]);
    secret
}

#[tokio::test]
async fn a_webhook_is_kept_by_the_same_commands_with_and_without_a_server() {
    let project = place();
    let receiver = willing().await;
    let mut secrets = vec![is_kept(&project, &receiver).await];
    let serving = Serving::on(&project).await;
    secrets.push(is_kept(&project, &receiver).await);
    let receiver = willing().await;
    secrets.push(added(&project, "stays", &receiver.url()).await);
    tell(&serving, "a").await;
    received(&receiver, 2).await;
    let shown = serving.get("/api/v1/webhooks").await.expect(200).body;
    let events = serving
        .get("/api/v1/events?limit=500")
        .await
        .expect(200)
        .body;
    serving.stop(Signal::TERM).await;
    for secret in secrets {
        let secret = secret.trim_start_matches("whsec_");
        assert!(!shown.contains(secret) && !events.contains(secret));
        for (path, content) in contents(&project.data_dir()) {
            let content = content.unwrap_or_default();
            let mut windows = content.windows(secret.len());
            assert!(!windows.any(|it| it == secret.as_bytes()), "{path:?}");
        }
    }
}

#[tokio::test]
async fn the_api_refuses_what_is_wrong_and_tells_all_of_it() {
    let project = place();
    let serving = Serving::on(&project).await;
    let new = json!({ "name": "ops", "url": "https://hooks.example/" });
    let with = |field: &str, value: Value| {
        let mut wrong = new.clone();
        wrong[field] = value;
        wrong
    };
    for (wrong, field) in [
        (with("url", json!("http://127.0.0.1/")), "/url"),
        (with("url", json!("https://a:b@hooks.example/")), "/url"),
        (with("url", Value::Null), "/url"),
        (with("events", json!(["nothing.*"])), "/events"),
        (with("severities", json!(["loud"])), "/severities"),
        (with("project_id", json!("shop")), "/project_id"),
        (with("secret", json!("mine")), "/secret"),
    ] {
        let refused = serving.post("/api/v1/webhooks", &wrong).await;
        let body = refused.body.clone();
        assert_eq!(refused.status, 400, "{wrong}: {body}");
        assert!(body.contains(field), "{wrong}: {body}");
    }
    let made = serving
        .post("/api/v1/webhooks", &new)
        .await
        .expect(201)
        .json();
    serving.post("/api/v1/webhooks", &new).await.expect(409);
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    let stale = serving.request("PATCH", &path).header("If-Match", "\"7\"");
    let off = json!({ "enabled": false });
    stale.json(&off).send().await.expect(412);
    let off = serving.request("PATCH", &path).json(&off).send().await;
    assert_eq!(off.expect(200).json()["state"], "disabled");
    let listed = serving.get("/api/v1/webhooks?state=enabled").await;
    assert_eq!(listed.expect(200).json()["total"], 0);
    serving.stop(Signal::TERM).await;
}
