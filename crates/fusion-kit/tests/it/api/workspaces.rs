//! What agents have in their workspaces, looked at over the API.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::client::Serving;
use crate::support::Project;

const SCRIPT: &str = "
version: 1
steps:
  task: [{ text: done }]
";

/// A server with an agent; the path of its workspace in the API, and its folder.
async fn agent(project: &Project, serving: &Serving) -> (String, PathBuf) {
    project.write("script.yaml", SCRIPT);
    let script = project.path().join("script.yaml");
    let wanted = json!({ "name": "worker", "provider": "scripted", "model_name": script });
    let made = serving.post("/api/v1/agents", &wanted).await;
    let made = made.expect(201).json();
    let place = format!("/api/v1/agents/{}/workspace", made["id"].as_str().unwrap());
    (
        place,
        PathBuf::from(made["workspace_path"].as_str().unwrap()),
    )
}

#[tokio::test]
async fn a_workspace_is_looked_at_without_what_may_hold_keys() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let (place, folder) = agent(&project, &serving).await;
    fs::write(folder.join("projects/a b.md"), "# Übersicht\n").unwrap();
    fs::write(folder.join("projects/.env"), "KEY=canary").unwrap();
    std::os::unix::fs::symlink("../.env", folder.join("projects/link")).unwrap();
    let tree = serving.get(&format!("{place}?path=projects")).await;
    let tree = tree.expect(200).json();
    assert_eq!(
        tree["entries"],
        json!([
            { "path": "projects/a b.md", "kind": "file", "size": 13 },
            { "path": "projects/link", "kind": "link", "size": 0 },
        ])
    );
    let file = serving
        .get(&format!("{place}/file?path=projects/a+b.md&limit=4"))
        .await;
    let file = file.expect(200).json();
    assert_eq!(
        json!([file["text"], file["truncated_bytes"]]),
        json!(["# Ü", 9])
    );
    for path in [
        ".env",
        "projects/.env",
        "projects/link",
        ".agent/agent.json",
    ] {
        let told = serving.get(&format!("{place}/file?path={path}")).await;
        assert!(!told.body.contains("canary"), "{path}: {told:?}");
        let told = told.expect(409).json();
        assert_eq!(told["error"], "denied", "{path}");
    }
    for path in [
        "..",
        "/etc/passwd",
        "projects/%2e%2e/.env",
        "a%00b",
        "",
        "projects",
    ] {
        let told = serving.get(&format!("{place}/file?path={path}")).await;
        told.expect(400);
    }
    let told = serving
        .get(&format!("{place}/file?path=projects/none"))
        .await;
    told.expect(404);
    serving.get(&format!("{place}/file")).await.expect(400);
    serving.get(&format!("{place}/diff")).await.expect(409);
}

#[tokio::test]
async fn a_workspace_is_downloaded_as_a_tar_file_until_it_is_gone() {
    let project = Project::new();
    let serving = Serving::on(&project).await;
    let (place, folder) = agent(&project, &serving).await;
    fs::write(folder.join("projects/large"), vec![b'x'; 3_000_000]).unwrap();
    let answer = serving
        .get(&format!("{place}/archive?path=projects"))
        .await
        .expect(200);
    assert_eq!(answer.headers["content-type"], "application/x-tar");
    assert!(answer.headers["content-disposition"].starts_with("attachment; "));
    // In pieces, each with its length before it.
    assert_eq!(answer.headers["transfer-encoding"], "chunked");
    assert!(answer.body.contains("projects/large") && answer.body.len() > 3_000_000);
    assert!(answer.body.ends_with("\r\n0\r\n\r\n"), "it is whole");
    let agent = place.strip_suffix("/workspace").unwrap();
    let end = serving.request("DELETE", &format!("{agent}?workspace=remove"));
    end.send().await.expect(204);
    for what in ["", "/archive", "/file?path=projects/large"] {
        let told: Value = serving
            .get(&format!("{place}{what}"))
            .await
            .expect(404)
            .json();
        assert_eq!(told["error"], "not_found");
    }
}
