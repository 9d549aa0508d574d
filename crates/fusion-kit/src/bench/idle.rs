//! Agents that wait: what they cost a process that hosts them.

use std::path::PathBuf;
use std::time::Duration;

use fusion_api_types::Problem;
use fusion_cli::BenchModel;
use fusion_coordination::{Coordinator, NewAgent};
use fusion_core::{AgentId, AgentSpec, Disposal};
use serde_json::Map;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::{Done, Plan, WARM_UP, meter, workflows};
use crate::problems;
use crate::wiring::{Engine, OPENAI_COMPATIBLE, SCRIPTED};

/// Agents that are spawned in one go.
const AT_ONCE: u64 = 500;

/// How long they are watched.
const IDLE: Duration = Duration::from_secs(10);

pub(super) async fn measure(place: &Place, plan: Plan) -> Result<Done, Problem> {
    let (engine, _) = place.open().await?;
    let done = on(&engine, place, plan).await;
    engine.close().await;
    done
}

async fn on(engine: &Engine, place: &Place, plan: Plan) -> Result<Done, Problem> {
    let stop = CancellationToken::new();
    let hosting = engine.spawn({
        let (coordinator, stop) = (engine.coordinator().clone(), stop.clone());
        async move { coordinator.host(&stop).await }
    });
    let watched = watch(engine.coordinator(), place, plan).await;
    stop.cancel();
    let hosted = hosting.await.map_err(|error| {
        let text = format!("the host broke off: {error}");
        Problem::new(fusion_api_types::ProblemKind::Internal, text)
    })?;
    hosted.map_err(|error| problems::of_engine(&error))?;
    watched
}

async fn watch(coordinator: &Coordinator, place: &Place, plan: Plan) -> Result<Done, Problem> {
    for agent in spawn(coordinator, place, plan, 0..WARM_UP).await? {
        let ended = coordinator.terminate_agent(agent, Disposal::Remove).await;
        ended.map_err(|error| problems::of_engine(&error))?;
    }
    let before = meter::resident();
    let mut next = 0;
    while next < plan.number {
        let end = (next + AT_ONCE).min(plan.number);
        spawn(coordinator, place, plan, next..end).await?;
        next = end;
    }
    let counting = place.start(None).await?;
    sleep(IDLE).await;
    let cost = counting.stop().await?;
    let grown = meter::resident().saturating_sub(before);
    Ok(Done {
        cost,
        llm_calls: 0,
        steps: 0,
        bytes_per_agent: Some(grown / plan.number),
    })
}

async fn spawn(
    coordinator: &Coordinator,
    place: &Place,
    plan: Plan,
    numbers: std::ops::Range<u64>,
) -> Result<Vec<AgentId>, Problem> {
    let spec = match plan.llm {
        BenchModel::Raw => AgentSpec::new(OPENAI_COMPATIBLE, "mock"),
        BenchModel::None => AgentSpec::new(SCRIPTED, workflows::SCRIPT),
    };
    let agent = |number| NewAgent {
        name: format!("agent-{number}"),
        spec: spec.clone(),
        project: None,
        metadata: Map::new(),
        base_dir: PathBuf::from(place.folder()),
    };
    let spawned = coordinator.spawn_agents(numbers.map(agent).collect()).await;
    let spawned = spawned.map_err(|error| problems::of_engine(&error))?;
    Ok(spawned.into_iter().map(|agent| agent.id).collect())
}
