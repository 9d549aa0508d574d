//! Commands about agents say the same without a server, through the one that owns the data directory,
//! and through one that is named.

use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::client::Serving;
use crate::live_answers::slow_server;
use crate::support::{Finished, Project};

const SCRIPT: &str = r#"
version: 1
steps:
  task:
    - tool_calls: [{ name: write_file, arguments: { path: projects/poem.txt, content: "bees" } }]
    - text: "Done."
"#;

const TWO_STEPS: &str = "
version: 1
name: flow
agents:
  worker: { provider: mine, model: tiny }
steps:
  - { id: first, agent: worker, prompt: one }
  - { id: second, agent: worker, needs: [first], prompt: two }
";

/// The life of an agent: all that can be said to one, right and wrong.
const LIFE: [&str; 51] = [
    "agent list",
    "agent spawn --name w --provider scripted --model nowhere.yaml",
    "agent spawn --name w --provider scripted --model script.yaml --tools files --host docs.rs",
    "agent spawn --name crew --count 2 --provider scripted --model script.yaml --capabilities a,b",
    "agent spawn --name w --model script.yaml",
    "agent spawn --name w --provider scripted --model script.yaml --project nothing",
    "agent list --json",
    "agent list --state paused --json",
    "agent get w --json",
    "agent get ww",
    "agent attach ww",
    "agent attach w --json",
    "agent pause w --json",
    "agent pause w",
    "agent attach w",
    "agent send w More. --wait",
    "agent resume w --json",
    "agent resume w",
    "agent restart w crew-1 --at now --json",
    "agent restart w",
    "agent restart w nobody",
    "agent update w --max-turns 7 --tools files,messages --json",
    "agent update w --tools wings",
    "agent send w Write about bees. --wait --json",
    "agent logs w --json",
    "agent logs w --limit 1",
    "agent attach w --limit 1",
    "workspace files w projects --json",
    "workspace files w projects/poem.txt",
    "workspace files w .agent",
    "workspace read w projects/poem.txt",
    "workspace read w projects/../.env",
    "workspace read w .env",
    "workspace diff w",
    "workspace export w projects --to out.tar --json",
    "workspace export w projects --to out.tar",
    "workspace export w projects/nothing --to other.tar",
    "workspace merge w",
    "workspace commit w -m Mine",
    "workspace discard w --yes",
    "agent terminate w nobody",
    "agent terminate w --workspace remove --json",
    "agent send w More.",
    "agent restart w",
    "agent attach w",
    "workspace discard w --json",
    "agent terminate --all",
    "workspace gc --dry-run --json",
    "workspace discard crew-1",
    "agent list --all --json",
    "agent list",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Here,
    Owner,
    Named,
}

/// What differs from one time to the next, replaced.
fn scrubbed(value: &mut Value, project: &str) {
    match value {
        Value::String(text) => {
            if Uuid::try_parse(text).is_ok() {
                *text = "ID".to_owned();
            } else if text.len() > 19 && text.as_bytes()[10] == b'T' && text.ends_with('Z') {
                *text = "TIME".to_owned();
            } else {
                *text = plain(text, project);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| scrubbed(one, project)),
        Value::Object(all) => all.values_mut().for_each(|one| scrubbed(one, project)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text without the folder of the test, ids, times and how long something took.
pub(super) fn plain(text: &str, project: &str) -> String {
    let text = text.replace(project, "PROJECT");
    let words = text.split(' ').map(|word| {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_clock = core.len() == 8 && core.bytes().filter(|byte| *byte == b':').count() == 2;
        let is_day = core.len() == 10 && core.bytes().filter(|byte| *byte == b'-').count() == 2;
        let is_time = core
            .strip_suffix('s')
            .is_some_and(|core| core.parse::<f64>().is_ok());
        if word.split(['/', '\n']).any(|part| {
            Uuid::try_parse(part.trim_matches(|c: char| !c.is_ascii_hexdigit())).is_ok()
        }) {
            "ID".to_owned()
        } else if is_clock || is_day || is_time {
            "TIME".to_owned()
        } else {
            word.to_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// How a command ended and what it said, the same each time.
pub(crate) fn told(project: &Project, done: &Finished) -> (Option<i32>, String, String) {
    let folder = project.path().to_str().unwrap();
    let stdout = match serde_json::from_str::<Value>(&done.stdout) {
        Ok(mut value) => {
            scrubbed(&mut value, folder);
            format!("{value:#}")
        }
        Err(_) => plain(&done.stdout, folder),
    };
    (done.code, stdout, plain(&done.stderr, folder))
}

/// What each command of the life says.
async fn lived(way: Way) -> Vec<(&'static str, (Option<i32>, String, String))> {
    let project = Project::with("", SCRIPT);
    let serving = match way {
        Way::Here => None,
        Way::Owner | Way::Named => Some(Serving::on(&project).await),
    };
    let elsewhere = Project::new();
    let mut all = Vec::new();
    for line in LIFE {
        let words = line.split(' ').chain(["--quiet"]);
        let done = match (&serving, way) {
            (Some(serving), Way::Named) => {
                let mut command = project
                    .fusion_kit(words)
                    .env("FUSION_SERVER", format!("http://{}", serving.address))
                    .env("FUSION_TOKEN", &serving.token);
                // Nothing of the server's directory may be looked at.
                let nowhere = elsewhere.path().join("none");
                command = command.env("FUSION_KIT_DATA_DIR", nowhere);
                command.finish().await
            }
            _ => project.fusion_kit(words).finish().await,
        };
        all.push((line, told(&project, &done)));
    }
    all
}

#[tokio::test]
async fn an_agents_life_is_told_alike_without_a_server_and_through_one() {
    let here = lived(Way::Here).await;
    for (way, through) in [
        (Way::Owner, lived(Way::Owner).await),
        (Way::Named, lived(Way::Named).await),
    ] {
        for ((line, here), (_, through)) in here.iter().zip(&through) {
            assert_eq!(here.0, through.0, "{way:?} {line}: {here:?} {through:?}");
            assert_eq!(here.1, through.1, "{way:?} {line}");
            let is_about_place = here.2.contains("PROJECT") || here.2.contains("there are no");
            if way == Way::Owner && !here.2.contains("nowhere.yaml") {
                assert_eq!(here.2, through.2, "{line}");
            } else if !is_about_place {
                let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
                assert_eq!(first(&here.2), first(&through.2), "{way:?} {line}");
            }
        }
    }
}

#[tokio::test]
async fn a_message_that_failed_is_sent_again_through_the_server() {
    let project = Project::with("", SCRIPT);
    let serving = Serving::on(&project).await;
    let said = async |line: &str| project.run(line.split(' ')).await;
    said("agent spawn --name w --provider scripted --model script.yaml")
        .await
        .expect(0);
    said("agent pause w").await.expect(0);
    let sent = said("agent send w More. --json").await.expect(0).json();
    let id = sent["message"].as_str().unwrap().to_owned();
    let refused = said(&format!("message resend {id}")).await;
    refused.expect(5).says(&["pending"]);
    said("agent terminate w").await.expect(0);
    let failed = |message: &Value| message["delivery_status"] == "failed";
    serving
        .until(&format!("/api/v1/messages/{id}"), failed)
        .await;
    let refused = said(&format!("message resend {id}")).await;
    refused.expect(5).says(&["nobody is left to read"]);
}

#[tokio::test]
async fn a_provider_is_replaced_and_taken_away_through_the_server() {
    let (_go_on, waits) = oneshot::channel();
    let (url, _model) = slow_server(waits).await;
    let mut project = Project::new();
    let key_file = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key_file);
    project.set("MINE_KEY", "canary-4711");
    let serving = Serving::on(&project).await;
    let line = ["provider", "add", "mine", "--type", "openai-compatible"];
    let line = [&line[..], &["--base-url", url.as_str()]].concat();
    let add = async |rest: &[&str]| project.run(line.iter().chain(rest)).await;
    add(&["--key-env", "MINE_KEY"]).await.expect(0);
    add(&[]).await.expect(5).says(&["mine"]);
    let stored = async || {
        let page = serving.get("/api/v1/providers?name=mine").await;
        page.expect(200).json()["providers"][0].clone()
    };
    let before = stored().await;
    add(&["--replace", "--requests-per-minute", "30"])
        .await
        .expect(0);
    let after = stored().await;
    assert_eq!(after["id"], before["id"]);
    assert_eq!(after["rate_limits"]["requests_per_minute"], 30);
    assert_eq!(after["has_credentials"], true, "the key stays at its place");
    let elsewhere = [
        "provider",
        "add",
        "mine",
        "--type",
        "openai-compatible",
        "--replace",
    ];
    let elsewhere = elsewhere
        .iter()
        .chain(&["--base-url", "http://127.0.0.1:9/v1"]);
    let refused = project.run(elsewhere).await;
    assert_ne!(refused.code, Some(0), "{refused:?}");
    refused.says(&["the stored key of mine belongs to"]);
    let remove = ["provider", "remove", "mine"];
    project.run(remove).await.expect(0);
    assert_eq!(serving.get("/api/v1/providers").await.json()["total"], 0);
}

/// Records that are made once, and what is refused about them then.
const RECORDS: [&str; 5] = [
    "project create shop",
    "capability create writing",
    "token create ci --scope read",
    "workflow create flow.yaml",
    "schedule create nightly --workflow flow --cron '0 3 * * *'",
];
const REFUSED: [&str; 14] = [
    "project create shop",
    "capability create writing",
    "token create ci --scope read",
    "schedule create nightly --workflow flow --cron '0 3 * * *'",
    "project get shops",
    "project delete nothing",
    "project update nothing --description x",
    "capability delete nothing",
    "token revoke nothing",
    "schedule pause nothing",
    "webhook remove nothing",
    "webhook add http://127.0.0.1:1/",
    "schedule create other --workflow flow --cron 'often'",
    "project create shop --budget much",
];

async fn refusals(project: &Project) -> Vec<(&'static str, Option<i32>, String)> {
    let mut said = Vec::new();
    for line in REFUSED {
        let done = project.run(shlex::split(line).unwrap()).await;
        said.push((line, done.code, done.stderr));
    }
    said
}

#[tokio::test]
async fn what_is_refused_about_records_is_said_the_same_with_a_server_and_without() {
    let project = Project::with(TWO_STEPS, SCRIPT);
    for line in RECORDS {
        project.run(shlex::split(line).unwrap()).await.expect(0);
    }
    let bare = refusals(&project).await;
    let taken = "error: there is already a project 'shop'\nhelp: choose another name\n";
    assert_eq!(bare[0], (REFUSED[0], Some(5), taken.to_owned()));
    let _serving = Serving::on(&project).await;
    assert_eq!(refusals(&project).await, bare);
}

#[tokio::test]
async fn a_provider_is_forced_away_through_the_server_but_not_under_an_agent_at_work() {
    let (go_on, waits) = oneshot::channel();
    let (url, model) = slow_server(waits).await;
    let mut project = Project::with(TWO_STEPS, SCRIPT);
    let key_file = project.path().join("master.key").display().to_string();
    project.set("FUSION_MASTER_KEY_FILE", key_file);
    project.set("MINE_KEY", "canary-4711");
    let serving = Serving::on(&project).await;
    let said = async |line: &str| project.run(line.split(' ')).await;
    let add = "provider add mine --type openai-compatible --key-env MINE_KEY --base-url";
    said(&format!("{add} {url}")).await.expect(0);
    let run = super::start(&serving, &project, "flow.yaml").await;
    let state = |agents: &Value| agents["agents"][0]["state"].as_str().map(str::to_owned);
    let is_at_work = |agents: &Value| state(agents).as_deref() == Some("working");
    serving.until("/api/v1/agents", is_at_work).await;
    said(&format!("run pause {run}")).await.expect(0);
    let at_work = "the provider 'mine' is in use: the agent 'worker' is at work with it";
    for line in ["provider remove mine", "provider remove mine --force"] {
        said(line).await.expect(5).says(&[at_work]);
    }
    go_on.send(()).unwrap();
    model.await.unwrap();
    let is_free = |agents: &Value| !is_at_work(agents);
    serving.until("/api/v1/agents", is_free).await;
    let refused = said("provider remove mine").await.expect(5);
    refused.says(&["the agent 'worker' asks it", "provider remove mine --force"]);
    said("provider remove mine --force").await.expect(0);
    assert_eq!(serving.get("/api/v1/providers").await.json()["total"], 0);
    let wrong = serving.request(
        "DELETE",
        "/api/v1/providers/00000000-0000-7000-8000-000000000000?force=perhaps",
    );
    wrong.send().await.expect(400);
}
