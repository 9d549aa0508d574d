//! What `serve` asks for and says.

use fusion_cli::Size;
use serde_json::json;

use crate::support::{Fake, Streams, fusion_kit, fusion_kit_on, problem};

fn ready() -> Fake {
    Fake {
        report: json!({
            "url": "http://127.0.0.1:8000", "token_file": "/my data/token",
            "data_dir": "/my data", "pid": 7, "version": "0.1.0",
        }),
        ..Fake::default()
    }
}

#[tokio::test]
async fn a_server_says_where_it_listens_and_how_to_get_in() {
    let said = fusion_kit("serve", &ready()).await;
    let out = "\
fusion-kit serves http://127.0.0.1:8000
  data   /my data
  token  /my data/token
  try    curl -H \"Authorization: Bearer $(cat '/my data/token')\" http://127.0.0.1:8000/api/v1/runs
  page   fusion-kit dashboard prints a link to sign a browser in
";
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (0, out, "")
    );
}

#[tokio::test]
async fn what_is_served_is_told_as_json_and_asked_as_typed() {
    let backend = ready();
    let line = "serve --host 0.0.0.0 --port 0 --allow-plain-http --json";
    let said = fusion_kit(line, &backend).await;
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told, backend.report);
    let asked = r#"ServeRequest { host: Some("0.0.0.0"), port: Some(0), allow_plain_http: true, api: true, worker: true, capacity: 10000, audience: Others, open: false }"#;
    assert_eq!(*backend.asked.lock().unwrap(), [asked]);
    let said = fusion_kit("serve", &Fake::refusing(problem("the port is taken"))).await;
    assert_eq!(
        (said.code, said.err.as_str()),
        (10, "error: the port is taken\n")
    );
    assert_eq!(fusion_kit("serve --port 65536", &backend).await.code, 2);
}

#[tokio::test]
async fn a_person_at_a_terminal_is_shown_a_link_to_sign_in() {
    let window = Streams::Window(Size {
        columns: 120,
        rows: 40,
    });
    let said = fusion_kit_on(window, "serve", &ready()).await;
    let page = "  page   http://127.0.0.1:8000/sign-in#code=abc  (works once, for ten minutes)\n";
    assert!(said.out.ends_with(page), "{}", said.out);
    let said = fusion_kit_on(window, "serve --json", &ready()).await;
    assert!(!said.out.contains("abc"), "{}", said.out);
}

#[tokio::test]
async fn dashboard_prints_a_link_and_nothing_else_on_stdout() {
    let url = "https://fusion.example/sign-in#code=abc";
    let backend = Fake {
        report: json!({ "url": url, "expires_at": "2026-11-26T12:00:00Z" }),
        ..Fake::default()
    };
    let said = fusion_kit("dashboard", &backend).await;
    let told = "open it in a browser: it works once, for ten minutes\n";
    assert_eq!(
        (said.code, said.out, said.err.as_str()),
        (0, format!("{url}\n"), told)
    );
    let said = fusion_kit("dashboard --json", &backend).await;
    let printed: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(printed, backend.report);
}

#[tokio::test]
async fn a_server_in_the_background_says_where_it_is_and_how_it_is_ended() {
    let mut backend = ready();
    backend.report["log_file"] = json!("/my data/server.log");
    let line = "serve --detach --open --port 0 --data-dir d";
    let said = fusion_kit(line, &backend).await;
    let out = "\
fusion-kit serves http://127.0.0.1:8000 in the background
  pid    7
  data   /my data
  log    /my data/server.log
  end    fusion-kit down --data-dir d
";
    let err = "\
warning: no browser was opened: there is none
  help: fusion-kit dashboard --data-dir d prints a link to open
";
    assert_eq!(
        (said.code, said.out.as_str(), said.err.as_str()),
        (0, out, err)
    );
    let asked = r#"start_server ServeRequest { host: None, port: Some(0), allow_plain_http: false, api: true, worker: true, capacity: 10000, audience: Others, open: true } ["--data-dir=d"]"#;
    assert_eq!(*backend.asked.lock().unwrap(), [asked, "open_browser"]);

    let backend = ready();
    fusion_kit("serve --detach --data-dir d -vv", &backend).await;
    let asked = backend.asked.lock().unwrap().join("");
    assert!(asked.ends_with(r#" ["--data-dir=d", "-vv"]"#), "{asked}");
}

#[tokio::test]
async fn a_server_in_the_background_that_answers_no_requests_is_ended_like_any_other() {
    let mut backend = ready();
    backend.report["url"] = json!("");
    backend.report["log_file"] = json!("/my data/server.log");
    let said = fusion_kit("serve --detach --roles worker", &backend).await;
    let out = "\
fusion-kit drives runs in the background
  pid    7
  data   /my data
  log    /my data/server.log
  end    fusion-kit down
";
    assert_eq!((said.code, said.out.as_str()), (0, out));
    let said = fusion_kit("down --now", &backend).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "the server (pid 7) has ended\n")
    );
    let asked = backend.asked.lock().unwrap().last().cloned();
    assert_eq!(asked.as_deref(), Some("stop_server 60s at once"));
}

#[tokio::test]
async fn a_server_without_a_browser_says_so_and_one_without_requests_opens_none() {
    let said = fusion_kit("up --open", &ready()).await;
    assert_eq!(
        (said.code, said.err.as_str()),
        (
            0,
            "warning: no browser was opened: there is none\n  help: fusion-kit dashboard prints a link to open\n"
        )
    );
    let said = fusion_kit("serve --open --roles worker", &ready()).await;
    let err = "\
error: --open signs a browser in, and this server answers no requests
help: leave --open out, or add the role api
";
    assert_eq!((said.code, said.err.as_str()), (2, err));
}

#[tokio::test]
async fn down_says_which_server_has_ended() {
    let backend = ready();
    let said = fusion_kit("down --timeout 5s", &backend).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "the server http://127.0.0.1:8000 (pid 7) has ended\n")
    );
    assert_eq!(*backend.asked.lock().unwrap(), ["stop_server 5s"]);
    let said = fusion_kit("down --json", &backend).await;
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told, backend.report);
}
