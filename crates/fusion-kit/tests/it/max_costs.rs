//! A limit that a run is started with stops it while it runs, as the budget of its file does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use serde_json::{Value, json};

use crate::api::Serving;
use crate::providers::{add, project};
use crate::support::{Finished, Project, said, states};

fn flow(more: &str) -> String {
    format!(
        "
version: 1
name: flow
{more}
agents:
  worker: {{ provider: or, model: tiny, max_tokens: 50 }}
steps:
  - {{ id: first, agent: worker, prompt: Say one. }}
  - {{ id: second, agent: worker, needs: first, prompt: Say two. }}
"
    )
}

fn answer(body: &Value) -> Vec<Act> {
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    vec![Act::Send((head + &body).into_bytes())]
}

/// A model of which each call costs 10 cents, and can cost no more.
async fn server() -> MisbehavingHttp {
    serving_model(|| {
        let message = json!({ "content": "done" });
        answer(&completion("stop", &message))
    })
    .await
}

/// One that asks for another file with each answer, a moment after it was asked.
async fn busy_server() -> MisbehavingHttp {
    let asked = AtomicU32::new(0);
    serving_model(move || {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let arguments = json!({ "path": format!("projects/{number}") }).to_string();
        let function = json!({ "name": "read_file", "arguments": arguments });
        let call =
            json!({ "id": format!("call-{number}"), "type": "function", "function": function });
        let message = json!({ "content": null, "tool_calls": [call] });
        let mut acts = vec![Act::Wait(Duration::from_millis(100))];
        acts.extend(answer(&completion("tool_calls", &message)));
        acts
    })
    .await
}

fn completion(finish_reason: &str, message: &Value) -> Value {
    json!({
        "id": "gen-1",
        "choices": [{ "finish_reason": finish_reason, "message": message }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 50, "cost": 0.1 },
    })
}

async fn serving_model(complete: impl Fn() -> Vec<Act> + Send + Sync + 'static) -> MisbehavingHttp {
    let server = MisbehavingHttp::start(move |request: &HttpRequest| {
        if request.path.contains("/models") {
            let pricing = json!({ "prompt": "0", "completion": "0.002" });
            let longest = json!({ "max_completion_tokens": 50 });
            let model = json!({ "id": "tiny", "pricing": pricing, "top_provider": longest });
            return answer(&json!({ "data": [model] }));
        }
        complete()
    });
    server.await.unwrap()
}

async fn shop(server: &MisbehavingHttp, more: &str) -> Project {
    let project = project();
    project.write("flow.yaml", flow(more));
    let url = format!("{}/v1", server.url());
    let named = add(&project, "or", &url, &["--type", "openrouter"]).await;
    named.expect(0);
    project
}

const BOTH: [(&str, &str); 2] = [("first", "completed"), ("second", "completed")];

#[tokio::test]
async fn a_run_stops_at_the_limit_that_it_was_started_with_and_goes_on_with_more() {
    let server = server().await;
    let project = shop(&server, "").await;
    said(&project, "workflow create flow.yaml").await.expect(0);
    let full =
        "the budget of the run is used up: $0.1 of $0.15 are spent, and the call could cost $0.1";
    for line in ["run flow.yaml", "workflow start flow"] {
        let stopped = said(&project, &format!("{line} --max-cost 0.15")).await;
        stopped.expect(9).says(&[full, "--budget-usd"]);
        let shown = project.shown().await;
        let first = [("first", "completed"), ("second", "queued")];
        assert_eq!(states(&shown), first, "{line}");
        assert_eq!(shown["max_cost_usd"], "0.15");
        let inbox = said(&project, "inbox --json").await.expect(0).json();
        let item = &inbox["items"][0];
        assert_eq!(
            (&item["kind"], &item["run"]),
            (&json!("budget"), &shown["id"])
        );
        // The limit holds again without more, and a new attempt has it too.
        said(&project, "resume").await.expect(9).says(&[full]);
        let id = shown["id"].as_str().unwrap();
        if line.starts_with("run") {
            said(&project, "resume --budget-usd 1").await.expect(0);
            assert_eq!(states(&project.shown().await), BOTH);
        } else {
            said(&project, &format!("run cancel {id}")).await.expect(0);
            said(&project, &format!("run retry {id}")).await.expect(0);
            let again = project.shown().await;
            assert_eq!(again["max_cost_usd"], "0.15");
            assert_eq!(states(&again), BOTH, "its costs count anew");
        }
    }
    let wrong = said(&project, "run flow.yaml --max-cost two").await;
    wrong.expect(2).says(&["--max-cost is 'two'"]);
    let unlimited = said(&project, "run flow.yaml").await.expect(0);
    assert!(!unlimited.stdout.contains("max_cost"), "{unlimited:?}");
    assert_eq!(project.shown().await["max_cost_usd"], Value::Null);
}

#[tokio::test]
async fn a_limit_that_is_above_that_of_the_file_changes_nothing() {
    let server = server().await;
    let project = shop(&server, "budget: { usd: 0.05 }").await;
    let stopped = said(&project, "run flow.yaml --max-cost 9").await;
    stopped.expect(9).says(&["$0 of $0.05 are spent"]);
    assert_eq!(project.shown().await["max_cost_usd"], "0.05");
}

#[tokio::test]
async fn a_run_of_a_server_has_the_limit_of_the_request_until_it_is_raised() {
    let server = server().await;
    let project = shop(&server, "").await;
    said(&project, "workflow create flow.yaml").await.expect(0);
    let serving = Serving::on(&project).await;
    let workflows = serving.get("/api/v1/workflows").await.expect(200).json();
    let id = workflows["workflows"][0]["id"].as_str().unwrap();
    let start = format!("/api/v1/workflows/{id}/start");
    let refused = serving
        .post(&start, &json!({ "max_cost_usd": "two" }))
        .await;
    assert!(refused.expect(400).body.contains("max_cost_usd"));
    let limited = json!({ "max_cost_usd": "0.15" });
    let started = serving.post(&start, &limited).await.expect(200).json();
    let run = format!("/api/v1/runs/{}", started["run_id"].as_str().unwrap());
    let waits = |inbox: &Value| inbox["items"][0]["kind"] == "budget";
    let inbox = serving.until("/api/v1/inbox", waits).await;
    assert_eq!(inbox["items"][0]["run"], started["run_id"]);
    let shown = serving.get(&run).await.expect(200).json();
    assert_eq!(shown["max_cost_usd"], "0.15");
    let raise = json!({ "budget_usd": "1" });
    serving
        .post(&format!("{run}/resume"), &raise)
        .await
        .expect(200);
    let is_done = |run: &Value| run["state"] == "completed";
    let done = serving.until(&run, is_done).await;
    assert_eq!(states(&done), BOTH);
}

#[tokio::test]
async fn a_task_waits_at_its_limit_and_goes_on_at_once_with_more() {
    let server = server().await;
    let project = shop(&server, "").await;
    said(&project, "run flow.yaml").await.expect(0);
    let step = project.shown().await["steps"][0]["task_id"].clone();
    let spawn = "agent spawn --name w --provider or --model tiny";
    said(&project, spawn).await.expect(0);
    let create = "task create Work. --name job --max-cost 0.05 --json";
    let id_of = |made: Finished| made.expect(0).json()["id"].as_str().unwrap().to_owned();
    let first = id_of(said(&project, create).await);
    let serving = Serving::on(&project).await;
    let waits = |inbox: &Value| inbox["items"][0]["kind"] == "task_budget";
    let inbox = serving.until("/api/v1/inbox", waits).await;
    let item = &inbox["items"][0];
    assert_eq!((&item["id"], &item["name"]), (&json!(first), &json!("job")));
    let told = said(&project, "inbox").await.expect(0);
    let way = format!("fusion-kit task update {first} --max-cost USD");
    for part in [
        "$0 of $0.05 are spent, and the call could cost $0.1",
        way.as_str(),
    ] {
        assert!(told.stdout.contains(part), "{}", told.stdout);
    }
    let update = format!("task update {first} --max-cost");
    said(&project, &format!("{update} two")).await.expect(2);
    said(&project, &format!("task update {first}"))
        .await
        .expect(2);
    // Another attempt has the limit of the first.
    said(&project, &format!("task cancel {first}"))
        .await
        .expect(0);
    said(&project, &format!("{update} 1")).await.expect(5);
    let again = format!("task retry {first} --json");
    let second = id_of(said(&project, &again).await);
    let waits = |inbox: &Value| inbox["items"][0]["id"] == json!(second);
    serving.until("/api/v1/inbox", waits).await;
    let raise = format!("task update {second} --max-cost 1");
    said(&project, &raise).await.expect(0);
    let wait = format!("task wait {second} --timeout 50s --json");
    let done = said(&project, &wait).await.expect(0).json();
    assert_eq!(done["tasks"][0]["state"], "completed");
    let inbox = said(&project, "inbox --json").await.expect(0).json();
    assert_eq!(inbox["items"], json!([]));
    let step = format!("task update {} --max-cost 1", step.as_str().unwrap());
    said(&project, &step)
        .await
        .expect(5)
        .says(&["is a step of run"]);
}

#[tokio::test]
async fn a_task_that_the_limit_of_a_life_stops_waits_for_a_person() {
    let server = server().await;
    let project = shop(&server, "").await;
    let spawn = "agent spawn --name w --provider or --model tiny --max-cost 0.05";
    said(&project, spawn).await.expect(0);
    let mut tasks = Vec::new();
    for more in ["", " --max-cost 9"] {
        let create = format!("task create Work. --name job{} --json{more}", tasks.len());
        let made = said(&project, &create).await.expect(0).json();
        tasks.push(made["id"].clone());
    }
    let serving = Serving::on(&project).await;
    let both = |inbox: &Value| inbox["items"].as_array().unwrap().len() == 2;
    let inbox = serving.until("/api/v1/inbox", both).await;
    let items = inbox["items"].as_array().unwrap();
    let mut ids: Vec<Value> = items.iter().map(|item| item["id"].clone()).collect();
    ids.sort_by_key(ToString::to_string);
    tasks.sort_by_key(ToString::to_string);
    assert_eq!(ids, tasks);
    let full = "the budget of the life of the agent 'w' is used up: $0 of $0.05 are spent";
    let way = "`fusion-kit agent update w --max-cost USD`";
    for item in items {
        assert_eq!(item["kind"], "budget_around");
        let told = item["message"].as_str().unwrap();
        assert!(told.contains(full) && told.ends_with(way), "{told}");
    }
    let told = said(&project, "inbox").await.expect(0).stdout;
    assert!(told.contains("was stopped by a limit around it"), "{told}");
    assert!(!told.contains("task update"), "{told}");
}

#[tokio::test]
async fn a_limit_of_a_task_leaves_the_same_trace_with_and_without_a_server() {
    let server = server().await;
    let project = shop(&server, "").await;
    let create = "task create Work. --name job --max-cost 0.05 --json";
    let made = said(&project, create).await.expect(0).json();
    let task = made["id"].as_str().unwrap().to_owned();
    let trace = async |usd: &str| {
        let update = format!("task update {task} --max-cost {usd}");
        said(&project, &update).await.expect(0);
        let events = said(&project, "events list --type record.changed --json").await;
        let events = events.expect(0).json();
        let events = events["events"].as_array().unwrap().iter();
        let limits = events.filter(|event| event["data"]["max_cost_usd"] == json!(usd));
        let limits: Vec<Value> = limits.cloned().collect();
        let [event] = &limits[..] else {
            panic!("{limits:?}")
        };
        let mut data = event["data"].clone();
        assert!(data["actor"]["name"].is_string());
        data["actor"] = json!(null);
        (data, event["run_id"].clone())
    };
    let expected = |usd: &str| {
        json!({
            "actor": null, "action": "updated", "resource_type": "task", "resource_id": task,
            "changed": ["max_cost_usd"], "max_cost_usd": usd,
        })
    };
    let (here, run) = trace("1").await;
    assert_eq!(here, expected("1"));
    let _serving = Serving::on(&project).await;
    let there = trace("2").await;
    assert_eq!(there, (expected("2"), run));
}

#[tokio::test]
async fn a_first_limit_stops_an_agent_that_is_at_work() {
    let server = busy_server().await;
    let project = shop(&server, "").await;
    for line in [
        "agent spawn --name w --provider or --model tiny",
        "agent update w --max-turns 200",
    ] {
        said(&project, line).await.expect(0);
    }
    let serving = Serving::on(&project).await;
    said(&project, "agent send w Go.").await.expect(0);
    let is_at_work = |agent: &Value| agent["agents"][0]["state"] == "working";
    serving.until("/api/v1/agents", is_at_work).await;
    let limit = "agent update w --max-cost 0.05";
    said(&project, limit).await.expect(0);
    let waits = |inbox: &Value| inbox["items"][0]["kind"] == "budget";
    let inbox = serving.until("/api/v1/inbox", waits).await;
    let told = inbox["items"][0]["message"].as_str().unwrap();
    let full = "the budget of the life of the agent 'w' is used up: $";
    let calls = told.strip_prefix(full).unwrap_or_default();
    assert!(calls.contains(" of $0.05 are spent"), "{told}");
}

/// The limit before and after each change of an agent's, as the event log tells it with who made it.
fn limits_in(log: &str) -> Vec<Value> {
    let events = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let changes = events.filter_map(|event| {
        let before = event["data"].get("max_cost_usd_before")?.clone();
        assert!(event["data"]["actor"]["name"].is_string(), "{event}");
        Some(json!([before, event["data"]["max_cost_usd"]]))
    });
    changes.collect()
}

#[tokio::test]
async fn the_limit_of_a_life_can_be_taken_away_and_each_change_of_it_is_told() {
    let server = server().await;
    let project = shop(&server, "").await;
    let spawn = "agent spawn --name w --provider or --model tiny --max-cost 0.05";
    said(&project, spawn).await.expect(0);
    let wrong = said(&project, "agent update w --max-cost no").await;
    wrong
        .expect(2)
        .says(&["--max-cost is 'no'", "; `none` takes a limit away"]);
    said(&project, "agent send w One. --wait").await.expect(9);
    said(&project, "agent update w --max-cost 0.06")
        .await
        .expect(0);
    said(&project, "agent update w --max-turns 9")
        .await
        .expect(0);
    let serving = Serving::on(&project).await;
    said(&project, "agent update w --max-cost none")
        .await
        .expect(0);
    let free = said(&project, "agent get w --json").await.expect(0).json();
    assert_eq!(free["budget"], Value::Null);
    let is_done = |runs: &Value| runs["runs"][0]["state"] == "completed";
    serving.until("/api/v1/runs", is_done).await;
    let log = said(&project, "events export --format jsonl")
        .await
        .expect(0);
    let changes = [json!(["0.05", "0.06"]), json!(["0.06", null])];
    assert_eq!(limits_in(&log.stdout), changes);
}

#[tokio::test]
async fn what_an_agent_spent_without_a_limit_counts_under_a_later_one() {
    let server = server().await;
    let project = shop(&server, "").await;
    let spawn = "agent spawn --name w --provider or --model tiny";
    said(&project, spawn).await.expect(0);
    for (line, code) in [
        ("agent send w One. --wait", 0),
        ("agent update w --max-cost 0.15", 0),
        ("agent send w Two. --wait", 9),
        ("agent update w --max-cost none", 0),
        ("resume", 0),
        ("agent update w --max-cost 0.25", 0),
    ] {
        said(&project, line).await.expect(code);
    }
    let full = "the budget of the life of the agent 'w' is used up: $0.2 of $0.25 are spent, and the \
                call could cost $0.1";
    let stopped = said(&project, "agent send w Three. --wait").await;
    stopped.expect(9).says(&[full]);
    let shown = said(&project, "agent get w --json").await.expect(0).json();
    assert_eq!(shown["budget"]["spent_usd"], "0.2");
}

#[tokio::test]
async fn an_agent_spends_no_more_than_its_limit_over_its_life_until_it_gets_more() {
    let server = server().await;
    let project = shop(&server, "").await;
    let spawn = "agent spawn --name w --count 2 --provider or --model tiny";
    let wrong = said(&project, &format!("{spawn} --max-cost two")).await;
    wrong.expect(2).says(&["--max-cost is 'two'"]);
    let spawned = said(&project, &format!("{spawn} --max-cost 0.15")).await;
    spawned.expect(0);
    for agent in ["w-1", "w-2"] {
        let first = said(&project, &format!("agent send {agent} One. --wait")).await;
        first.expect(0);
    }
    let full = "the budget of the life of the agent 'w-1' is used up: $0.1 of $0.15 are spent, and \
                the call could cost $0.1";
    let stopped = said(&project, "agent send w-1 Two. --wait").await;
    stopped
        .expect(9)
        .says(&[full, "agent update w-1 --max-cost USD"]);
    let spent = |limit: &str, spent: &str| {
        json!({
            "limit_usd": limit, "limit_tokens": null, "spent_usd": spent,
            "spent_tokens": 0, "lost_usd": "0", "lost_tokens": 0, "held_usd": "0", "held_tokens": 0,
        })
    };
    let of_life = async || {
        let shown = said(&project, "agent get w-1 --json")
            .await
            .expect(0)
            .json();
        let mut budget = shown["budget"].clone();
        budget["spent_tokens"] = json!(0);
        budget
    };
    assert_eq!(of_life().await, spent("0.15", "0.1"));
    let told = said(&project, "agent get w-1").await.expect(0).stdout;
    let line = "may spend $0.15 over its life: $0.1 are spent\n";
    assert!(told.contains(line), "{told}");
    said(&project, "resume").await.expect(9).says(&[full]);
    said(&project, "agent update w-1 --max-cost 1")
        .await
        .expect(0);
    said(&project, "resume").await.expect(0);
    assert_eq!(of_life().await, spent("1", "0.2"));
    let serving = Serving::on(&project).await;
    let agent = |usd: &str| json!({ "name": "a", "provider": "or", "model_name": "tiny", "max_cost_usd": usd });
    let refused = serving.post("/api/v1/agents", &agent("two")).await;
    assert!(refused.expect(400).body.contains("max_cost_usd"));
    let made = serving.post("/api/v1/agents", &agent("0.05")).await;
    made.expect(201);
    let shown = said(&project, "agent get a --json").await.expect(0).json();
    assert_eq!(shown["budget"]["limit_usd"], "0.05");
    said(&project, "agent send a One.").await.expect(0);
    let waits = |inbox: &Value| inbox["items"][0]["kind"] == "budget";
    let inbox = serving.until("/api/v1/inbox", waits).await;
    let told = inbox["items"][0]["message"].as_str().unwrap();
    let full = "the budget of the life of the agent 'a' is used up: $0 of $0.05 are spent";
    assert!(told.contains(full), "{told}");
    assert!(
        told.ends_with("`fusion-kit agent update a --max-cost USD`"),
        "{told}"
    );
}
