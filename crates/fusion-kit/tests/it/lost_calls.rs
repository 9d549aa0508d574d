//! Calls whose cost nobody knows: what they may have cost at most counts as used, in every budget that
//! held room for them.

use std::sync::atomic::{AtomicUsize, Ordering};

use fusion_testkit::{Act, HttpRequest, MisbehavingHttp};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::providers::{add, project};
use crate::support::{Project, said, step, wait_for};

const WORKFLOW: &str = "
version: 1
name: flow
total_budget: { usd: 9 }
agents:
  worker: { provider: or, model: tiny, max_tokens: 50 }
steps:
  - { id: work, agent: worker, prompt: Work. }
";

fn answer(status: &str, body: &Value) -> Vec<Act> {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nretry-after: 3600\r\n\r\n",
        body.len()
    );
    vec![Act::Send((head + &body).into_bytes())]
}

/// A model whose tokens have a price. The first turn is answered so, each other one well.
async fn server(first: Vec<Act>) -> MisbehavingHttp {
    let turns = AtomicUsize::new(0);
    MisbehavingHttp::start(move |request: &HttpRequest| {
        if request.path.contains("/models") {
            let pricing = json!({ "prompt": "0.001", "completion": "0.002" });
            let longest = json!({ "max_completion_tokens": 50 });
            let model = json!({ "id": "tiny", "pricing": pricing, "top_provider": longest });
            return answer("200 OK", &json!({ "data": [model] }));
        }
        if turns.fetch_add(1, Ordering::SeqCst) == 0 {
            return first.clone();
        }
        let answered = json!({
            "id": "gen-2",
            "choices": [{ "finish_reason": "stop", "message": { "content": "done" } }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 5, "cost": 0.5 },
        });
        answer("200 OK", &answered)
    })
    .await
    .unwrap()
}

/// A project with a budget in all and for a day, and the workflow in it.
async fn shop(server: &MisbehavingHttp) -> Project {
    let project = project();
    project.write("flow.yaml", WORKFLOW);
    let url = format!("{}/v1", server.url());
    let named = add(&project, "or", &url, &["--type", "openrouter"]).await;
    named.expect(0);
    let create = ["project", "create", "shop", "--budget-tokens", "5000"];
    let of_day = ["--budget-per-day", "8"];
    project.run(create.iter().chain(&of_day)).await.expect(0);
    let store = ["workflow", "create", "flow.yaml", "--project", "shop"];
    project.run(store).await.expect(0);
    project
}

/// How far the budgets in all, of the day and of the workflow are used up: what is spent, lost and held,
/// in US dollars and tokens, which is the same of all three.
async fn used(project: &Project) -> [(String, u64); 3] {
    let told = project.run(["project", "get", "shop", "--json"]).await;
    let budgets = told.expect(0).json()["budgets"].clone();
    let of = |budget: &Value| {
        ["spent", "lost", "held"].map(|part| {
            let usd = budget[format!("{part}_usd")].as_str().unwrap().to_owned();
            (usd, budget[format!("{part}_tokens")].as_u64().unwrap())
        })
    };
    let all = of(&budgets["total"]);
    assert_eq!(of(&budgets["today"]), all, "{budgets:#}");
    assert_eq!(of(&budgets["workflows"][0]["budget"]), all, "{budgets:#}");
    all
}

fn nothing() -> (String, u64) {
    ("0".to_owned(), 0)
}

/// What the call that is answered costs.
fn one_turn() -> (String, u64) {
    ("0.5".to_owned(), 15)
}

fn turns(server: &MisbehavingHttp) -> usize {
    let asked = server.requests();
    asked.iter().filter(|it| it.method == "POST").count()
}

/// Waits until the server was asked for a turn.
async fn asked(server: &MisbehavingHttp) {
    wait_for("the call", || (turns(server) > 0).then_some(())).await;
}

#[tokio::test]
async fn a_call_that_was_under_way_at_kill_9_counts_as_used_at_its_most_for_good() {
    let server = server(vec![Act::Hang]).await;
    let project = shop(&server).await;
    let running = project.fusion_kit(["workflow", "start", "flow"]).start();
    asked(&server).await;
    let [_, lost, held] = used(&project).await;
    assert!(held.1 > 50 && lost == nothing(), "{held:?}, {lost:?}");
    running.signal(Signal::KILL);
    running.finish().await;
    project.run(["resume"]).await.expect(0);
    assert_eq!(used(&project).await, [one_turn(), held.clone(), nothing()]);
    let (usd, call) = held;
    let told = project
        .run(["project", "get", "shop"])
        .await
        .expect(0)
        .stdout;
    let told_lost = format!(
        "in all   $0.5 spent, 15 of 5000 tokens used; lost calls may have cost up to ${usd} and {call} \
         tokens more, which count as used\n"
    );
    assert!(told.contains(&told_lost), "{told}");

    // The next run is refused a call that does not fit beside it, and fits to the last token.
    let used = 15 + call;
    for (limit, code) in [(used + call - 1, 9), (used + call, 0)] {
        let limit = limit.to_string();
        let update = ["project", "update", "shop", "--budget-tokens", &limit];
        project.run(update).await.expect(0);
        let command: &[&str] = match code {
            9 => &["workflow", "start", "flow"],
            _ => &["resume"],
        };
        let ended = project.run(command).await.expect(code);
        if code == 9 {
            ended.says(&[&format!(
                "the budget of the project 'shop' is used up: {used} of {limit} tokens are used, and the \
                 call could use {call}; that counts ${usd} and {call} tokens for lost calls whose cost is \
                 not known"
            )]);
        }
    }
}

#[tokio::test]
async fn a_call_that_was_under_way_at_kill_9_counts_once_for_the_life_of_its_agent() {
    let server = server(vec![Act::Hang]).await;
    let project = shop(&server).await;
    let spawn = "agent spawn --name w --provider or --model tiny --max-cost 9";
    said(&project, spawn).await.expect(0);
    let of_life = async || {
        let shown = said(&project, "agent get w --json").await.expect(0).json();
        let budget = shown["budget"].clone();
        ["spent", "lost", "held"].map(|part| {
            let usd = budget[format!("{part}_usd")].as_str().unwrap().to_owned();
            (usd, budget[format!("{part}_tokens")].as_u64().unwrap())
        })
    };
    let line = ["agent", "send", "w", "Work.", "--wait"];
    let running = project.fusion_kit(line).start();
    asked(&server).await;
    let [spent, lost, held] = of_life().await;
    assert_eq!((spent, lost), (nothing(), nothing()));
    assert!(held.1 > 50 && held.0 != "0", "{held:?}");
    running.signal(Signal::KILL);
    running.finish().await;
    project.run(["resume"]).await.expect(0);
    assert_eq!(of_life().await, [one_turn(), held.clone(), nothing()]);
    // Counted once, however often somebody starts again and calls.
    said(&project, "agent send w Again. --wait").await.expect(0);
    assert_eq!(of_life().await, [("1".to_owned(), 30), held, nothing()]);
}

#[tokio::test]
async fn a_call_that_was_under_way_at_kill_9_counts_as_used_also_when_its_run_is_cancelled_then() {
    let server = server(vec![Act::Hang]).await;
    let project = shop(&server).await;
    let running = project.fusion_kit(["workflow", "start", "flow"]).start();
    asked(&server).await;
    let [_, _, held] = used(&project).await;
    running.signal(Signal::KILL);
    running.finish().await;
    let id = project.shown().await["id"].as_str().unwrap().to_owned();
    project.run(["run", "cancel", &id]).await.expect(0);
    assert_eq!(used(&project).await, [nothing(), held, nothing()]);
}

#[tokio::test]
async fn a_call_whose_answer_broke_off_counts_as_used_at_its_most_also_for_later_processes() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
                 data: {\"choices\":[{\"delta\":{\"content\":\"wo\"}}]}\n\n";
    let server = server(vec![Act::Send(begun.into()), Act::Close]).await;
    let project = shop(&server).await;
    project.run(["workflow", "start", "flow"]).await.expect(0);
    assert_eq!(turns(&server), 2);
    let [spent, lost, held] = used(&project).await;
    assert_eq!((spent, held), (one_turn(), nothing()));
    assert!(lost.1 > 50 && lost.0 != "0", "{lost:?}");
}

#[tokio::test]
async fn a_call_that_a_limit_refused_costs_nothing_also_when_its_process_is_killed_then() {
    let limited = json!({ "error": { "message": "the daily quota is used up" } });
    let server = server(answer("429 Too Many Requests", &limited)).await;
    let project = shop(&server).await;
    let running = project.fusion_kit(["workflow", "start", "flow"]).start();
    let waits = |run: &Value| !step(run, "work")["waiting"].is_null();
    project.until("the step to wait", waits).await;
    running.signal(Signal::KILL);
    running.finish().await;
    project.run(["resume", "--now"]).await.expect(0);
    assert_eq!(used(&project).await, [one_turn(), nothing(), nothing()]);
}
