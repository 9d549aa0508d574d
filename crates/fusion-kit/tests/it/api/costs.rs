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
