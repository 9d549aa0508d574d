//! Projects that take nothing new, through the command line and through a server.

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::Serving;
use super::through::{self, plain};
use crate::support::{Finished, Project};

const FLOW: &str = "
version: 1
name: flow
agents:
  worker: { provider: scripted, model: script.yaml }
steps:
  - { id: first, agent: worker, prompt: Say one. }
";

const CALLER: &str = "
version: 1
name: caller
steps:
  - { id: call, workflow: flow }
";

const SCRIPT: &str = "
version: 1
steps:
  first: [{ text: one }]
  task: [{ text: Done. }]
";

/// What the words in braces stand for: the command that tells it, and where in its JSON it is.
const NEWEST: [(&str, &str, &str); 2] = [
    ("{run}", "run list --json", "/runs/0/id"),
    ("{task}", "task list --json --state queued", "/tasks/0/id"),
];

/// What is said to a project in its life, how that ends, and what is told then.
const LIFE: [(&str, i32, &str); 42] = [
    ("project create shop", 0, "made the project shop"),
    ("workflow create flow.yaml --project shop", 0, ""),
    ("workflow start flow", 0, ""),
    (
        "schedule create nightly --workflow flow --cron '0 3 * * *'",
        0,
        "",
    ),
    (
        "agent spawn --name w --provider scripted --model script.yaml --project shop",
        0,
        "",
    ),
    (
        "agent spawn --name crew --count 4 --provider scripted --model script.yaml --project shop",
        0,
        "",
    ),
    (
        "task create Wait. --name late --project shop --in 1d --capabilities none",
        0,
        "",
    ),
    (
        "project archive shop",
        5,
        "the project 'shop' is still worked in: 5 agents (crew-4, crew-3, crew-2 and 2 more); 1 task (",
    ),
    ("task cancel {task}", 0, ""),
    ("agent terminate --all", 0, ""),
    (
        "project archive shop",
        5,
        "the project 'shop' is still worked in: 1 schedule (nightly)",
    ),
    (
        "project archive shop",
        5,
        "end that first, with: schedule pause SCHEDULE",
    ),
    ("schedule pause nightly", 0, ""),
    (
        "project unarchive shop",
        0,
        "the project shop takes new work",
    ),
    (
        "project archive shop",
        0,
        "the project shop is archived since",
    ),
    (
        "project archive shop",
        0,
        "the project shop is archived since",
    ),
    ("project archive shop --json", 0, "\"archived_at\":\"20"),
    (
        "project list",
        0,
        "every project is archived; see them with:",
    ),
    ("project list --archived", 0, "ARCHIVED"),
    ("project list --all", 0, "ARCHIVED"),
    ("project get shop", 0, "archived 20"),
    ("project use shop", 5, "the project 'shop' is archived"),
    (
        "agent spawn --name w --provider scripted --model script.yaml --project shop",
        5,
        "let it take new work again with: project unarchive shop",
    ),
    (
        "task create Go. --project shop",
        5,
        "let it take new work again with: project unarchive shop",
    ),
    ("task retry {ended}", 5, "the project 'shop' is archived"),
    ("workflow start flow", 5, "the project 'shop' is archived"),
    (
        "workflow start flow",
        5,
        "let it take new work again with: project unarchive shop",
    ),
    (
        "run fork {run} --from first",
        5,
        "the project 'shop' is archived",
    ),
    (
        "schedule resume nightly",
        5,
        "the project 'shop' is archived",
    ),
    (
        "schedule create hourly --workflow flow --cron '0 * * * *'",
        5,
        "the project 'shop' is archived",
    ),
    (
        "workflow create caller.yaml --project shop",
        5,
        "the project 'shop' is archived",
    ),
    (
        "run caller.yaml",
        6,
        "the workflow 'flow' can't be run: the project 'shop' is archived",
    ),
    ("project create shop", 5, "choose another name"),
    ("project update shop --description closed", 0, "closed"),
    ("budget set shop 20", 0, "$20"),
    ("budget list", 0, "shop"),
    ("metrics cost --by project", 0, "shop"),
    ("workflow list", 0, "flow"),
    (
        "project unarchive shop",
        0,
        "the project shop takes new work",
    ),
    ("schedule resume nightly", 0, ""),
    ("workflow start flow", 0, ""),
    ("task create Go. --project shop --in 1d", 0, ""),
];

/// The words of a line, each name in braces replaced by what it stands for.
async fn meant(project: &Project, line: &str, ended: &str) -> Vec<String> {
    let mut line = line.replace("{ended}", ended);
    for (name, command, pointer) in NEWEST {
        if line.contains(name) {
            let told = project.run(command.split(' ')).await.expect(0).json();
            line = line.replace(name, told.pointer(pointer).unwrap().as_str().unwrap());
        }
    }
    shlex::split(&line).unwrap()
}

/// What a command said, with one space between words: columns are as wide as what is in them.
fn told(project: &Project, done: &Finished) -> (String, String) {
    let folder = project.path().to_str().unwrap();
    let clean = |text: &str| {
        let lines = text.lines().map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            plain(&words.join(" "), folder)
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    let stdout = if done.stdout.starts_with('{') {
        through::told(project, done).1
    } else {
        clean(&done.stdout)
    };
    (stdout, clean(&done.stderr))
}

/// What each line of the life says.
async fn lived(has_server: bool) -> Vec<(&'static str, String, String)> {
    let project = Project::with(FLOW, SCRIPT);
    project.write("caller.yaml", CALLER);
    let serving = match has_server {
        true => Some(Serving::on(&project).await),
        false => None,
    };
    let mut ended = String::new();
    let mut all = Vec::new();
    for (line, code, wanted) in LIFE {
        let words = meant(&project, line, &ended).await;
        if let ["task", "cancel", id] = words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            id.clone_into(&mut ended);
        }
        let done = project
            .run(words.iter().map(String::as_str).chain(["--quiet"]))
            .await;
        assert_eq!(done.code, Some(code), "{line}: {done:?}");
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(said.contains(wanted), "{line}: {said}");
        let (stdout, stderr) = told(&project, &done);
        all.push((line, stdout, stderr));
    }
    let list = "events list --json --type project.archived --type project.unarchived";
    let events = project.run(list.split(' ')).await.expect(0).json();
    let events: Vec<Value> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| json!([event["event_type"], event["message"], event["data"]["name"]]))
        .collect();
    assert_eq!(
        events,
        [
            json!(["project.unarchived", "project shop unarchived", "shop"]),
            json!(["project.archived", "project shop archived", "shop"]),
        ]
    );
    if let Some(serving) = serving {
        serving.stop(Signal::TERM).await;
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_project_says_the_same_with_and_without_a_server() {
    let here = lived(false).await;
    let through = lived(true).await;
    for (one, other) in here.into_iter().zip(through) {
        // What a task waits for is another thing where a server hosts the agents.
        if !one.0.contains(" --in ") {
            assert_eq!(one, other);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_archived_by_a_route_that_may_be_asked_again() {
    let project = Project::with(FLOW, SCRIPT);
    let serving = Serving::on(&project).await;
    let made = serving
        .post("/api/v1/projects", &json!({ "name": "shop" }))
        .await;
    let made = made.expect(201).json();
    let id = made["id"].as_str().unwrap();
    let archive = format!("/api/v1/projects/{id}/archive");
    let ask = async |path: &str| {
        let answer = serving.post(path, &json!({})).await;
        answer.expect(200).json()
    };
    let first = ask(&archive).await;
    let mut expected = made.clone();
    expected["archived_at"] = first["archived_at"].clone();
    expected["updated_at"] = first["archived_at"].clone();
    assert!(first["archived_at"].is_string(), "{first}");
    assert_eq!(first, expected);
    assert_eq!(ask(&archive).await, first);

    let list = async |query: &str| {
        let path = format!("/api/v1/projects{query}");
        serving.get(&path).await.expect(200).json()["total"].clone()
    };
    let archived = list("?archived=true").await;
    let others = list("?archived=false").await;
    assert_eq!(json!([list("").await, archived, others]), json!([1, 1, 0]));
    let task = json!({ "description": "Go.", "project": "shop" });
    let refused = serving.post("/api/v1/tasks", &task).await;
    let refused = refused.expect(409).json();
    assert_eq!(
        json!([refused["detail"], refused["hint"]]),
        json!([
            "the project 'shop' is archived",
            "let it take new work again with: project unarchive shop"
        ])
    );
    let open = ask(&format!("/api/v1/projects/{id}/unarchive")).await;
    assert_eq!(open["archived_at"], json!(null));
    let asked = serving
        .get("/api/v1/events?event_type=record.changed")
        .await;
    let asked = asked.expect(200).json();
    let told: Vec<&Value> = asked["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["data"]["action"])
        .collect();
    // Once for each change: the second archiving changed nothing.
    assert_eq!(json!(told), json!(["unarchived", "archived", "created"]));
    serving.stop(Signal::TERM).await;
}
