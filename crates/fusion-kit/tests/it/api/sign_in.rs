//! Signing a browser in with a link that works once.

use futures::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::{Answer, Request, Serving};
use crate::support::{Project, wait_for};
use crate::terminal::Terminal;

/// A token of this scope: its id and itself.
async fn token(serving: &Serving, name: &str, scope: &str) -> (String, String) {
    let body = json!({ "name": name, "scope": scope });
    let made = serving.post("/api/v1/tokens", &body).await.expect(201);
    let text = |field: &str| made.json()[field].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

fn with(serving: &Serving, token: &str, method: &str, path: &str) -> Request {
    Request::new(serving.address, method, path)
        .header("Authorization", &format!("Bearer {token}"))
        .json(&json!({}))
}

async fn code(serving: &Serving, token: &str) -> String {
    let made = with(serving, token, "POST", "/api/v1/sessions/codes");
    let made = made.send().await.expect(201).json();
    made["code"].as_str().unwrap().to_owned()
}

/// The request of a browser that has a code and nothing else.
fn sign_in(serving: &Serving, code: &str) -> Request {
    Request::new(serving.address, "POST", "/api/v1/sessions").json(&json!({ "code": code }))
}

async fn signed_in(serving: &Serving, code: &str) -> (Value, String) {
    let made = sign_in(serving, code).send().await.expect(201).json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    (made, secret)
}

/// Who changed what, the newest last, but for what tokens of these tests were made.
async fn told(serving: &Serving) -> Vec<Value> {
    let log = serving
        .get("/api/v1/events?event_type=record.*&after=0")
        .await;
    let log = log.expect(200).json();
    let events = log["events"].as_array().unwrap().iter();
    events
        .map(|event| {
            let data = &event["data"];
            json!([data["actor"]["name"], data["action"], data["resource_type"]])
        })
        .collect()
}

#[tokio::test]
async fn a_code_gives_one_token_however_often_it_is_shown_at_once() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let code = code(&serving, &serving.token).await;
    let requests: Vec<Request> = (0..50).map(|_| sign_in(&serving, &code)).collect();
    let answers: Vec<Answer> = join_all(requests.iter().map(Request::send)).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![201], vec![401; 49]].concat());
    let tokens = serving.get("/api/v1/tokens").await.expect(200).json();
    assert_eq!(tokens["total"], 2, "{tokens:#}");
    let refused = answers.iter().find(|answer| answer.status == 401).unwrap();
    let refused = refused.json();
    assert_eq!(
        json!([refused["detail"], refused["hint"]]),
        json!([
            "the code is unknown, was used or is older than ten minutes",
            "make another link with: fusion-kit dashboard"
        ])
    );
}

#[tokio::test]
async fn who_signs_in_may_what_the_maker_of_the_link_may_and_no_longer() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let end = "2999-01-01T00:00:00Z";
    let (id, worker) = token(&serving, "worker", "operate").await;
    let (made, secret) = signed_in(&serving, &code(&serving, &worker).await).await;
    assert_eq!(
        json!([made["scope"], made["issuer"]]),
        json!(["operate", id])
    );
    let name = made["name"].as_str().unwrap();
    assert!(name.starts_with("browser ") && name.ends_with(" of worker"));
    let until = made["expires_at"].as_str().unwrap();
    assert!(*made["created_at"].as_str().unwrap() < *until && until < end);
    let ask = |method: &str, path: &str| with(&serving, &secret, method, path);
    let statuses = [
        ask("GET", "/api/v1/runs").send().await,
        ask("GET", "/api/v1/tokens").send().await,
        // Else one who was let in could stay for ever.
        ask("POST", "/api/v1/sessions/codes").send().await,
    ]
    .map(|answer| answer.status);
    assert_eq!(statuses, [200, 403, 403]);
    let seen = ask("GET", "/api/v1/sessions/current").send().await;
    let seen = seen.expect(200).json();
    assert_eq!(
        json!([seen["id"], seen["name"], seen["expires_at"]]),
        json!([made["id"], made["name"], made["expires_at"]])
    );

    // What was made and not used ends with the token, too.
    let unused = code(&serving, &worker).await;
    let revoke = serving.request("DELETE", &format!("/api/v1/tokens/{id}"));
    revoke.send().await.expect(204);
    ask("GET", "/api/v1/runs").send().await.expect(401);
    sign_in(&serving, &unused).send().await.expect(401);
}

#[tokio::test]
async fn a_session_is_listed_signs_out_and_can_be_taken_away_as_any_token() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let (made, secret) = signed_in(&serving, &code(&serving, &serving.token).await).await;
    let listed = project.run(["token", "list", "--json"]).await.expect(0);
    assert_eq!(listed.json()["tokens"][0]["name"], made["name"]);
    let sign_out = with(&serving, &secret, "DELETE", "/api/v1/sessions/current");
    sign_out.send().await.expect(204);
    sign_out.send().await.expect(401);

    let (made, secret) = signed_in(&serving, &code(&serving, &serving.token).await).await;
    let name = made["name"].as_str().unwrap();
    project.run(["token", "revoke", name]).await.expect(0);
    let look = with(&serving, &secret, "GET", "/api/v1/sessions/current");
    look.send().await.expect(401);

    // The token of the data directory is no session.
    let own = serving.request("DELETE", "/api/v1/sessions/current");
    own.send().await.expect(409);
    serving.get("/api/v1/runs").await.expect(200);
}

#[tokio::test]
async fn wrong_codes_are_told_to_wait_and_a_right_one_is_let_in_all_the_same() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let right = code(&serving, &serving.token).await;
    let mut last = 0;
    for guess in 0..70 {
        let answer = sign_in(&serving, &format!("guess {guess}")).send().await;
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            answer.status == 429
        );
        last = answer.status;
    }
    assert_eq!(last, 429);
    signed_in(&serving, &right).await;
}

#[tokio::test]
async fn a_page_of_another_site_signs_nobody_in() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let code = code(&serving, &serving.token).await;
    let ask = || sign_in(&serving, &code);
    let form = Request::new(serving.address, "POST", "/api/v1/sessions")
        .header("Content-Type", "text/plain")
        .body(json!({ "code": code }).to_string());
    let statuses = [
        ask().header("Origin", "http://evil.example").send().await,
        ask().header("Host", "evil.example").send().await,
        form.send().await,
    ]
    .map(|answer| answer.status);
    assert_eq!(statuses, [403, 421, 415]);
    signed_in(&serving, &code).await;
}

#[tokio::test]
async fn making_a_code_and_using_it_is_told_and_neither_code_nor_token_is() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let (_, worker) = token(&serving, "worker", "read").await;
    let before = told(&serving).await.len();
    let code = code(&serving, &worker).await;
    let (_, secret) = signed_in(&serving, &code).await;
    assert_eq!(
        told(&serving).await[before..],
        [
            json!(["worker", "created", "sign_in_code"]),
            json!(["worker", "used", "sign_in_code"]),
            json!(["worker", "created", "API token"]),
        ]
    );
    let log = serving.get("/api/v1/events").await.expect(200).body;
    assert!(!log.contains(&code) && !log.contains(&secret));
}

#[tokio::test]
async fn a_restart_ends_the_codes_and_not_the_sessions() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let unused = code(&serving, &serving.token).await;
    let (_, secret) = signed_in(&serving, &code(&serving, &serving.token).await).await;
    serving.stop(Signal::TERM).await;
    let serving = Serving::on(&project).await;
    sign_in(&serving, &unused).send().await.expect(401);
    let look = with(&serving, &secret, "GET", "/api/v1/runs");
    look.send().await.expect(200);
}

#[tokio::test]
async fn what_a_code_must_be_is_told_at_once() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let ask = |body: &Value| Request::new(serving.address, "POST", "/api/v1/sessions").json(body);
    let mut said = Vec::new();
    for body in [
        json!({}),
        json!({ "code": "" }),
        json!({ "code": "x".repeat(256) }),
        json!({ "code": 7, "server": "http://evil.example" }),
    ] {
        said.push(ask(&body).send().await.expect(400).json()["details"].clone());
    }
    let length = "/code: must have 1 to 255 characters";
    assert_eq!(
        said,
        [
            json!(["/code: is required"]),
            json!([length]),
            json!([length]),
            json!([
                "/server: there is no such field; known are: code",
                "/code: must be a text"
            ]),
        ]
    );
    let keyed = ask(&json!({ "code": "x" })).header("Idempotency-Key", "1");
    keyed.send().await.expect(400);
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_script_and_asks_nobody_else() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let bare = |path: &str| Request::new(serving.address, "GET", path);
    let page = bare("/sign-in").send().await.expect(200);
    let policy = &page.headers["content-security-policy"];
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let headers = ["referrer-policy", "cache-control", "x-content-type-options"];
    let headers = headers.map(|name| page.headers[name].as_str());
    assert_eq!(headers, ["no-referrer", "no-store", "nosniff"]);
    let mut kinds = Vec::new();
    for file in ["page.js", "page.css"] {
        assert!(page.body.contains(&format!("\"sign-in/{file}\"")));
        let answer = bare(&format!("/sign-in/{file}")).send().await.expect(200);
        assert!(!answer.body.contains("://"), "{}", answer.body);
        kinds.push(answer.headers["content-type"].clone());
    }
    assert_eq!(kinds, ["text/javascript", "text/css"]);
    assert!(!page.body.contains("://"), "{}", page.body);
    let root = bare("/").send().await.expect(307);
    assert_eq!(root.headers["location"], "sign-in");
}

#[tokio::test]
async fn dashboard_prints_a_link_to_the_server_that_there_is() {
    let project = Project::new();
    let none = project.run(["dashboard"]).await.expect(3);
    assert!(none.stderr.contains("no server owns the data directory"));
    let serving = Serving::on(&project).await;
    let link = project.run(["dashboard", "--json"]).await.expect(0).json();
    let link = link["url"].as_str().unwrap();
    let (page, code) = link.split_once("#code=").unwrap();
    assert_eq!(page, format!("http://{}/sign-in", serving.address));
    signed_in(&serving, code).await;
    let said = project.run(["dashboard"]).await.expect(0);
    assert!(said.stdout.starts_with(page) && said.stdout.lines().count() == 1);
    let (_, code) = said.stdout.trim().split_once("#code=").unwrap();
    signed_in(&serving, code).await;
}

#[tokio::test]
async fn serve_shows_a_link_to_a_person_and_to_nobody_else() {
    let project = Project::new();
    let terminal = Terminal::open(&project, &["serve", "--port", "0"]);
    let shown = wait_for("a link", || {
        let shown = terminal.shown();
        shown.contains("ten minutes").then_some(shown)
    })
    .await;
    let (before, rest) = shown.split_once("/sign-in#code=").unwrap();
    let (_, address) = before.rsplit_once("http://").unwrap();
    let code = rest.split_whitespace().next().unwrap();
    let body = json!({ "code": code });
    let answer = Request::new(address.parse().unwrap(), "POST", "/api/v1/sessions").json(&body);
    answer.send().await.expect(201);
    terminal.signal(Signal::TERM);
    terminal.finish(0).await;
}
