//! What model calls cost, as the commands and the API add it up.

use serde_json::{Value, json};

use super::client::Serving;
use super::looks::{alike, asking, said};
use crate::model_server::text;
use crate::providers::answering;
use crate::support::{Finished, Project};

const PRICELESS: &str = "
version: 1
name: priceless
agents:
  p: { provider: openai-compatible, model: tiny }
steps:
  - { id: only, agent: p, prompt: x }
";

/// The figures of a usage.
fn figures(usage: &Value) -> [u64; 3] {
    ["turns", "input_tokens", "output_tokens"].map(|name| usage[name].as_u64().unwrap())
}

fn added<'a>(usages: impl Iterator<Item = &'a Value>) -> [u64; 3] {
    usages.map(figures).fold([0; 3], |sum, usage| {
        [0, 1, 2].map(|place| sum[place] + usage[place])
    })
}

/// The names of the rows.
fn names(report: &Value) -> Vec<&str> {
    let rows = report["costs"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap_or("-"))
        .collect()
}

/// A project with the runs of two workflows, one of them at a model server that tells no price.
async fn spent() -> Project {
    let (_model, url) = answering([text("Hello.")]).await;
    let (mut project, _) = asking().await;
    project.write("priceless.yaml", PRICELESS);
    project.set("FUSION_BASE_URL", url);
    said(&project, "run priceless.yaml").await.expect(0);
    project
}

#[tokio::test]
async fn what_calls_cost_is_what_runs_and_agents_show() {
    let project = spent().await;
    let groups = ["agent", "model", "task", "workflow", "project", "day"];
    let lines = groups.map(|by| format!("metrics cost --by {by} --json"));
    let told = alike(&project, &lines).await;
    let reports: Vec<Value> = told.iter().map(Finished::json).collect();
    let runs = said(&project, "run list --json").await.expect(0).json();
    let runs = runs["runs"].as_array().unwrap().iter();
    let booked = added(runs.map(|run| &run["usage"]));
    for report in &reports {
        let rows = report["costs"].as_array().unwrap().iter();
        assert_eq!(added(rows.map(|row| &row["usage"])), booked, "{report:#}");
        let total = &report["total"];
        assert_eq!(figures(&total["usage"]), booked, "{report:#}");
        // The scripted model says that it costs nothing.
        assert_eq!(total["calls_without_price"], 1, "{report:#}");
    }
    for row in reports[0]["costs"].as_array().unwrap() {
        let agent = format!("agent get {} --json", row["id"].as_str().unwrap());
        let agent = said(&project, &agent).await.expect(0).json();
        let shown = (&agent["name"], &agent["usage"]);
        assert_eq!((&row["name"], &row["usage"]), shown);
        assert_eq!(row["calls_without_price"], u64::from(row["name"] == "p"));
    }
    // Of what costs nothing the most tokens come first.
    let script = project.path().join("script.yaml").display().to_string();
    assert_eq!(names(&reports[1]), [script.as_str(), "tiny"]);
    assert_eq!(names(&reports[3]), ["release", "priceless"]);
    assert_eq!(names(&reports[4]), ["-"]);
}

#[tokio::test]
async fn costs_are_of_a_time_and_of_one_of_the_groups() {
    let project = spent().await;
    let lines = [
        "metrics cost --by task --since 1d --limit 1".to_owned(),
        "metrics cost --until 1d".to_owned(),
    ];
    let told = alike(&project, &lines).await;
    let begins = |line: usize| -> Vec<&str> {
        let rows = told[line].stdout.lines();
        rows.map(|row| row.split(' ').next().unwrap()).collect()
    };
    assert_eq!(begins(0), ["TASK", "first", "(total)"]);
    assert_eq!(begins(1), [] as [&str; 0]);
    let beside = &told[0].stderr;
    assert!(beside.contains("1 more in the total"), "{beside}");
    let serving = Serving::on(&project).await;
    let refused = serving.get("/api/v1/metrics/costs?by=colour").await;
    let why = "must be one of: agent, model, task, workflow, project, day";
    assert_eq!(
        refused.expect(400).json()["errors"],
        json!([{ "pointer": "by", "message": why }])
    );
}

/// A model that has a command written and run.
const BUSY: &str = r#"
version: 1
name: busy
agents:
  b: { provider: scripted, model: busy-script.yaml, tools: [shell] }
steps:
  - { id: only, agent: b, prompt: x }
"#;

/// It keeps a core busy until it was sampled.
const BUSY_SCRIPT: &str = r#"
version: 1
steps:
  only:
    - tool_calls: [{ name: run_command, arguments: { command: "timeout 3 sh -c 'while :; do :; done'; true" } }]
    - text: Done.
"#;

#[tokio::test]
async fn who_used_most_is_told_alike_and_as_runs_and_samples_tell() {
    let mut project = spent().await;
    project.write("busy.yaml", BUSY);
    project.write("busy-script.yaml", BUSY_SCRIPT);
    project.set("FUSION_METRICS_SECONDS", "1");
    said(&project, "run busy.yaml").await.expect(0);
    let lines = [
        "metrics top --by cpu --since 2020-01-01T00:00:00Z --json",
        "metrics top --by tokens --since 2020-01-01T00:00:00Z --json",
        "metrics top --per model --since 2020-01-01T00:00:00Z --json",
        "metrics top --per project --by cost --since 2020-01-01T00:00:00Z --json",
    ];
    let told = alike(&project, &lines.map(str::to_owned)).await;
    let reports: Vec<Value> = told.iter().map(Finished::json).collect();
    let runs = said(&project, "run list --json").await.expect(0).json();
    let runs = runs["runs"].as_array().unwrap().iter();
    let booked = added(runs.map(|run| &run["usage"]));
    for report in &reports {
        let rows = report["top"].as_array().unwrap().iter();
        assert_eq!(added(rows.map(|row| &row["usage"])), booked, "{report:#}");
        assert_eq!(figures(&report["total"]["usage"]), booked, "{report:#}");
        assert_eq!(report["total"]["calls_without_price"], 1, "{report:#}");
    }
    let first = &reports[0]["top"][0];
    assert_eq!(first["name"], "b", "{:#}", reports[0]);
    let id = first["id"].as_str().unwrap();
    let line = format!("metrics agent {id} --limit 500 --json");
    let samples = said(&project, &line).await.expect(0).json();
    let samples = samples["metrics"].as_array().unwrap();
    let cpu = |sample: &Value| sample["cpu_percent"].as_f64().unwrap();
    let most = samples.iter().map(cpu).fold(0.0, f64::max);
    assert_eq!(
        [
            &first["sampled"]["samples"],
            &first["sampled"]["cpu_percent_most"]
        ],
        [&json!(samples.len()), &json!(most)]
    );
    assert!(most > 0.0, "{samples:?}");
    assert_eq!(reports[2]["sampled"], Value::Null);
}

#[tokio::test]
async fn who_used_most_is_told_of_a_time_and_only_by_what_is_known() {
    let project = spent().await;
    let lines = [
        "metrics top --by cpu --since 1d --limit 1",
        "metrics top --since 1d --until 1d",
        "metrics top --per model --by cpu",
    ];
    let told = alike(&project, &lines.map(str::to_owned)).await;
    let table: Vec<&str> = told[0].stdout.lines().collect();
    assert_eq!(table.len(), 3, "{table:?}");
    assert!(
        told[0].stderr.contains("more in the total"),
        "{}",
        told[0].stderr
    );
    assert_eq!((told[1].code, told[1].stdout.as_str()), (Some(0), ""));
    let why = "--by cpu: per model it must be one of: tokens, cost";
    assert!(
        told[2].code == Some(2) && told[2].stderr.contains(why),
        "{:?}",
        told[2]
    );
    let serving = Serving::on(&project).await;
    let refused = serving
        .get("/api/v1/metrics/top?per=project&by=disk&limit=501")
        .await;
    assert_eq!(
        refused.expect(400).json()["errors"],
        json!([
            { "pointer": "limit", "message": "must be a number from 1 to 500" },
            { "pointer": "by", "message": "per project it must be one of: tokens, cost" },
        ])
    );
}
