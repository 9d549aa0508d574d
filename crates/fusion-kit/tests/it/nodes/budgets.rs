//! Several servers whose runs use up one budget.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::{Cluster, script, source};
use crate::api::client::Serving;
use crate::support::{Project, breathe};

/// Many short calls in each run.
const EACH: &str =
    "  - { id: s0, agent: a, foreach: '${{ range(10) | list }}', prompt: 'Say ${{ item }}.' }\n";

/// Runs at once.
const RUNS: usize = 9;

/// Less than these runs want.
const LIMIT: u64 = 900;

/// Far more than anything here takes.
const LONGEST: Duration = Duration::from_secs(240);

/// More than they want.
const ENOUGH: &str = "99999";

struct Spending {
    cluster: Cluster,
    nodes: Vec<Serving>,
    flow: String,
    project: String,
}

impl Spending {
    /// Three servers, and a workflow of a project with this budget.
    async fn within(budget: &str) -> Self {
        let cluster = Cluster::start().await;
        let mut nodes = Vec::new();
        for name in ["one", "two", "three"] {
            nodes.push(cluster.node(name).await);
        }
        let project = cluster.project();
        project.write("script.yaml", script("  s0: [{ text: x }]\n"));
        project.write("flow.yaml", source("[], max_tokens: 10", EACH));
        let limit = LIMIT.to_string();
        done(project, &["project", "create", "shop", budget, &limit]).await;
        let stored = [
            "workflow",
            "create",
            "flow.yaml",
            "--project",
            "shop",
            "--json",
        ];
        let flow = done(project, &stored).await["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let shop = done(project, &["project", "get", "shop", "--json"]).await;
        let project = shop["id"].as_str().unwrap().to_owned();
        Self {
            cluster,
            nodes,
            flow,
            project,
        }
    }

    /// What is spent and what is held for calls under way; never more than there may be.
    async fn used(&self, part: &str) -> (u64, u64) {
        let path = format!("/api/v1/projects/{}/budgets", self.project);
        let told = self.nodes[1].get(&path).await.expect(200).json();
        let of = |it: &str| told[part][it].as_u64().unwrap();
        let (spent, held) = (of("spent_tokens"), of("held_tokens"));
        assert_eq!(of("lost_tokens"), 0, "nobody died: {told:#}");
        assert!(spent + held <= of("limit_tokens"), "{told:#}");
        (spent, held)
    }

    /// Waits until each run has completed or stands still with a word in the inbox, and nothing is held;
    /// says how much was spent.
    async fn until_used_up(&self, part: &str, runs: &[String]) -> u64 {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < LONGEST, "it is not used up");
            let (spent, held) = self.used(part).await;
            let inbox = self.nodes[1].get("/api/v1/inbox").await;
            let inbox = inbox.expect(200).json();
            let items = inbox["items"].as_array().unwrap();
            let mut stopped = 0;
            for run in runs {
                let says = |item: &Value| item["kind"] == "budget" && item["run"] == *run;
                let path = format!("/api/v1/runs/{run}");
                let shown = self.nodes[2].get(&path).await.expect(200).json();
                stopped += usize::from(shown["state"] == "completed" || items.iter().any(says));
            }
            if stopped == runs.len() && held == 0 {
                return spent;
            }
            breathe(Instant::now(), "the runs to stop").await;
        }
    }

    /// Gives the project more, and lets its runs go on that were stopped.
    async fn raise(&self, budget: &str, runs: &[String]) {
        let project = self.cluster.project();
        done(project, &["project", "update", "shop", budget, ENOUGH]).await;
        for run in runs {
            let path = format!("/api/v1/runs/{run}");
            let shown = self.nodes[0].get(&path).await.expect(200).json();
            if shown["state"] == "completed" {
                continue;
            }
            let path = format!("{path}/resume");
            self.nodes[0]
                .post(&path, &json!({ "now": true }))
                .await
                .expect(200);
        }
    }

    /// Whether what the account has used is what the runs have.
    async fn is_exact(&self, part: &str, runs: &[String]) {
        let mut used = 0;
        for run in runs {
            let run = self.nodes[0].get(&format!("/api/v1/runs/{run}")).await;
            let usage = &run.expect(200).json()["usage"];
            used += usage["input_tokens"].as_u64().unwrap();
            used += usage["output_tokens"].as_u64().unwrap();
        }
        assert_eq!(self.used(part).await, (used, 0));
    }
}

async fn done(project: &Project, command: &[&str]) -> Value {
    let command = [command, &["--data-dir", "one"]].concat();
    let done = project.run(command).await.expect(0);
    serde_json::from_str(&done.stdout).unwrap_or_default()
}

#[tokio::test]
async fn nodes_never_spend_more_than_a_project_has_and_go_on_when_it_has_more() {
    let spending = Spending::within("--budget-tokens").await;
    let runs = spending
        .cluster
        .begin(&spending.nodes[0], &spending.flow, RUNS)
        .await;
    let spent = spending.until_used_up("total", &runs).await;
    assert!((LIMIT / 2..=LIMIT).contains(&spent), "{spent}");
    spending.raise("--budget-tokens", &runs).await;
    spending
        .cluster
        .until_completed(&spending.nodes[1], &runs)
        .await;
    spending.is_exact("total", &runs).await;
}
