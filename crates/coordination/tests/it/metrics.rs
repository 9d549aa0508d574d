//! What agents use is sampled while they work, added up without a gap, and told.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusion_coordination::NewAgent;
use fusion_core::{AgentSpec, EventType, ResourceMetrics, Run};
use fusion_messaging::{InProcessBus, QueueLimits};
use fusion_persistence::{MetricsFilter, Page, Repository};
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::world::World;

/// Far more than any step takes, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(2);

async fn samples(world: &World) -> Vec<ResourceMetrics> {
    let all = MetricsFilter::default();
    world.store.list(&all, Page::first(1_000)).await.unwrap()
}

/// Calls and tokens of all samples.
fn sum(samples: &[ResourceMetrics]) -> (u64, u64) {
    let calls = samples.iter().map(|sample| sample.api_calls_count);
    let tokens = samples.iter().map(|sample| sample.api_tokens_used);
    (calls.sum(), tokens.sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_add_up_to_what_runs_used_and_an_idle_agent_has_none() {
    let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
    let tune = |options: &mut fusion_coordination::Options| {
        options.metrics = Some(Duration::from_millis(20));
    };
    let world = World::tuned(bus, tune).await;
    world.register("gate", Gate::open());
    let new = ["one", "two", "idle"].map(|name| NewAgent {
        name: name.to_owned(),
        spec: AgentSpec::new("gate", "m"),
        project: None,
        metadata: Map::new(),
        base_dir: PathBuf::from("/"),
    });
    let agents = world.engine().spawn_agents(new.into()).await.unwrap();
    let stop = CancellationToken::new();
    let (hosted, ()) = tokio::join!(world.engine().host(&stop), async {
        for agent in &agents[..2] {
            let sent = world.engine().send_to_agent(agent.id, json!("Go.")).await;
            sent.unwrap();
        }
        let told = async {
            // Two turns of fifteen tokens each.
            while sum(&samples(&world).await) != (2, 30) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap();
        stop.cancel();
    });
    hosted.unwrap();
    let samples = samples(&world).await;
    assert!(samples.iter().all(|sample| sample.agent_id != agents[2].id));
    let called = samples.iter().filter(|sample| sample.api_calls_count > 0);
    assert!(
        called
            .clone()
            .all(|sample| sample.api_provider.as_deref() == Some("gate"))
    );
    let mut of: Vec<_> = called.map(|sample| sample.agent_id).collect();
    of.sort_unstable();
    let mut both = vec![agents[0].id, agents[1].id];
    both.sort_unstable();
    assert_eq!(of, both);
    let told = world.told(EventType::MetricsUpdated).await;
    assert_eq!(told.len(), samples.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_period_nothing_is_sampled() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let workflow = "
version: 1
name: flow
agents: { a: { provider: gate, model: m } }
steps: [{ id: only, agent: a, prompt: x }]
";
    let id = world.create(workflow).await;
    world.drive(id).await.unwrap();
    let run: Run = world.run(id).await;
    assert_eq!(run.usage.turns, 1);
    assert_eq!(samples(&world).await, []);
}
