//! Answers that were begun when the program was killed: what they cost counts once.

use std::sync::atomic::{AtomicUsize, Ordering};

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use rustix::process::Signal;
use serde_json::json;

use crate::providers::{add, project};
use crate::support::step;

const WORKFLOW: &str = "
version: 1
name: flow
agents:
  worker: { provider: or, model: tiny }
steps:
  - { id: work, agent: worker, prompt: Work. }
";

fn whole(body: &serde_json::Value) -> Vec<Act> {
    let body = body.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    vec![Act::Send((head + &body).into_bytes())]
}

/// The first turn begins and never ends; the second is answered. The first one's cost is known.
async fn server() -> MisbehavingHttp {
    let turns = AtomicUsize::new(0);
    MisbehavingHttp::start(move |request: &HttpRequest| {
        if request.path.contains("/models") {
            return whole(&json!({ "data": [{ "id": "tiny" }] }));
        }
        if request.path.contains("/generation?id=gen-1") {
            return whole(&json!({ "data": {
                "total_cost": 0.25, "native_tokens_prompt": 7, "native_tokens_completion": 3,
            }}));
        }
        if turns.fetch_add(1, Ordering::SeqCst) == 0 {
            let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                         x-generation-id: gen-1\r\n\r\n: OPENROUTER PROCESSING\n\n";
            return vec![Act::Send(begun.into()), Act::Hang];
        }
        whole(&json!({
            "id": "gen-2",
            "choices": [{ "finish_reason": "stop", "message": { "content": "done" } }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 5, "cost": 0.5 },
        }))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn row_64_an_answer_that_was_coming_at_kill_9_is_asked_for_and_counts_once() {
    let server = server().await;
    let project = project();
    project.write("flow.yaml", WORKFLOW);
    let url = format!("{}/v1", server.url());
    add(&project, "or", &url, &["--type", "openrouter"])
        .await
        .expect(0);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let named = json!({ "generations": ["gen-1"] });
    let is_named = |run: &serde_json::Value| step(run, "work")["journal"][0]["outcome"] == named;
    project.until("the name of the answer", is_named).await;
    running.signal(Signal::KILL);
    running.finish().await;

    let run = project.run(["resume", "--json"]).await.expect(0).json();
    let usage = json!({ "turns": 1, "input_tokens": 17, "output_tokens": 8, "cost_usd": "0.75" });
    assert_eq!(step(&run, "work")["usage"], usage);
    assert_eq!(run["usage"], usage);
    let asked = server.requests();
    let asked = asked.iter().filter(|it| it.path.contains("/generation"));
    assert_eq!(asked.count(), 1);
}
