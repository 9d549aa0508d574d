//! `provider` against a real server on this machine: what is stored, what is told, what is refused.

use std::fs;

use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::crash::die_at;
use crate::model_server::{InTurn, server, text};
use crate::support::{Finished, Project, contents, wait_for};
use crate::terminal::Terminal;

/// A key that must turn up nowhere.
const KEY: &str = "sk-canary-7Tq2mW9x";

/// A port that nobody listens on.
const NOBODY: &str = "http://127.0.0.1:9/v1";

/// A project whose master key is in its own folder.
pub(crate) fn project() -> Project {
    let mut project = Project::new();
    let key = project.path().join("keys/master.key");
    project.set("FUSION_MASTER_KEY_FILE", key.display().to_string());
    project
}

/// A server with the model `tiny` that answers like this, once for each call.
pub(crate) async fn answering(
    answers: impl IntoIterator<Item = ResponseTemplate>,
) -> (MockServer, String) {
    let server = server("tiny", InTurn::new(answers)).await;
    let url = format!("{}/v1", server.uri());
    (server, url)
}

/// Adds a provider whose key is [`KEY`].
pub(crate) async fn add(project: &Project, name: &str, url: &str, more: &[&str]) -> Finished {
    let add = [
        "provider",
        "add",
        name,
        "--base-url",
        url,
        "--key-env",
        "CANARY",
    ];
    project
        .fusion_kit(add.iter().chain(more))
        .env("CANARY", KEY)
        .finish()
        .await
}

async fn json_of(project: &Project, command: &[&str]) -> Value {
    let said = project.run(command.iter().chain(&["--json"])).await;
    said.expect(0).json()
}

/// How many lists of models were asked for.
async fn lists_asked(server: &MockServer) -> usize {
    let asked = server.received_requests().await.unwrap();
    asked.iter().filter(|it| it.method == "GET").count()
}

#[tokio::test]
async fn an_added_provider_is_listed_shown_asked_and_removed() {
    let (server, url) = answering([text("ready")]).await;
    let project = project();
    let added = add(
        &project,
        "mine",
        &url,
        &["--requests-per-minute", "60", "--json"],
    )
    .await;
    let added = added.expect(0).json();
    assert_eq!(added["replaced"], false);
    let shown = json_of(&project, &["provider", "show", "mine"]).await;
    assert_eq!(added["provider"], shown);
    assert_eq!(
        (
            &shown["type"],
            &shown["base_url"],
            &shown["key"],
            &shown["enabled"]
        ),
        (
            &json!("openai-compatible"),
            &json!(url),
            &json!("stored"),
            &json!(true)
        )
    );
    assert_eq!(shown["requests_per_minute"], 60);
    let listed = json_of(&project, &["provider", "list"]).await;
    let names: Vec<&Value> = listed["providers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(
        names,
        ["mine", "openai-compatible", "openrouter", "scripted"]
    );
    assert_eq!(lists_asked(&server).await, 0, "adding asks nobody");

    let tested = json_of(&project, &["provider", "test", "mine"]).await;
    assert_eq!(
        (
            &tested["asked"],
            &tested["answered"],
            &tested["cost_source"]
        ),
        (&json!("tiny"), &json!("tiny"), &json!("unknown"))
    );
    assert_eq!(tested["usage"]["input_tokens"], 100);
    let turns = server.received_requests().await.unwrap();
    let sent = turns.last().unwrap().headers["authorization"]
        .to_str()
        .unwrap();
    assert_eq!(sent, format!("Bearer {KEY}"));
}

#[tokio::test]
async fn a_removed_provider_is_gone_with_its_key() {
    let project = project();
    add(&project, "mine", NOBODY, &[]).await.expect(0);
    project.run(["provider", "remove", "mine"]).await.expect(0);
    let gone = project.run(["provider", "show", "mine"]).await.expect(3);
    gone.says(&["there is no provider 'mine'"]);
    for (path, bytes) in contents(project.path()) {
        let bytes = bytes.unwrap_or_default();
        let found = bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes());
        assert!(!found, "the key is in {}", path.display());
    }
}

#[tokio::test]
async fn a_failing_test_says_why_and_what_to_do() {
    let answer = |status: u16, message: &str| {
        ResponseTemplate::new(status).set_body_json(json!({ "error": { "message": message } }))
    };
    let project = project();
    for (answer, code, says) in [
        (
            answer(401, "no such key"),
            4,
            ["refused the request (401)", "--key-env VAR --replace"],
        ),
        (
            answer(402, "no credit"),
            4,
            [
                "wants to be paid first: no credit",
                "add credit at the provider",
            ],
        ),
        (
            answer(429, "slowly"),
            9,
            ["limits the requests: slowly", "try again later"],
        ),
        (
            answer(400, "no"),
            2,
            ["can't do this request (400): no", "error:"],
        ),
    ] {
        let (_server, url) = answering([answer]).await;
        add(&project, "mine", &url, &["--replace"]).await.expect(0);
        let failed = project.run(["provider", "test", "mine"]).await.expect(code);
        assert_eq!(failed.stdout, "");
        failed.says(&says);
    }
    add(&project, "mine", NOBODY, &["--replace"])
        .await
        .expect(0);
    for command in ["test", "models"] {
        let failed = project.run(["provider", command, "mine"]).await.expect(10);
        failed.says(&[
            "can't be reached at http://127.0.0.1:9/v1",
            "does the server run at",
        ]);
    }
    let (_server, url) = answering([text("ready")]).await;
    add(&project, "mine", &url, &["--replace"]).await.expect(0);
    let failed = project
        .run(["provider", "test", "mine", "--model", "tny"])
        .await;
    failed
        .expect(3)
        .says(&["mine has no model 'tny'", "did you mean 'tiny'?"]);
}

#[tokio::test]
async fn a_list_of_models_is_kept_until_it_is_read_anew() {
    let (server, url) = answering([text("ready")]).await;
    let project = project();
    add(&project, "mine", &url, &[]).await.expect(0);
    let models = ["provider", "models", "mine"];
    let read = json_of(&project, &models).await;
    assert_eq!((&read["kept"], &read["total"]), (&json!(false), &json!(1)));
    let kept = json_of(&project, &models).await;
    assert_eq!(
        (&kept["kept"], &kept["read_at"]),
        (&json!(true), &read["read_at"])
    );
    assert_eq!(kept["models"], read["models"]);
    assert_eq!(lists_asked(&server).await, 1);
    let anew = json_of(&project, &["provider", "models", "mine", "--refresh"]).await;
    assert_eq!(
        (&anew["kept"], lists_asked(&server).await),
        (&json!(false), 2)
    );
    let none = json_of(&project, &["provider", "models", "mine", "--search", "big"]).await;
    assert_eq!((&none["models"], &none["total"]), (&json!([]), &json!(1)));
}

#[tokio::test]
async fn what_is_left_is_unknown_where_it_is_not_told() {
    let (_server, url) = answering([text("ready")]).await;
    let project = project();
    add(&project, "mine", &url, &[]).await.expect(0);
    let quota = project.run(["provider", "quota", "mine"]).await.expect(0);
    assert!(
        quota
            .stdout
            .starts_with("what mine still allows is unknown"),
        "{quota:?}"
    );
    let quota = json_of(&project, &["provider", "quota", "mine"]).await;
    assert_eq!(quota, json!({ "provider": "mine", "limits": [] }));
}

/// What is added, the exit code, and what is said.
const REFUSED: [(&str, i32, &str); 13] = [
    ("Mine", 2, "'Mine' can't be the name of a provider"),
    ("scripted", 2, "'scripted' is the built-in provider"),
    ("ollma", 2, "did you mean 'ollama'?"),
    ("a --type opnrouter", 2, "did you mean 'openrouter'?"),
    ("a --type openai-compatible", 2, "needs a base URL"),
    ("a --base-url nonsense", 2, "the base URL is not one"),
    (
        "a --base-url http://example.org/v1",
        2,
        "allow it with --allow-plain-http\n",
    ),
    (
        "a --base-url https://192.168.1.5/v1",
        2,
        "allow it with --allow-private-addresses\n",
    ),
    (
        "a --base-url https://me:pw@a.org/v1",
        2,
        "contains a user or password",
    ),
    ("ollama --key-env NOT_SET", 4, "NOT_SET is not set"),
    (
        "ollama --key-env sk-canary-1",
        2,
        "takes the name of an environment variable",
    ),
    (
        "ollama --key-env canary1",
        4,
        "the variable that --key-env names is not set",
    ),
    ("openrouter", 4, "set OPENROUTER_API_KEY"),
];

#[tokio::test]
async fn a_provider_that_can_not_be_is_refused_and_leaves_nothing() {
    let project = project();
    for (arguments, code, says) in REFUSED {
        let add = ["provider", "add"].into_iter().chain(arguments.split(' '));
        let refused = project.run(add).await.expect(code);
        assert!(refused.stderr.contains(says), "{arguments}: {refused:?}");
        assert!(
            !refused.stderr.contains("canary"),
            "{arguments}: {refused:?}"
        );
    }
    let long = format!("https://example.org/{}", "x".repeat(2048));
    let refused = project
        .run(["provider", "add", "a", "--base-url", &long])
        .await;
    refused
        .expect(2)
        .says(&["the base URL has more than 2048 bytes"]);
    for key in ["x".repeat(8193), "two words".to_owned()] {
        let refused = project
            .fusion_kit([
                "provider",
                "add",
                "a",
                "--base-url",
                NOBODY,
                "--key-env",
                "K",
            ])
            .env("K", &key)
            .finish()
            .await
            .expect(2);
        assert!(!refused.stderr.contains(&key), "{refused:?}");
    }
    assert_eq!(fs::read_dir(project.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_taken_name_is_refused_and_a_key_does_not_move_to_another_base_url() {
    let project = project();
    add(&project, "mine", NOBODY, &[]).await.expect(0);
    let again = ["provider", "add", "mine", "--base-url", NOBODY];
    let taken = project.run(again).await.expect(5);
    taken.says(&[
        "there is already a provider 'mine'",
        "provider add mine --replace",
    ]);

    let replace = again
        .iter()
        .chain(&["--replace", "--max-concurrent", "2", "--json"]);
    let replaced = project.run(replace).await.expect(0).json();
    assert_eq!(replaced["replaced"], true);
    assert_eq!(
        (
            &replaced["provider"]["key"],
            &replaced["provider"]["max_concurrent"]
        ),
        (&json!("stored"), &json!(2))
    );
    let elsewhere = [
        "provider",
        "add",
        "mine",
        "--base-url",
        "http://127.0.0.1:10/v1",
        "--replace",
    ];
    let refused = project.run(elsewhere).await.expect(4);
    refused.says(&["the stored key of mine belongs to http://127.0.0.1:9/v1"]);
    project.run(["verify"]).await.expect(0);
}

#[tokio::test]
async fn the_key_comes_from_the_vendors_variable_for_the_vendors_own_place_only() {
    let mut project = project();
    project.set("OPENROUTER_API_KEY", KEY);
    let added = json_of(&project, &["provider", "add", "openrouter"]).await;
    assert_eq!(added["provider"]["key"], "stored");
    let elsewhere = [
        "provider",
        "add",
        "proxy",
        "--type",
        "openrouter",
        "--base-url",
        NOBODY,
    ];
    let refused = project.run(elsewhere).await.expect(4);
    refused.says(&["proxy needs a key and none is given"]);
}

#[tokio::test]
async fn a_key_may_stand_in_dot_env() {
    let project = project();
    project.write(".env", format!("TEAM_KEY={KEY}\n"));
    let add = [
        "provider",
        "add",
        "team",
        "--base-url",
        NOBODY,
        "--key-env",
        "TEAM_KEY",
    ];
    let added = json_of(&project, &add).await;
    assert_eq!(added["provider"]["key"], "stored");
}

#[tokio::test]
async fn detect_tells_what_answers_and_adds_it_once() {
    let (server, _url) = answering([text("ready")]).await;
    let port = server.address().port().to_string();
    let project = project();
    let detect = ["provider", "detect", "--port", port.as_str()];
    let found = project.run(detect).await.expect(0).stdout;
    let add = format!(
        "add it: fusion-kit provider add openai-compatible --type openai-compatible --base-url http://127.0.0.1:{port}/v1"
    );
    assert!(found.contains(&add) && found.contains("(tiny)"), "{found}");
    let yes = detect.iter().chain(&["--yes", "--json"]);
    let added = project.run(yes).await.expect(0).json();
    assert_eq!(added["servers"][0]["added"], true);
    let again = project.run(detect).await.expect(0).stdout;
    assert!(
        again.contains("is the provider openai-compatible"),
        "{again}"
    );

    let strange = MockServer::start().await;
    let page = ResponseTemplate::new(200).set_body_string("<html>router</html>");
    Mock::given(method("GET"))
        .respond_with(page)
        .mount(&strange)
        .await;
    let port = strange.address().port().to_string();
    let none = project.run(["provider", "detect", "--port", &port]).await;
    assert!(none.expect(0).stdout.starts_with("no model server answers"));
}

#[tokio::test]
async fn a_death_at_any_commit_of_add_leaves_a_usable_store() {
    let (_server, url) = answering([text("ready")]).await;
    let mut deaths = 0;
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
    ] {
        for passing in 0.. {
            let project = project();
            let add = ["provider", "add", "mine", "--base-url", url.as_str()];
            if die_at(&project, &add, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            let listed = json_of(&project, &["provider", "list"]).await;
            let known = listed["providers"].as_array().unwrap().iter();
            let is_there = known.clone().any(|it| it["name"] == "mine");
            let again = project.run(add).await;
            again.expect(if is_there { 5 } else { 0 });
            project.run(["provider", "test", "mine"]).await.expect(0);
            project.run(["verify"]).await.expect(0);
        }
    }
    assert!(
        deaths >= 2,
        "no commit was hit: build with the feature failpoints"
    );
}

#[tokio::test]
async fn on_a_terminal_the_key_is_asked_for_and_not_shown() {
    let project = project();
    let mut terminal = Terminal::open(&project, &["provider", "add", "openrouter"]);
    wait_for("the question", || terminal.hides_typing().then_some(())).await;
    terminal.type_line(KEY);
    let screen = terminal.finish(0).await;
    assert!(
        screen.contains("key for https://openrouter.ai/api/v1 (not shown): "),
        "{screen}"
    );
    assert!(screen.contains("its key is stored encrypted"), "{screen}");
    assert!(!screen.contains(KEY), "{screen}");
    let shown = json_of(&project, &["provider", "show", "openrouter"]).await;
    assert_eq!(shown["key"], "stored");
}
