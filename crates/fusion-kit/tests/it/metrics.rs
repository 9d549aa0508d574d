//! What agents at work use, sampled, kept and shown.

use std::fs;

use serde_json::{Value, json};

use crate::api::client::Serving;
use crate::support::Project;

/// Computes until it is let go.
const COMPUTES: &str =
    "perl -e '$x = \"a\" x (30 << 20); while (!-e \"go\") { $n++ for 1 .. 100000 }'";

fn project() -> Project {
    let turns = json!([
        { "tool_calls": [{ "name": "run_command", "arguments": { "command": COMPUTES } }] },
        { "text": "Done." },
    ]);
    let script = json!({ "version": 1, "steps": { "task": turns } }).to_string();
    let mut project = Project::with("", &script);
    project.set("FUSION_METRICS_SECONDS", "1");
    project
}

async fn samples_of(project: &Project, agent: &str) -> Vec<Value> {
    let told = project.run(["metrics", "agent", agent, "--json"]).await;
    told.expect(0).json()["metrics"].as_array().unwrap().clone()
}

/// `agent get` shows this sample of the busy agent, and none of the idle one.
async fn shows_the_newest(project: &Project, sample: &Value) {
    let shown = project.run(["agent", "get", "busy", "--json"]).await;
    assert_eq!(shown.expect(0).json()["metrics"], *sample);
    let shown = project.run(["agent", "get", "busy"]).await.expect(0);
    assert!(
        shown.stdout.contains("% of a processor"),
        "{}",
        shown.stdout
    );
    let shown = project.run(["agent", "get", "idle", "--json"]).await;
    assert_eq!(shown.expect(0).json()["metrics"], Value::Null);
}

/// A step of a day has all samples of it, whoever is asked.
async fn in_steps(project: &Project, serving: &Serving, path: &str, calls: u64) {
    let line = ["metrics", "agent", "busy", "--step", "1d", "--json"];
    let told = project.run(line).await.expect(0).json();
    let asked = serving.get(&format!("{path}?step=86400")).await;
    assert_eq!(asked.expect(200).json(), told);
    let steps = told["metrics"].as_array().unwrap();
    // Midnight may be among them.
    let sum = |name: &str| {
        steps
            .iter()
            .map(|it| it[name].as_u64().unwrap())
            .sum::<u64>()
    };
    let samples = samples_of(project, "busy").await;
    assert_eq!(sum("api_calls_count"), calls);
    assert_eq!(sum("samples"), samples.len() as u64);
    assert!(
        steps
            .iter()
            .all(|it| it["timestamp"].as_str().unwrap().ends_with("T00:00:00Z"))
    );
    for wrong in ["0", "1m", "3153600001"] {
        let refused = serving
            .get(&format!("{path}?step={wrong}"))
            .await
            .expect(400);
        let why = "step: must be a number of seconds from 1 to 3153600000";
        assert_eq!(refused.json()["details"], json!([why]));
    }
}

#[tokio::test]
async fn an_agent_at_work_is_sampled_and_one_without_work_is_not() {
    let project = project();
    for name in ["busy", "idle"] {
        let line = format!(
            "agent spawn --name {name} --provider scripted --model script.yaml --tools shell"
        );
        project.run(line.split_whitespace()).await.expect(0);
    }
    assert_eq!(samples_of(&project, "busy").await, [] as [Value; 0]);
    project
        .run(["agent", "send", "busy", "Go."])
        .await
        .expect(0);
    let serving = Serving::on(&project).await;
    let id = project
        .run(["agent", "get", "busy", "--json"])
        .await
        .expect(0)
        .json();
    let path = format!("/api/v1/agents/{}/metrics", id["id"].as_str().unwrap());
    let is_busy = |sample: &Value| {
        let figure = |name: &str| sample[name].as_f64().unwrap();
        figure("cpu_percent") > 1.0 && figure("memory_mb") > 30.0
    };
    let any = |told: &Value, wanted: &dyn Fn(&Value) -> bool| {
        told["metrics"].as_array().unwrap().iter().any(wanted)
    };
    serving.until(&path, |told| any(told, &is_busy)).await;
    let workspace = id["workspace"]["path"].as_str().unwrap();
    fs::write(format!("{workspace}/go"), "").unwrap();
    // The second call is in the sample after its end.
    let calls = |told: &Value| {
        let samples = told["metrics"].as_array().unwrap().iter();
        samples
            .map(|sample| sample["api_calls_count"].as_u64().unwrap())
            .sum::<u64>()
    };
    let told = serving.until(&path, |told| calls(told) == 2).await;
    assert!(any(&told, &|sample| sample["api_provider"] == "scripted"));
    shows_the_newest(&project, &told["metrics"][0]).await;
    let events = serving
        .get("/api/v1/events?event_type=metrics.updated&limit=500")
        .await;
    let events = events.expect(200).json();
    let of = events["events"].as_array().unwrap().iter();
    assert!(of.clone().count() > 0);
    assert!(
        of.into_iter()
            .all(|event| event["source_agent_id"] == id["id"]),
        "{events:#}"
    );
    assert_eq!(samples_of(&project, "idle").await, [] as [Value; 0]);
    let shown = project
        .run(["metrics", "agent", "busy", "--since", "1h"])
        .await
        .expect(0);
    assert!(shown.stdout.starts_with("TAKEN"), "{}", shown.stdout);
    in_steps(&project, &serving, &path, calls(&told)).await;
    let none = project.run(["metrics", "agent", "idle"]).await.expect(0);
    none.says(&["no samples"]);
}
