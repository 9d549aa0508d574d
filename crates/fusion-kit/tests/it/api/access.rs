//! Who gets in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::{Answer, Request, Serving};
use crate::support::Project;

/// What is public, and what it answers to an empty body.
const OPEN: [(&str, u16); 4] = [
    ("/livez", 200),
    ("/readyz", 200),
    ("/api/v1/health", 200),
    // It wants a code instead.
    ("/api/v1/sessions", 400),
];

fn open(path: &str) -> Option<u16> {
    let found = OPEN.iter().find(|(open, _)| *open == path);
    found.map(|(_, status)| *status)
}

/// Every operation of the description: method and path, with an id that names nothing.
async fn operations(serving: &Serving) -> Vec<(String, String)> {
    let described = serving.get("/api/v1/openapi.json").await.expect(200).json();
    let mut found = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.replace("{id}", "019ab3c4-0000-7000-8000-000000000000");
            found.push((method.to_uppercase(), path));
        }
    }
    assert!(found.len() > 40, "{found:?}");
    found
}

async fn token(serving: &Serving, name: &str, scope: &str) -> String {
    let made = serving
        .post("/api/v1/tokens", &json!({ "name": name, "scope": scope }))
        .await;
    made.expect(201).json()["secret"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn with(serving: &Serving, token: &str, method: &str, path: &str) -> Request {
    Request::new(serving.address, method, path)
        .header("Authorization", &format!("Bearer {token}"))
        .json(&json!({}))
}

#[tokio::test]
async fn every_route_but_those_of_health_and_to_sign_in_wants_a_token() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    for (method, path) in operations(&serving).await {
        let bare = Request::new(serving.address, &method, &path).json(&json!({}));
        let wrong = [None, Some("Bearer fk_wrong"), Some("Basic YTpi")];
        for given in wrong {
            let request = match given {
                Some(value) => bare.clone().header("Authorization", value),
                None => bare.clone(),
            };
            let answer = request.send().await;
            if let Some(status) = open(&path) {
                assert_eq!(answer.status, status, "{method} {path}");
            } else {
                // After many of these the server tells to wait.
                assert!(
                    matches!(answer.status, 401 | 429),
                    "{method} {path} {answer:?}"
                );
                assert_eq!(answer.headers["content-type"], "application/problem+json");
            }
        }
    }
    // Who has a token is let in all the same.
    serving.get("/api/v1/runs").await.expect(200);
}

#[tokio::test]
async fn a_scope_suffices_for_what_it_says_and_for_nothing_more() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let reader = token(&serving, "reader", "read").await;
    let worker = token(&serving, "worker", "operate").await;
    for (method, path) in operations(&serving).await {
        if open(&path).is_some() || path.ends_with("/stream") {
            continue;
        }
        let is_own = path.ends_with("/ws/tickets") || path.contains("/sessions/");
        let is_look = method == "GET" || is_own;
        let is_admin = path.contains("/tokens")
            || path.contains("/webhooks")
            || path.ends_with("/runs/import")
            || path.ends_with("/runs/gc")
            || (method == "DELETE" && path.contains("/runs/"));
        let is_keys = is_admin || (path.contains("/providers") && !is_look);
        let may = [is_look && !is_keys, !is_keys];
        for (token, may) in [&reader, &worker].into_iter().zip(may) {
            let answer = with(&serving, token, &method, &path).send().await;
            assert_eq!(answer.status != 403, may, "{method} {path} {answer:?}");
        }
    }
}

/// Who sends one may mean that nothing is to be changed.
#[tokio::test]
async fn what_changes_something_refuses_a_parameter_that_it_does_not_know() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let mut taken = Vec::new();
    for (method, path) in operations(&serving).await {
        if method == "GET" || path == "/api/v1/runs/import" {
            continue;
        }
        let asked = serving.request(&method, &format!("{path}?no_such=1"));
        let answer = asked.json(&json!({})).send().await;
        if answer.status != 400 || !answer.json().to_string().contains("no_such") {
            taken.push((method, path, answer.status));
        }
    }
    assert_eq!(taken, []);
}

#[tokio::test]
async fn a_token_that_was_taken_away_is_refused_at_once() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let secret = token(&serving, "short", "read").await;
    let look = || with(&serving, &secret, "GET", "/api/v1/runs");
    look().send().await.expect(200);
    let tokens = serving.get("/api/v1/tokens").await.expect(200);
    assert!(!tokens.body.contains(&secret), "a token is shown once");
    let id = tokens.json()["tokens"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let revoke = serving.request("DELETE", &format!("/api/v1/tokens/{id}"));
    revoke.send().await.expect(204);
    look().send().await.expect(401);
    revoke.send().await.expect(204);
}

#[tokio::test]
async fn a_token_that_has_expired_is_refused() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let past = json!({ "name": "old", "scope": "read", "expires_at": "2020-01-01T00:00:00Z" });
    let answer = serving
        .post("/api/v1/tokens", &past)
        .await
        .expect(400)
        .json();
    assert_eq!(answer["details"], json!(["/expires_at: has passed"]));
}

#[tokio::test]
async fn a_ticket_opens_one_socket() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let ticket = serving
        .request("POST", "/api/v1/ws/tickets")
        .send()
        .await
        .expect(201)
        .json();
    let path = format!(
        "/api/v1/ws/events?ticket={}",
        ticket["ticket"].as_str().unwrap()
    );
    let open = Request::new(serving.address, "GET", &path)
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    // Let in, but without `Connection: upgrade` it is no handshake.
    open.send().await.expect(400);
    open.send().await.expect(401);
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_whatever_it_shows() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let port = serving.address.port();
    let ask = |host: &str, origin: Option<&str>| {
        let request = serving.request("GET", "/api/v1/runs").header("Host", host);
        match origin {
            Some(origin) => request.header("Origin", origin),
            None => request,
        }
    };
    let own = format!("127.0.0.1:{port}");
    let statuses = [
        ask(&own, None).send().await,
        ask(&own, Some(&format!("http://{own}"))).send().await,
        ask(&format!("evil.example:{port}"), None).send().await,
        ask(&own, Some("http://evil.example")).send().await,
        ask(&own, Some("null")).send().await,
        ask(&own, None).header("Host", "evil.example").send().await,
    ]
    .map(|answer| answer.status);
    assert_eq!(statuses, [200, 200, 421, 403, 403, 421]);
    let answer = ask(&own, Some(&format!("http://{own}"))).send().await;
    assert_eq!(answer.headers.get("access-control-allow-origin"), None);
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["cache-control"], "no-store");
}

const OPS: &str = "https://ops.example";

/// What an answer says of CORS, and whether caches are told that it depends on who asks.
fn cors(answer: &Answer) -> (u16, BTreeMap<&str, &str>, bool) {
    let headers = &answer.headers;
    let said = headers.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("access-control-")?;
        Some((name, value.as_str()))
    });
    let varies = headers.get("vary").is_some_and(|it| it.contains("origin"));
    (answer.status, said.collect(), varies)
}

#[tokio::test]
async fn pages_of_named_sites_may_call_with_a_token_and_never_with_what_the_browser_keeps() {
    let mut project = Project::new();
    project.set(
        "API_CORS_ORIGINS",
        "https://ops.example, http://localhost:3000",
    );
    let serving = Serving::on(&project).await;
    let read =
        "content-disposition,etag,location,retry-after,idempotent-replayed,x-request-id,x-trace-id";
    let let_in = BTreeMap::from([("allow-origin", OPS), ("expose-headers", read)]);
    let ask = |path: &str, origin: &str| {
        let request = serving.request("GET", path).header("Origin", origin);
        request.header("Cookie", "session=kept")
    };
    let listed = ask("/api/v1/runs", OPS).send().await;
    assert_eq!(cors(&listed), (200, let_in.clone(), true));
    // What is refused can be read by the page, too.
    let none = ask("/api/v1/runs/none", OPS).send().await;
    assert_eq!(cors(&none), (400, let_in.clone(), true));
    let stranger = Request::new(serving.address, "GET", "/api/v1/runs").header("Origin", OPS);
    assert_eq!(cors(&stranger.send().await), (401, let_in, true));
    let evil = ask("/api/v1/runs", "https://evil.example").send().await;
    let hidden = BTreeMap::from([("expose-headers", read)]);
    assert_eq!(cors(&evil), (403, hidden, true));
    let before = Request::new(serving.address, "OPTIONS", "/api/v1/runs")
        .header("Origin", OPS)
        .header("Access-Control-Request-Method", "POST");
    let sent = "authorization,content-type,if-match,if-none-match,idempotency-key,last-event-id,traceparent,x-request-id";
    let allowed = BTreeMap::from([
        ("allow-headers", sent),
        ("allow-methods", "GET,HEAD,POST,PUT,PATCH,DELETE"),
        ("allow-origin", OPS),
        ("max-age", "600"),
    ]);
    assert_eq!(cors(&before.send().await), (200, allowed, true));
}

#[tokio::test]
async fn without_named_sites_nothing_is_said_of_cors() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    for method in ["GET", "OPTIONS"] {
        let page = serving.request(method, "/api/v1/runs");
        let page = page.header("Origin", OPS).send().await;
        assert_eq!(cors(&page), (403, BTreeMap::new(), false));
    }
}

#[tokio::test]
async fn a_site_that_is_no_origin_is_refused_at_the_start() {
    for wrong in ["*", "ops.example", "https://ops.example/"] {
        let mut project = Project::new();
        project.set("API_CORS_ORIGINS", wrong);
        let refused = project.run(["serve", "--port", "0"]).await.expect(2);
        refused.says(&[&format!("API_CORS_ORIGINS has '{wrong}'"), "as browsers do"]);
    }
}

#[tokio::test]
async fn who_changed_something_is_in_the_log() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let worker = token(&serving, "ci", "operate").await;
    let make = with(&serving, &worker, "POST", "/api/v1/projects");
    let made = make
        .body(json!({ "name": "p" }).to_string())
        .send()
        .await
        .expect(201)
        .json();
    let events = serving
        .get("/api/v1/events?event_type=record.*&limit=1")
        .await
        .expect(200)
        .json();
    let Value::Array(events) = &events["events"] else {
        panic!("{events}")
    };
    let data = &events[0]["data"];
    assert_eq!(
        json!([
            data["actor"]["name"],
            data["action"],
            data["resource_type"],
            data["resource_id"]
        ]),
        json!(["ci", "created", "project", made["id"]])
    );
    let log = serving.get("/api/v1/events").await.expect(200);
    assert!(!log.body.contains(&worker) && !log.body.contains(&serving.token));
}
