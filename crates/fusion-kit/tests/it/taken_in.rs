//! What lies in a worktree is taken in while others want something of its agent, or have gone.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::Serving;
use crate::support::{Project, said, wait_for};
use crate::worktrees::{repository, worktree_of};

/// What an agent does: it notes whether the work was taken in by then.
const SCRIPT: &str = r#"
version: 1
steps:
  task:
    - tool_calls: [{ name: run_command, arguments: { command: "cd projects; if test -e ended; then echo after; else echo during; fi > order" } }]
    - text: "Done."
"#;

/// A filter that lets git take a file in once the gate is open.
const FILTER: &str = "
[filter \"gate\"]
	clean = \"touch ../began; until test -e ../go; do sleep 0.1; done; touch ../ended; cat\"
";

/// A project with a server and a resting agent `dev`, whose work is taken in once the gate is open; its
/// place in the API and its projects.
async fn gated() -> (Project, Serving, String, PathBuf) {
    let project = Project::new();
    repository(&project).await;
    project.write("script.yaml", SCRIPT);
    let serving = Serving::on(&project).await;
    let spawn = "agent spawn --provider scripted --model script.yaml --tools files,shell --name dev \
                 --workspace worktree:site";
    said(&project, spawn).await.expect(0);
    let shown = said(&project, "agent get dev --json").await.json();
    let projects = Path::new(shown["workspace"]["path"].as_str().unwrap()).join("projects");
    let settings = projects.join("site/.git/config");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text + FILTER).unwrap();
    fs::create_dir_all(projects.join("site/.git/info")).unwrap();
    fs::write(
        projects.join("site/.git/info/attributes"),
        "page filter=gate\n",
    )
    .unwrap();
    fs::write(projects.join("site/page"), "by hand\n").unwrap();
    let place = format!("/api/v1/agents/{}", shown["id"].as_str().unwrap());
    (project, serving, place, projects)
}

async fn until_there(path: &Path) {
    wait_for("a file", || path.exists().then_some(())).await;
}

/// Time for a server to do what it should not.
async fn some_requests(serving: &Serving, place: &str) {
    for _ in 0..50 {
        serving.get(place).await.expect(200);
    }
}

#[tokio::test]
async fn no_step_of_an_agent_begins_while_its_work_is_taken_in_whoever_lets_it_go_on() {
    let (project, serving, place, projects) = gated().await;
    let commit = project
        .fusion_kit(["workspace", "commit", "dev", "-m", "x"])
        .start();
    until_there(&projects.join("began")).await;
    // Whether there is anything to let go on is all the same.
    said(&project, "agent pause dev").await;
    said(&project, "agent resume dev").await;
    said(&project, "agent send dev Write.").await.expect(0);
    // A worker has it: it waits, or is at work already.
    let tasks = format!(
        "/api/v1/tasks?agent_id={}",
        place.rsplit('/').next().unwrap()
    );
    let is_taken = |page: &Value| {
        let state = page["tasks"][0]["state"].as_str();
        state.is_some_and(|state| state != "queued")
    };
    serving.until(&tasks, is_taken).await;
    said(&project, "workspace commit dev -m y").await.expect(5);
    some_requests(&serving, &place).await;
    project.open_the_gate();
    commit.finish().await.expect(0);
    let is_done = |page: &Value| page["tasks"][0]["state"] == "completed";
    serving.until(&tasks, is_done).await;
    let order = fs::read_to_string(projects.join("order")).unwrap();
    assert_eq!(order, "after\n");
}

#[tokio::test]
async fn what_a_client_began_is_done_when_the_client_has_gone() {
    let (project, serving, place, projects) = gated().await;
    let commit = serving
        .request("POST", &format!("{place}/workspace/commit"))
        .json(&json!({ "message": "x" }));
    let began = projects.join("began");
    tokio::select! {
        answer = commit.send() => panic!("it is answered before it is done: {answer:?}"),
        () = until_there(&began) => {}
    }
    some_requests(&serving, &place).await;
    project.open_the_gate();
    let was_told = |page: &Value| {
        let events = page["events"].as_array().unwrap();
        let told = |event: &Value| event["message"].as_str().unwrap().contains("committed");
        events.iter().any(told)
    };
    let log = "/api/v1/events?event_type=record.changed";
    serving.until(log, was_told).await;
    let worktree = worktree_of(&project, "dev").await;
    let branch = worktree["branch"].as_str().unwrap();
    assert!(branch.starts_with("fusion/dev-work-"), "{branch}");
}
