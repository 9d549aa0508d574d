//! The event log, sent again to a receiver.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::api::Serving;
use crate::support::{Finished, Project};

/// A request: its headers in lower case, and its body.
type Request = (String, String);

/// A receiver that answers with these lines, the last one again and again.
async fn receiver(answers: &'static [&'static str]) -> (String, mpsc::UnboundedReceiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    TaskTracker::new().spawn(async move {
        let mut answers = answers.iter().copied();
        let mut answer = "";
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                if line.trim().is_empty() {
                    break;
                }
                let line = line.to_lowercase();
                if let Some(bytes) = line.strip_prefix("content-length:") {
                    length = bytes.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            answer = answers.next().unwrap_or(answer);
            let text =
                format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno");
            stream.write_all(text.as_bytes()).await.unwrap();
            if tell.send((head, String::from_utf8(body).unwrap())).is_err() {
                return;
            }
        }
    });
    (url, told)
}

fn taken(told: &mut mpsc::UnboundedReceiver<Request>) -> Vec<Request> {
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

/// The events of all requests, in their order.
fn events(requests: &[Request]) -> Vec<Value> {
    let lines = requests.iter().flat_map(|(_, body)| body.lines());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn said(project: &Project, words: &[&str]) -> Finished {
    project.run(words).await
}

async fn exported(project: &Project) -> Vec<Value> {
    let log = said(project, &["export", "events"]).await.expect(0).stdout;
    log.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

/// A project with a run in its log.
async fn worked() -> Project {
    let project = Project::of_examples();
    said(&project, &["run", "hello.yaml"]).await.expect(0);
    project
}

#[tokio::test]
async fn the_log_is_sent_in_its_order_once_with_a_server_and_without() {
    let project = worked().await;
    for serves in [false, true] {
        let _serving = match serves {
            true => Some(Serving::on(&project).await),
            false => None,
        };
        let log = exported(&project).await;
        let (url, mut told) = receiver(&["204 No Content"]).await;
        let replay = ["events", "replay", "--to", &url, "--json"];
        let done = said(&project, &replay).await.expect(0).json();
        let (first, last) = (&log[0]["seq"], &log[log.len() - 1]["seq"]);
        let wanted = json!({
            "to": url, "dry_run": false, "events": log.len(), "first_seq": first,
            "last_seq": last, "next_after": last, "interrupted": false, "stopped": null,
        });
        assert_eq!(done, wanted);
        let requests = taken(&mut told);
        assert_eq!(events(&requests), log);
        for ((head, _), event) in requests.iter().zip(&log) {
            let key = format!("idempotency-key: {}\r\n", event["id"].as_str().unwrap());
            assert!(head.starts_with("post /hook "), "{head}");
            assert!(head.contains(&key), "{head}");
            assert!(
                head.contains("content-type: application/json\r\n"),
                "{head}"
            );
            assert!(!head.contains("authorization:"), "{head}");
        }
    }
}

#[tokio::test]
async fn a_batch_is_lines_and_filters_and_a_token_go_with_it() {
    let mut project = worked().await;
    project.set("HOOK_TOKEN", "canary-4711");
    let log = exported(&project).await;
    let of_task = |event: &&Value| event["event_type"].as_str().unwrap().starts_with("task.");
    let tasks: Vec<Value> = log.iter().filter(of_task).cloned().collect();
    let (url, mut told) = receiver(&["200 OK"]).await;
    let replay = [
        "events", "replay", "--to", &url, "--type", "task.*", "--batch", "2",
    ];
    let replay = [&replay[..], &["--token-env", "HOOK_TOKEN"]].concat();
    let done = said(&project, &replay).await.expect(0);
    assert!(!format!("{done:?}").contains("canary"), "{done:?}");
    let requests = taken(&mut told);
    assert_eq!(events(&requests), tasks);
    assert_eq!(requests.len(), tasks.len().div_ceil(2));
    for (head, _) in &requests {
        assert!(
            head.contains("content-type: application/x-ndjson\r\n"),
            "{head}"
        );
        assert!(
            head.contains("authorization: bearer canary-4711\r\n"),
            "{head}"
        );
    }
    // All of them happened after that.
    let none = [&replay[..], &["--until", "2020-01-01T00:00:00Z"]].concat();
    said(&project, &none).await.expect(0);
    assert_eq!(taken(&mut told), []);
    let unset = ["events", "replay", "--to", &url, "--token-env", "NOTHING"];
    said(&project, &unset).await.expect(2);
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_asked_again_and_one_that_refuses_stops_it_at_its_place() {
    let project = worked().await;
    let log = exported(&project).await;
    let (url, mut told) = receiver(&[
        "200 OK",
        "503 Service Unavailable\r\nretry-after: 0",
        "429 Too Many Requests\r\nretry-after: 0",
        "200 OK",
        "422 Unprocessable Content",
    ])
    .await;
    let stopped = said(&project, &["events", "replay", "--to", &url, "--json"]).await;
    let stopped = stopped.expect(5);
    let done = stopped.json();
    let place = &log[1]["seq"];
    assert_eq!(
        [&done["events"], &done["last_seq"], &done["next_after"]],
        [&json!(2), place, place]
    );
    let why = done["stopped"]["message"].as_str().unwrap();
    assert!(
        why.ends_with("answered with 422 Unprocessable Entity: no"),
        "{why}"
    );
    assert!(
        stopped.stderr.contains(&format!("--after {place}")),
        "{}",
        stopped.stderr
    );
    let seen = events(&taken(&mut told));
    let seen: Vec<&Value> = seen.iter().map(|event| &event["seq"]).collect();
    let seq = |at: usize| &log[at]["seq"];
    assert_eq!(seen, [seq(0), seq(1), seq(1), seq(1), seq(2)]);
    // Another receiver takes the rest.
    let (url, mut told) = receiver(&["200 OK"]).await;
    let after = place.to_string();
    let rest = ["events", "replay", "--to", &url, "--after", &after];
    said(&project, &rest).await.expect(0);
    assert_eq!(events(&taken(&mut told)), log[2..]);
    let (url, mut told) = receiver(&["429 Too Many Requests\r\nretry-after: 3600"]).await;
    said(&project, &["events", "replay", "--to", &url])
        .await
        .expect(9);
    assert_eq!(taken(&mut told).len(), 1, "an hour is not waited for");
    let (url, mut told) = receiver(&["302 Found\r\nlocation: http://127.0.0.1:9/"]).await;
    said(&project, &["events", "replay", "--to", &url])
        .await
        .expect(5);
    assert_eq!(taken(&mut told).len(), 1, "a redirect is not followed");
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_tells_what_it_would() {
    let project = worked().await;
    let log = exported(&project).await;
    let (url, mut told) = receiver(&["200 OK"]).await;
    let dry = ["events", "replay", "--to", &url, "--dry-run"];
    let done = said(&project, &dry).await.expect(0).stdout;
    let (first, last) = (&log[0]["seq"], &log[log.len() - 1]["seq"]);
    let wanted = format!(
        "would send {} events to {url}: {first} to {last}\n",
        log.len()
    );
    assert_eq!(done, wanted);
    assert_eq!(taken(&mut told), []);
    let plain = ["events", "replay", "--to", "http://hooks.example/"];
    said(&project, &plain).await.expect(2);
}

#[tokio::test]
async fn ctrl_c_ends_a_request_that_nobody_answers_and_tells_where_to_go_on() {
    let project = worked().await;
    let log = exported(&project).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, mut told) = mpsc::unbounded_channel();
    TaskTracker::new().spawn(async move {
        let mut held = Vec::new();
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            if number == 0 {
                let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                let mut head = [0; 1024];
                assert!(stream.read(&mut head).await.unwrap() > 0);
                stream.write_all(answer).await.unwrap();
            } else {
                // It is never answered.
                held.push(stream);
                tell.send(()).unwrap();
            }
        }
    });
    let running = project
        .fusion_kit(["events", "replay", "--to", &url, "--json"])
        .start();
    told.recv().await.unwrap();
    let began = Instant::now();
    let stopped = running.stop(Signal::INT).await.expect(130);
    // One request may take half a minute.
    assert!(began.elapsed() < Duration::from_secs(10));
    let done = stopped.json();
    let first = &log[0]["seq"];
    let wanted = json!({
        "to": url, "dry_run": false, "events": 1, "first_seq": first, "last_seq": first,
        "next_after": first, "interrupted": true, "stopped": null,
    });
    assert_eq!(done, wanted);
    stopped.says(&[&format!("--after {first}")]);
}
