//! Runs by stored providers.

use std::fs;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::live_answers::slow_server;
use crate::model_server::{text, turns_asked};
use crate::providers::{add, answering, project};
use crate::rekey::{NEW, OLD};
use crate::support::{Project, states};

/// One step of one agent at this provider.
fn flow(provider: &str) -> String {
    format!(
        "
version: 1
name: flow
agents:
  worker: {{ provider: {provider}, model: tiny }}
steps:
  - {{ id: work, agent: worker, prompt: Work. }}
"
    )
}

fn output(run: &Value) -> &Value {
    &run["steps"][0]["outputs"]["text"]
}

async fn run(project: &Project, file: &str) -> Value {
    project.run(["run", file, "--json"]).await.expect(0).json()
}

#[tokio::test]
async fn a_run_uses_a_stored_provider_until_it_is_disabled() {
    let (server, url) = answering([text("by mine")]).await;
    let project = project();
    project.write("flow.yaml", flow("mine"));
    add(&project, "mine", &url, &[]).await.expect(0);
    assert_eq!(output(&run(&project, "flow.yaml").await), "by mine");

    project.run(["provider", "disable", "mine"]).await.expect(0);
    let asked = server.received_requests().await.unwrap().len();
    let refused = project.run(["run", "flow.yaml"]).await.expect(5);
    refused.says(&[
        "the provider 'mine' is disabled",
        "fusion-kit provider enable mine",
        "flow.yaml:5:",
    ]);
    assert_eq!(server.received_requests().await.unwrap().len(), asked);
    project.run(["provider", "enable", "mine"]).await.expect(0);
    run(&project, "flow.yaml").await;
}

#[tokio::test]
async fn two_providers_of_one_type_serve_one_workflow_each_with_its_own_key() {
    let (one, one_url) = answering([text("by one")]).await;
    let (two, two_url) = answering([text("by two")]).await;
    let project = project();
    for (name, url) in [("one", &one_url), ("two", &two_url)] {
        let add = [
            "provider",
            "add",
            name,
            "--base-url",
            url.as_str(),
            "--key-env",
            "K",
        ];
        let add = project.fusion_kit(add).env("K", format!("key-of-{name}"));
        add.finish().await.expect(0);
    }
    project.write(
        "flow.yaml",
        "
version: 1
name: flow
agents:
  a: { provider: one, model: tiny }
  b: { provider: two, model: tiny }
steps:
  - { id: first, agent: a, prompt: Work. }
  - { id: second, agent: b, prompt: \"After ${{ steps.first.outputs.text }}\", needs: [first] }
outputs: { text: \"${{ steps.second.outputs.text }}\" }
",
    );
    assert_eq!(
        run(&project, "flow.yaml").await["outputs"],
        json!({ "text": "by two" })
    );
    for (server, name) in [(one, "one"), (two, "two")] {
        let asked = server.received_requests().await.unwrap();
        let keys = asked
            .iter()
            .map(|it| it.headers["authorization"].to_str().unwrap());
        let wrong: Vec<&str> = keys
            .filter(|key| *key != format!("Bearer key-of-{name}"))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        assert_eq!(turns_asked(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_stored_provider_wins_over_that_of_the_environment() {
    let (_stored, url) = answering([text("by the stored one")]).await;
    let (other, other_url) = answering([text("by the environment")]).await;
    let mut project = project();
    project.set("FUSION_BASE_URL", other_url);
    project.write("flow.yaml", flow("openai-compatible"));
    assert_eq!(
        output(&run(&project, "flow.yaml").await),
        "by the environment"
    );
    add(&project, "openai-compatible", &url, &[])
        .await
        .expect(0);
    assert_eq!(
        output(&run(&project, "flow.yaml").await),
        "by the stored one"
    );
    assert_eq!(turns_asked(&other).await.len(), 1);
}

#[tokio::test]
async fn another_process_resumes_with_the_stored_provider_which_can_not_be_removed_before() {
    let refused = wiremock::ResponseTemplate::new(401);
    let (_server, url) = answering([refused, text("at last")]).await;
    let project = project();
    project.write("flow.yaml", flow("mine"));
    add(&project, "mine", &url, &[]).await.expect(0);
    project.run(["run", "flow.yaml"]).await.expect(4);
    let waiting = project.shown().await;
    let id = waiting["id"].as_str().unwrap();
    assert_eq!(states(&waiting), [("work", "queued")]);

    let refused = project.run(["provider", "remove", "mine"]).await.expect(5);
    refused.says(&[
        &format!(
            "the provider 'mine' is in use: run {id} was interrupted and needs it (agent 'worker')"
        ),
        &format!("fusion-kit resume {id}"),
        "provider remove mine --force",
    ]);
    project.run(["resume"]).await.expect(0);
    assert_eq!(output(&project.shown().await), "at last");
    project.run(["provider", "remove", "mine"]).await.expect(0);
}

#[tokio::test]
async fn an_unknown_provider_is_told_with_the_nearest_and_how_to_add_it() {
    let project = project();
    add(&project, "mine", "http://127.0.0.1:9/v1", &[])
        .await
        .expect(0);
    for (provider, says) in [
        (
            "mien",
            [
                "there is no provider 'mien'",
                "did you mean 'mine'?",
                "fusion-kit provider add mien --base-url URL",
            ],
        ),
        (
            "ollama",
            [
                "there is no provider 'ollama'",
                "openrouter, scripted",
                "fusion-kit provider add ollama",
            ],
        ),
    ] {
        project.write("flow.yaml", flow(provider));
        project
            .run(["run", "flow.yaml"])
            .await
            .expect(5)
            .says(&says);
    }
}

#[tokio::test]
async fn a_run_without_stored_providers_needs_no_master_key() {
    let mut project = project();
    add(&project, "mine", "http://127.0.0.1:9/v1", &[])
        .await
        .expect(0);
    project.set("FUSION_MASTER_KEY", "no key at all");
    project.write("flow.yaml", flow("scripted").replace("tiny", "script.yaml"));
    project.write(
        "script.yaml",
        "version: 1\nsteps: { work: [{ text: done }] }\n",
    );
    project.run(["run", "flow.yaml"]).await.expect(0);
    let (_server, url) = answering([text("by the environment")]).await;
    project.set("FUSION_BASE_URL", url);
    project.write("flow.yaml", flow("openai-compatible"));
    run(&project, "flow.yaml").await;
    project.write("flow.yaml", flow("mine"));
    let refused = project.run(["run", "flow.yaml"]).await.expect(2);
    refused.says(&["mine is not set up right", "FUSION_MASTER_KEY"]);
}

#[tokio::test]
async fn verify_checks_each_enabled_provider_and_asks_it_only_when_told_to() {
    let (server, url) = answering([text("x")]).await;
    let mut project = project();
    project.set("FUSION_MASTER_KEY", OLD);
    add(&project, "here", &url, &[]).await.expect(0);
    add(&project, "away", "http://127.0.0.1:9/v1", &[])
        .await
        .expect(0);
    let check = |report: &Value, name: &str| {
        let checks = report["checks"].as_array().unwrap().iter();
        let mut found = checks.filter(|check| check["name"] == format!("provider {name}"));
        found.next().cloned().unwrap_or_default()
    };
    let report = project.run(["verify", "--json"]).await.expect(0).json();
    assert_eq!(
        (
            &check(&report, "here")["fault"],
            server.received_requests().await.unwrap().len()
        ),
        (&Value::Null, 0)
    );
    let report = project
        .run(["verify", "--online", "--json"])
        .await
        .expect(1)
        .json();
    assert_eq!(check(&report, "here")["note"], "answers; 1 models");
    let fault = check(&report, "away")["fault"].to_string();
    assert!(fault.contains("can't be reached"), "{fault}");

    project.run(["provider", "disable", "away"]).await.expect(0);
    let report = project
        .run(["verify", "--online", "--json"])
        .await
        .expect(0)
        .json();
    assert_eq!(check(&report, "away"), Value::Null);
    project.set("FUSION_MASTER_KEY", NEW);
    let report = project.run(["verify", "--json"]).await.expect(1).json();
    let fault = check(&report, "here")["fault"].to_string();
    assert!(fault.contains("sealed with"), "{fault}");
}

#[tokio::test]
async fn a_deep_check_has_each_provider_say_a_word_and_runs_a_workflow_that_leaves_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let (server, url) = answering([text("ready")]).await;
    let mut project = project();
    project.set("FUSION_MASTER_KEY", OLD);
    add(&project, "here", &url, &[]).await.expect(0);
    let trials = project.path().join("trials");
    fs::create_dir(&trials).unwrap();
    fs::set_permissions(&trials, fs::Permissions::from_mode(0o711)).unwrap();
    project.set("TMPDIR", trials.display().to_string());
    let calls = async || {
        let all = server.received_requests().await.unwrap();
        let is_call = |request: &&wiremock::Request| request.method == "POST";
        all.iter().filter(is_call).count()
    };
    let trial = |report: &Value| {
        let checks = report["checks"].as_array().unwrap().iter();
        let checks = checks.filter(|check| check["name"].as_str().unwrap().starts_with("trial"));
        checks.cloned().collect::<Vec<_>>()
    };
    let online = project.run(["verify", "--online", "--json"]).await;
    assert_eq!(trial(&online.expect(0).json()), [] as [Value; 0]);
    assert_eq!(calls().await, 0);
    let before = project.contents();
    let deep = project.run(["verify", "--deep", "--json"]).await;
    let deep = trial(&deep.expect(0).json());
    let names: Vec<&Value> = deep.iter().map(|check| &check["name"]).collect();
    assert_eq!(names, ["trial of provider here", "trial run"]);
    let notes = [0, 1].map(|at| deep[at]["note"].as_str().unwrap().to_owned());
    assert!(notes[0].starts_with("tiny answered in "), "{notes:?}");
    assert!(
        notes[1].starts_with("a workflow of one step ran to its end in "),
        "{notes:?}"
    );
    assert_eq!(calls().await, 1);
    assert!(project.contents() == before, "something was left behind");

    add(&project, "away", "http://127.0.0.1:9/v1", &[])
        .await
        .expect(0);
    project.set("FUSION_KIT_AGENT_UIDS", "none");
    let broken = project.run(["verify", "--deep", "--json"]).await;
    let broken = trial(&broken.expect(1).json());
    let fault = |name: &str| {
        let check = broken.iter().find(|check| check["name"] == name).unwrap();
        check["fault"].as_str().unwrap_or_default().to_owned()
    };
    let away = fault("trial of provider away");
    assert!(away.contains("can't be reached"), "{away}");
    let run = fault("trial run");
    assert!(run.contains("FUSION_KIT_AGENT_UIDS"), "{run}");
}

#[tokio::test]
async fn the_folder_of_the_master_key_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let project = project();
    add(&project, "mine", "http://127.0.0.1:9/v1", &[])
        .await
        .expect(0);
    let mode = |name| {
        let meta = fs::metadata(project.path().join(name)).unwrap();
        meta.permissions().mode() & 0o777
    };
    assert_eq!((mode("keys"), mode("keys/master.key")), (0o700, 0o600));
}

#[tokio::test]
async fn a_provider_is_not_removed_under_a_run_at_work() {
    let (go_on, waits) = oneshot::channel();
    let (url, server) = slow_server(waits).await;
    let project = project();
    project.write("flow.yaml", flow("mine"));
    add(&project, "mine", &url, &[]).await.expect(0);
    let running = project.fusion_kit(["run", "flow.yaml", "--quiet"]).start();
    let run = project
        .until("the turn", |run| run["steps"][0]["state"] == "running")
        .await;
    let says = format!(
        "the provider 'mine' is in use: a process works on run {} (agent 'worker')",
        run["id"].as_str().unwrap()
    );
    for force in [&[][..], &["--force"]] {
        let remove = ["provider", "remove", "mine"].iter().chain(force);
        project.run(remove).await.expect(5).says(&[&says]);
    }
    // The others look at the store beside the run.
    project.run(["provider", "list"]).await.expect(0);
    let busy = project.run(["provider", "disable", "mine"]).await;
    busy.expect(5).says(&["another fusion-kit"]);
    go_on.send(()).unwrap();
    running.finish().await.expect(0);
    server.await.unwrap();
    project.run(["provider", "remove", "mine"]).await.expect(0);
}
