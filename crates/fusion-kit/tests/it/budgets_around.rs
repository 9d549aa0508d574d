//! Budgets around that of a run: of all runs of a workflow, of a project and of its day.

use fusion_core::{Account, Held, Spent};
use fusion_persistence::{AccountReader, Page, Repository, RunFilter};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::api::Serving;
use crate::crash::{die_at, go_on, result};
use crate::support::{Project, states};

const SCRIPT: &str = "
version: 1
steps:
  first:
    - text: one
  second:
    - text: two
  each:
    - text: x
";

/// Two steps in a row.
fn flow(more: &str) -> String {
    format!(
        "
version: 1
name: flow
{more}
agents:
  writer: {{ provider: scripted, model: script.yaml }}
steps:
  - {{ id: first, agent: writer, prompt: Say one. }}
  - {{ id: second, agent: writer, needs: first, prompt: Say two. }}
"
    )
}

fn tokens_of(run: &Value) -> u64 {
    let usage = &run["usage"];
    usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap()
}

/// What an account has used, beside what the runs say that they used.
async fn spent(project: &Project, account: &Account) -> (Spent, Spent) {
    let (store, _) = project.store().await;
    let [spent] = store
        .spent(std::slice::from_ref(account))
        .await
        .unwrap()
        .try_into()
        .unwrap();
    let runs = store.list(&RunFilter::default(), Page::first(100)).await;
    let mut told = Spent::default();
    for run in runs.unwrap() {
        told.tokens += run.usage.tokens();
        told.cost = told.cost + run.usage.cost;
    }
    (spent, told)
}

#[tokio::test]
async fn all_runs_of_a_workflow_have_one_budget_that_a_resume_can_raise() {
    let project = Project::with(&flow(""), SCRIPT);
    project.run(["run", "flow.yaml"]).await.expect(0);
    let one_run = tokens_of(&project.shown().await);
    let total = one_run + 5;
    let project = Project::with(
        &flow(&format!("total_budget: {{ tokens: {total} }}")),
        SCRIPT,
    );
    project.run(["run", "flow.yaml"]).await.expect(0);
    let stopped = project.run(["run", "flow.yaml"]).await.expect(9);
    stopped.says(&[
        "step 'second' has to wait: the budget of the workflow 'flow' is used up",
        &format!(" of {total} tokens are used"),
        "--budget-of workflow:flow",
    ]);
    let inbox = project.run(["inbox", "--json"]).await.expect(0).json();
    assert_eq!(inbox["items"][0]["kind"], "budget");
    let more = ["resume", "--budget-tokens", "99999", "--budget-of"];
    let of = |name| [&more[..], &[name]].concat();
    project
        .run(of("workflow:flw"))
        .await
        .expect(2)
        .says(&["the run has no workflow 'workflow:flw'"]);
    // The budget of the run itself is another one.
    project.run(&more[..3]).await.expect(9);
    project.run(of("workflow:flow")).await.expect(0);
    let (spent, told) = spent(&project, &Account::Workflow("flow".to_owned())).await;
    assert_eq!((spent, spent.tokens), (told, 2 * one_run));
}

#[tokio::test]
async fn many_agents_at_once_never_use_more_than_their_workflow_may() {
    // Each call could use its words and ten tokens more.
    let workflow = "
version: 1
name: flow
total_budget: { tokens: 1000 }
agents:
  writer: { provider: scripted, model: script.yaml, count: 8, max_tokens: 10 }
steps:
  - { id: each, agent: writer, foreach: '${{ range(60) | list }}', prompt: 'Say ${{ item }}.' }
";
    let project = Project::with(workflow, SCRIPT);
    let says = "the budget of the workflow 'flow' is used up";
    project
        .run(["run", "flow.yaml"])
        .await
        .expect(9)
        .says(&[says]);
    let (spent, told) = spent(&project, &Account::Workflow("flow".to_owned())).await;
    assert_eq!(spent, told);
    assert!((200..=1000).contains(&spent.tokens), "{spent:?}");
    let raised = ["--budget-tokens", "99999", "--budget-of", "workflow:flow"];
    let resume = [&["resume"][..], &raised].concat();
    project.run(resume).await.expect(0);
}

#[tokio::test]
async fn a_projects_budget_stops_its_runs_until_it_is_raised() {
    let project = Project::with(&flow(""), SCRIPT);
    let create = ["project", "create", "shop", "--budget-tokens", "20"];
    project.run(create).await.expect(0);
    let store = ["workflow", "create", "flow.yaml", "--project", "shop"];
    project.run(store).await.expect(0);
    let stopped = project.run(["workflow", "start", "flow"]).await.expect(9);
    stopped.says(&[
        "the budget of the project 'shop' is used up",
        "fusion-kit project update shop --budget USD",
    ]);
    let wrong = ["project", "update", "shop", "--budget", "much"];
    project
        .run(wrong)
        .await
        .expect(2)
        .says(&["the budget is 'much'"]);
    project.run(["project", "update", "shop"]).await.expect(2);
    let raise = ["project", "update", "shop", "--budget-tokens", "none"];
    project.run(raise).await.expect(0);
    project.run(["resume"]).await.expect(0);
    assert_eq!(
        states(&project.shown().await),
        [("first", "completed"), ("second", "completed")]
    );
    let shown = ["project", "get", "shop", "--json"];
    let shown = project.run(shown).await.expect(0).json();
    let id = shown["id"].as_str().unwrap().parse().unwrap();
    let (spent, told) = spent(&project, &Account::Project(id)).await;
    assert_eq!(spent, told);
}

#[tokio::test]
async fn what_was_spent_is_told_alike_without_a_server_beside_one_and_by_one() {
    let project = Project::with(&flow("total_budget: { usd: 3, tokens: 99999 }"), SCRIPT);
    let create = ["project", "create", "shop", "--budget-tokens", "5000"];
    project.run(create).await.expect(0);
    let store = ["workflow", "create", "flow.yaml", "--project", "shop"];
    project.run(store).await.expect(0);
    project.run(["workflow", "start", "flow"]).await.expect(0);
    let tokens = tokens_of(&project.shown().await);
    let get = ["project", "get", "shop"];
    let as_json = [&get[..], &["--json"]].concat();
    let text = project.run(get).await.expect(0).stdout;
    let all = format!("in all   $0 spent, {tokens} of 5000 tokens used\n");
    let flow = format!("workflow flow: $0 of $3 spent, {tokens} of 99999 tokens used\n");
    assert!(text.contains(&all) && text.contains(&flow), "{text}");
    let told = project.run(&as_json).await.expect(0).json();
    let of = |usd: Value, limit: Value| {
        json!({
            "limit_usd": usd, "limit_tokens": limit, "spent_usd": "0", "spent_tokens": tokens,
            "lost_usd": "0", "lost_tokens": 0, "held_usd": "0", "held_tokens": 0,
        })
    };
    let budgets = json!({
        "total": of(Value::Null, json!(5000)), "day": told["budgets"]["day"],
        "today": of(Value::Null, Value::Null),
        "workflows": [{ "workflow": "flow", "budget": of(json!("3"), json!(99999)) }],
    });
    assert_eq!(told["budgets"], budgets);
    let serving = Serving::on(&project).await;
    let beside = project.run(get).await.expect(0);
    assert_eq!(beside.stdout, text);
    let elsewhere = Project::new();
    let url = format!("http://{}", serving.address);
    let named = elsewhere.fusion_kit(as_json.iter().chain(&["--server", url.as_str()]));
    let named = named.env("FUSION_TOKEN", &serving.token).finish().await;
    assert_eq!(named.expect(0).json(), told);
    let path = format!("/api/v1/projects/{}/budgets", told["id"].as_str().unwrap());
    assert_eq!(serving.get(&path).await.expect(200).json(), budgets);
    let nobody = "/api/v1/projects/00000000-0000-7000-8000-000000000000/budgets";
    serving.get(nobody).await.expect(404);
}

#[tokio::test]
async fn a_projects_day_makes_steps_wait_for_the_next_one_or_for_a_person() {
    let project = Project::with(&flow(""), SCRIPT);
    let create = ["project", "create", "shop", "--budget-tokens-per-day", "20"];
    project.run(create).await.expect(0);
    let store = ["workflow", "create", "flow.yaml", "--project", "shop"];
    project.run(store).await.expect(0);
    let running = project.fusion_kit(["workflow", "start", "flow"]).start();
    let waits = |shown: &Value| {
        let waiting = shown["steps"][1]["waiting"].to_string();
        waiting.contains("of the project 'shop' is used up")
    };
    project.until("the second step to wait", waits).await;
    running.stop(Signal::INT).await;
    let raise = [
        "project",
        "update",
        "shop",
        "--budget-tokens-per-day",
        "99999",
    ];
    project.run(raise).await.expect(0);
    project.run(["resume", "--now"]).await.expect(0);
    assert_eq!(
        states(&project.shown().await),
        [("first", "completed"), ("second", "completed")]
    );
}

#[tokio::test]
async fn what_is_spent_is_exact_after_a_death_at_every_commit() {
    let text = flow("total_budget: { tokens: 99999 }");
    let text = text.replace("script.yaml }", "script.yaml, max_tokens: 10 }");
    let with_budget = || Project::with(&text, SCRIPT);
    let whole = with_budget();
    whole.run(["run", "flow.yaml", "--quiet"]).await.expect(0);
    let wanted = result(&whole).await;
    let account = Account::Workflow("flow".to_owned());
    let mut lost_at = Vec::new();
    for point in [
        "persistence_sql::before_commit",
        "persistence_sql::after_commit",
    ] {
        let mut deaths = 0;
        let mut lost = Vec::new();
        for passing in 0.. {
            let project = with_budget();
            let command = ["run", "flow.yaml", "--quiet"];
            if die_at(&project, &command, point, passing).await.is_none() {
                break;
            }
            deaths += 1;
            go_on(&project, "flow.yaml").await;
            let place = format!("death at {point}, passing {passing}");
            assert_eq!(result(&project).await, wanted, "{place}");
            let (spent, told) = spent(&project, &account).await;
            lost.extend((spent.lost != Held::default()).then_some(spent.lost));
            let known = Spent {
                lost: Held::default(),
                ..spent
            };
            assert_eq!(known, told, "{place}");
        }
        assert!(deaths >= 8, "{point} was reached {deaths} times");
        lost_at.push(lost);
    }
    // Each of the two calls was lost once: between the commit that held its room and the one that booked
    // it. What the second sends is longer by a letter.
    let [first, second] = lost_at.as_slice() else {
        panic!("two points");
    };
    assert_eq!(first, second);
    let longer = Held {
        tokens: first[0].tokens + 1,
        ..first[0]
    };
    assert_eq!(first[1..], [longer]);
}
