//! A person decides about steps, from another process or over the API.

use serde_json::{Value, json};

use crate::api::{Serving, start};
use crate::support::{Project, said, states, step};

const FLOW: &str = "
version: 1
name: release
agents:
  w: { provider: scripted, model: script.yaml }
steps:
  - { id: first, agent: w, prompt: x }
  - { id: ship, agent: w, prompt: \"Ship ${{ steps.first.outputs.text }}\", needs: [first], approval: { message: \"Ship ${{ steps.first.outputs.text }}?\", expires: 72h } }
";

const SCRIPT: &str = "
version: 1
steps:
  first: [{ text: one }]
  ship: [{ text: shipped }]
";

/// The process dies at its nth passing of one of these.
const POINTS: [&str; 2] = [
    "persistence_sql::before_commit",
    "persistence_sql::after_commit",
];

/// More passings than an answer has.
const LIMIT: u32 = 60;

fn project() -> Project {
    let mut project = Project::with(FLOW, SCRIPT);
    project.set("USER", "ada");
    project
}

/// What waits for a person, once something does.
async fn waiting(project: &Project) -> Value {
    project
        .until("the question", |run| {
            let wait = &step(run, "ship")["waiting"]["reason"];
            wait.as_str()
                .is_some_and(|reason| reason.starts_with("approval"))
        })
        .await;
    said(project, "inbox --json").await.expect(0).json()["items"][0].clone()
}

#[tokio::test]
async fn a_person_says_yes_from_another_process_and_only_once() {
    let project = project();
    said(&project, "inbox")
        .await
        .expect(0)
        .says(&["nothing waits for you"]);
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let item = waiting(&project).await;
    assert_eq!(
        json!([item["kind"], item["name"], item["message"]]),
        json!(["approval", "ship", "Ship one?"])
    );
    let id = item["id"].as_str().unwrap();
    let listed = said(&project, "inbox").await.expect(0).stdout;
    let way = format!("fusion-kit approve {id}");
    assert!(listed.contains(&way), "{listed}");
    let shown = said(&project, "run show").await.expect(0).stdout;
    assert!(
        shown.contains(&format!("waits for approval {id}: Ship one?")),
        "{shown}"
    );
    let other = said(&project, &format!("approve {id} --hash 00")).await;
    other.expect(5).says(&["something else than was seen"]);
    let yes = said(&project, &format!("approve {id} --comment fine --json")).await;
    let yes = yes.expect(0).json();
    assert_eq!(
        json!([yes["state"], yes["resolved_by"], yes["comment"]]),
        json!(["approved", "ada", "fine"])
    );
    let done = running.finish().await.expect(0).json();
    assert_eq!(step(&done, "ship")["outputs"]["text"], "shipped");
    let late = said(&project, &format!("reject {id} --reason late")).await;
    late.expect(5).says(&["was approved already by ada"]);
    said(&project, "inbox")
        .await
        .expect(0)
        .says(&["nothing waits for you"]);
    said(&project, "approve ffff")
        .await
        .expect(3)
        .says(&["no approval 'ffff'"]);
}

#[tokio::test]
async fn a_no_is_the_reason_of_the_failure() {
    let project = project();
    let running = project.fusion_kit(["run", "flow.yaml", "--json"]).start();
    let item = waiting(&project).await;
    let id = item["id"].as_str().unwrap();
    let no = format!("reject {id} --reason tests-are-missing");
    said(&project, &no).await.expect(0);
    let failed = running.finish().await.expect(6).json();
    assert_eq!(
        states(&failed),
        [("first", "completed"), ("ship", "failed")]
    );
    assert_eq!(
        step(&failed, "ship")["error"],
        "rejected by ada: tests-are-missing"
    );
}

#[tokio::test]
async fn a_question_outlives_its_process_and_a_death_at_any_commit_of_the_answer() {
    for point in POINTS {
        let mut deaths = 0;
        for passing in 0..LIMIT {
            let project = project();
            let running = project.fusion_kit(["run", "flow.yaml"]).start();
            let item = waiting(&project).await;
            running.stop(rustix::process::Signal::KILL).await;
            let id = item["id"].as_str().unwrap();
            let died = project
                .fusion_kit(["approve", id])
                .env("FAILPOINTS", format!("{point}={passing}*off->1*return"))
                .finish()
                .await;
            if died.code.is_none() {
                deaths += 1;
                // It was not acknowledged: it is asked for again, and may stand already.
                let again = said(&project, &format!("approve {id}")).await;
                assert!(matches!(again.code, Some(0 | 5)), "{again:?}");
            }
            let done = said(&project, "resume --json").await.expect(0).json();
            assert_eq!(
                step(&done, "ship")["state"],
                "completed",
                "{point} {passing}"
            );
            if died.code.is_some() {
                break;
            }
        }
        assert!((1..LIMIT).contains(&deaths), "{point}: {deaths}");
    }
}

#[tokio::test]
async fn questions_are_answered_over_the_api_and_through_a_server() {
    let project = project();
    let serving = Serving::on(&project).await;
    for says_yes in [true, false] {
        let run = start(&serving, &project, "flow.yaml").await;
        let path = format!("/api/v1/approvals?state=pending&run_id={run}");
        let found = serving.until(&path, |page| page["total"] == 1).await;
        let approval = &found["approvals"][0];
        assert_eq!(
            approval["subject"],
            json!({ "step": "ship", "prompt": "Ship one" })
        );
        let id = approval["id"].as_str().unwrap();
        let inbox = serving.get("/api/v1/inbox").await.expect(200).json();
        assert_eq!(inbox["items"][0]["id"], id);
        let (action, body) = if says_yes {
            (
                "approve",
                json!({ "subject_hash": approval["subject_hash"] }),
            )
        } else {
            ("reject", json!({ "reason": "no" }))
        };
        let base = format!("/api/v1/approvals/{id}");
        serving
            .post(&format!("{base}/reject"), &json!({}))
            .await
            .expect(400);
        serving
            .post(&format!("{base}/{action}"), &body)
            .await
            .expect(200);
        let twice = serving.post(&format!("{base}/approve"), &json!({})).await;
        assert_eq!(twice.expect(409).json()["error"], "conflict");
        let wanted = if says_yes { "completed" } else { "failed" };
        serving
            .until(&format!("/api/v1/runs/{run}"), |run| run["state"] == wanted)
            .await;
    }
    let run = start(&serving, &project, "flow.yaml").await;
    let path = format!("/api/v1/approvals?state=pending&run_id={run}");
    let found = serving.until(&path, |page| page["total"] == 1).await;
    let id = found["approvals"][0]["id"].as_str().unwrap();
    said(&project, &format!("approve {id}")).await.expect(0);
    serving
        .until(&format!("/api/v1/runs/{run}"), |run| {
            run["state"] == "completed"
        })
        .await;
}
