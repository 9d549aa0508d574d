//! Steps that wait for a provider's limit longer than anybody sleeps.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use wiremock::{MockServer, ResponseTemplate};

use crate::model_server::{InTurn, server, text, turns_asked};
use crate::support::{Project, Running, step};

const WORKFLOW: &str = "
version: 1
name: flow
agents:
  held: { provider: openai-compatible, model: tiny }
  free: { provider: scripted, model: script.yaml }
steps:
  - { id: held, agent: held, prompt: x }
  - { id: free, agent: free, prompt: x }
  - { id: after, agent: free, prompt: x, needs: [free] }
";

const SCRIPT: &str = "
version: 1
steps:
  free: [{ text: one }]
  after: [{ text: two }]
";

/// A server that is limited for an hour, then serves.
async fn limited() -> MockServer {
    let limited = ResponseTemplate::new(429)
        .insert_header("retry-after", "3600")
        .set_body_json(json!({ "error": { "message": "the daily quota is used up" } }));
    server("tiny", InTurn::new([limited, text("done")])).await
}

fn project(server: &MockServer) -> Project {
    let mut project = Project::with(WORKFLOW, SCRIPT);
    project.set("FUSION_BASE_URL", format!("{}/v1", server.uri()));
    project
}

/// The run, once all but the held step are done.
async fn waiting(project: &Project, running: &Running) -> Value {
    let waits = |run: &Value| {
        !step(run, "held")["waiting"].is_null() && step(run, "after")["state"] == "completed"
    };
    let run = project.until("the step to wait", waits).await;
    assert_eq!(run["state"], "running", "pid {}", running.pid());
    run
}

#[tokio::test]
async fn a_step_waits_for_its_quota_over_kill_9_while_the_others_go_on() {
    let server = limited().await;
    let project = project(&server);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    let run = waiting(&project, &running).await;
    let held = step(&run, "held").clone();
    assert_eq!(held["state"], "queued");
    let reason = held["waiting"]["reason"].as_str().unwrap();
    assert!(reason.contains("the daily quota is used up"), "{reason}");
    running.signal(Signal::KILL);
    assert_eq!(running.finish().await.code, None);

    let shown = project.run(["run", "show"]).await.expect(0).stdout;
    assert!(shown.contains("· waiting"), "{shown}");
    assert!(shown.contains("  waits until 20"), "{shown}");
    let mut resumed = project
        .fusion_kit(["resume"])
        .into_command()
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(resumed.stderr.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("held   waiting    until 20") {
            let pid = Pid::from_raw(i32::try_from(resumed.id().unwrap()).unwrap()).unwrap();
            kill_process(pid, Signal::INT).unwrap();
        }
    }
    assert_eq!(resumed.wait().await.unwrap().code(), Some(130));
    let again = project.shown().await;
    assert_eq!(step(&again, "held")["waiting"], held["waiting"]);
    assert_eq!(turns_asked(&server).await.len(), 1);
}

#[tokio::test]
async fn who_raised_a_limit_need_not_wait_for_its_end() {
    let server = limited().await;
    let project = project(&server);
    let running = project.fusion_kit(["run", "flow.yaml"]).start();
    waiting(&project, &running).await;
    running.stop(Signal::TERM).await.expect(130);
    let run = project.run(["resume", "--now", "--json"]).await.expect(0);
    let run = run.json();
    let held = step(&run, "held");
    assert_eq!(held["outputs"], json!({ "text": "done" }));
    assert_eq!(
        (&held["attempts"], &held["waiting"]),
        (&json!(2), &Value::Null)
    );
}
