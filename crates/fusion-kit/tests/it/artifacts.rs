//! Files that steps hand over by the hash of their content.

use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::crash::{die_at, go_on, result};
use crate::support::{Project, states, step};

const FLOW: &str = "
version: 1
name: flow
agents:
  maker: { provider: scripted, model: script.yaml, tools: [files] }
  reader: { provider: scripted, model: script.yaml, tools: [files] }
steps:
  - { id: make, agent: maker, prompt: Make., artifacts: 'projects/*' }
  - { id: read, agent: reader, needs: make, takes: make, prompt: Read. }
  - { id: sum, needs: read, takes: make, repeatable: true,
      run: 'cat ${{ steps.make.files | map(attribute=\"path\") | join(\" \") }}' }
";

const SCRIPT: &str = "
version: 1
steps:
  make:
    - tool_calls:
        - { name: write_file, arguments: { path: projects/one, content: \"1\\n\" } }
        - { name: write_file, arguments: { path: projects/two, content: \"2\\n\" } }
    - text: made
  read:
    - tool_calls: [{ name: read_file, arguments: { path: artifacts/make/projects/one } }]
    - text: seen
";

/// The SHA-256 of `1` and the end of a line.
const ONE: &str = "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865";

fn project() -> Project {
    Project::with(FLOW, SCRIPT)
}

#[tokio::test]
async fn files_go_from_step_to_step_by_the_hash_of_their_content() {
    let project = project();
    project.run(["run", "flow.yaml"]).await.expect(0);
    let shown = project.shown().await;
    let file = |name: &str, sha256: &str| json!({ "path": format!("projects/{name}"), "sha256": sha256, "bytes": 2 });
    let two = "53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3";
    assert_eq!(
        step(&shown, "make")["files"],
        json!([file("one", ONE), file("two", two)])
    );
    assert_eq!(step(&shown, "sum")["outputs"]["output"], "1\n2\n");
    let journal = step(&shown, "read")["journal"].to_string();
    assert!(journal.contains("1\\n"), "{journal}");
    let told = project.run(["run", "show"]).await.expect(0);
    let line = format!("kept projects/one, 2 bytes, as {ONE}\n");
    assert!(told.stdout.contains(&line), "{}", told.stdout);

    project
        .run(["artifact", "get", ONE, "copy"])
        .await
        .expect(0);
    let copy = std::fs::read_to_string(project.path().join("copy")).unwrap();
    assert_eq!(copy, "1\n");
    let again = project.run(["artifact", "get", ONE, "copy"]).await;
    again.expect(2).says(&["can't write copy"]);
    let none = ["artifact", "get", &two.replace('5', "6"), "none"];
    project
        .run(none)
        .await
        .expect(3)
        .says(&["no file with the hash"]);
}

#[tokio::test]
async fn a_file_is_served_by_its_hash() {
    let project = project();
    project.run(["run", "flow.yaml"]).await.expect(0);
    let serving = Serving::on(&project).await;
    let path = format!("/api/v1/artifacts/{ONE}");
    let answer = serving.get(&path).await.expect(200);
    assert_eq!(answer.body, "1\n");
    assert_eq!(answer.headers["content-type"], "application/octet-stream");
    serving.get("/api/v1/artifacts/nothing").await.expect(404);
}

#[tokio::test]
async fn a_file_is_saved_alike_without_a_server_beside_one_and_from_one() {
    let project = project();
    project.run(["run", "flow.yaml"]).await.expect(0);
    let get = |hash| ["artifact", "get", hash, "copy"];
    let none = "0".repeat(64);
    let lines = [get(ONE), get(ONE), get(&none)];
    let mut here = Vec::new();
    for line in lines {
        here.push(project.run(line).await);
    }
    let serving = Serving::on(&project).await;
    let elsewhere = Project::new();
    std::fs::remove_file(project.path().join("copy")).unwrap();
    for (line, here) in lines.iter().zip(&here) {
        let beside = project.run(line).await;
        let server = format!("http://{}", serving.address);
        let named = elsewhere.fusion_kit(line).env("FUSION_SERVER", server);
        let named = named.env("FUSION_TOKEN", &serving.token).finish().await;
        for there in [beside, named] {
            assert_eq!(
                (there.code, &there.stdout, &there.stderr),
                (here.code, &here.stdout, &here.stderr),
                "{line:?}"
            );
        }
    }
    assert_eq!(
        std::fs::read_to_string(elsewhere.path().join("copy")).unwrap(),
        "1\n"
    );
}

#[tokio::test]
async fn what_takes_a_file_that_is_gone_or_damaged_fails_and_says_why() {
    let project = project();
    let steps = ["make", "read", "sum"];
    project.run(["run", "flow.yaml"]).await.expect(0);
    let kept = project.data_dir().join("artifacts").join("43").join(ONE);
    std::fs::write(&kept, "x").unwrap();
    let shown = project.shown().await;
    let id = shown["id"].as_str().unwrap();
    let again = ["run", "retry", id, "--from", "read"];
    project.run(again).await.expect(6);
    let shown = project.shown().await;
    let why = step(&shown, "read")["error"].as_str().unwrap().to_owned();
    assert!(
        why.contains("artifacts/make/projects/one can't be put in"),
        "{why}"
    );
    assert_eq!(
        states(&shown),
        [
            (steps[0], "completed"),
            (steps[1], "failed"),
            (steps[2], "cancelled")
        ]
    );
}

#[tokio::test]
async fn a_step_takes_only_what_it_needs_and_what_has_files() {
    let flow = "
version: 1
name: flow
agents:
  a: { provider: scripted, model: script.yaml }
steps:
  - { id: one, agent: a, prompt: x, artifacts: 'projects/*' }
  - { id: two, agent: a, prompt: x, takes: [one, on] }
  - { id: three, agent: a, needs: two, prompt: x, takes: two }
";
    let project = Project::with(flow, SCRIPT);
    let faulty = project.run(["workflow", "validate", "flow.yaml"]).await;
    faulty.expect(5).says(&[
        "flow.yaml:8:45",
        "step 'two' does not need 'one'",
        "there is no step 'on'",
        "step 'two' has no files to take",
    ]);
}

#[tokio::test]
async fn handed_over_files_survive_a_death_at_every_commit() {
    let whole = project();
    whole.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let wanted = result(&whole).await;
    let files = |shown: &Value| step(shown, "make")["files"].clone();
    let kept = files(&whole.shown().await);
    let mut deaths = 0;
    for passing in 0.. {
        let project = project();
        let command = ["run", "flow.yaml", "--quiet"];
        let point = "persistence_sql::after_commit";
        if die_at(&project, &command, point, passing).await.is_none() {
            break;
        }
        deaths += 1;
        go_on(&project, "flow.yaml").await;
        let place = format!("death at passing {passing}");
        assert_eq!(result(&project).await, wanted, "{place}");
        assert_eq!(files(&project.shown().await), kept, "{place}");
    }
    assert!(deaths >= 10, "{deaths} deaths");
}
