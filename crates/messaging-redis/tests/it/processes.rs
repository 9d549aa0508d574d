//! Two processes.
#![expect(
    clippy::disallowed_methods,
    reason = "starts the other process, and it reads where the server is"
)]

use std::process::{Command, Stdio};

use fusion_messaging::Bus;

use crate::support::{bus, bus_at, heard, listen, say, server, settings};

/// Names the test below that is the other process.
const OTHER: &str = "processes::answers_until_it_is_told_to_end";

const URL: &str = "FUSION_TEST_BUS_URL";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_share_a_server_hear_each_other() {
    let server = server();
    let ours = bus(&server, 1);
    let mut answers = listen(&ours, "answer.*").await;
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", OTHER, "--ignored", "--nocapture"])
        .env(URL, server.url())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(heard(&mut answers).await, ("ready".to_owned(), 0));
    for number in 0..1_000 {
        say(&ours, "question.a", &number.to_string());
    }
    for number in 0..1_000 {
        assert_eq!(heard(&mut answers).await, (number.to_string(), 0));
    }
    say(&ours, "question.end", "");
    assert!(other.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by the test above, in a process of its own"]
async fn answers_until_it_is_told_to_end() {
    let bus = bus_at(&std::env::var(URL).unwrap(), settings(), 2);
    let mut questions = listen(&bus, "question.*").await;
    say(&bus, "answer.ready", "ready");
    while let Some(question) = questions.recv().await {
        if question.subject.as_str() == "question.end" {
            break;
        }
        assert_eq!(question.lost_before, 0);
        bus.publish(&"answer.a".parse().unwrap(), question.payload);
    }
    bus.flush().await;
}
