//! A server of before dry runs: it takes no notice of the parameter, and does what it is asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use serde_json::{Value, json};

use super::{dump_at_rest, lines, project};
use crate::api::Serving;
use crate::support::{Finished, Project};

/// What such a server says of itself.
fn health() -> Vec<u8> {
    let body = json!({
        "status": "healthy", "database": "connected", "bus": "connected", "version": "0.1.0",
    })
    .to_string();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// What a server answers to a request without the parameter.
fn passed_on(to: SocketAddr, request: &HttpRequest) -> Vec<u8> {
    let path = request.path.replace("dry_run=true", "");
    let path = path.trim_end_matches(['?', '&']);
    let mut text = format!("{} {path} HTTP/1.1\r\n", request.method);
    for (name, value) in &request.headers {
        if name != "connection" && name != "host" {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str(&format!("host: {to}\r\nconnection: close\r\n\r\n"));
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    stream.write_all(&request.body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

/// One in front of a server of today.
async fn older(serving: &Serving) -> MisbehavingHttp {
    let to = serving.address;
    MisbehavingHttp::start(move |request: &HttpRequest| {
        let answer = if request.path == "/api/v1/health" {
            health()
        } else {
            passed_on(to, request)
        };
        vec![Act::Send(answer), Act::Close]
    })
    .await
    .unwrap()
}

async fn say(project: &Project, older: &MisbehavingHttp, token: &str, line: &str) -> Finished {
    project
        .fusion_kit(shlex::split(line).unwrap())
        .env("FUSION_SERVER", older.url())
        .env("FUSION_KIT_DATA_DIR", project.path().join("none"))
        .env("FUSION_TOKEN", token)
        .finish()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_server_is_asked_for_no_dry_run_since_it_would_do_it() {
    let (project, run) = project().await;
    let serving = Serving::on(&project).await;
    let older = older(&serving).await;
    let before = dump_at_rest(&project).await;
    for (line, code, would) in lines() {
        // What would change nothing sends nothing that changes something.
        if code != 0 || line == "workflow cancel spare" {
            continue;
        }
        let line = format!("{} --dry-run", line.replace("RUN", &run));
        let tried = say(&project, &older, &serving.token, &line).await;
        assert_eq!(tried.code, Some(10), "{line} ({would}): {tried:?}");
        tried.says(&[
            "knows no dry runs",
            "update the server; nothing was asked of it",
        ]);
    }
    let retry = format!("task retry {} --description Other.", uuid::Uuid::nil());
    let refused = say(&project, &older, &serving.token, &retry).await;
    assert_eq!(refused.code, Some(10), "{refused:?}");
    refused.says(&["knows no other words for a task"]);
    let asked = older.requests();
    let changing: Vec<&HttpRequest> = asked
        .iter()
        .filter(|request| request.method != "GET")
        .collect();
    assert_eq!(changing, Vec::<&HttpRequest>::new());
    assert!(dump_at_rest(&project).await == before, "it was done");
}

#[tokio::test]
async fn a_server_says_that_it_knows_dry_runs() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let told: Value = serving.get("/api/v1/health").await.expect(200).json();
    assert_eq!(
        told["knows"],
        json!(["dry_run", "retry_description"]),
        "{told}"
    );
}
