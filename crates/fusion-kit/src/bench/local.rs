//! Runs in this process, as `run` does them.

use std::sync::Arc;

use fusion_api_types::{Problem, ProblemKind};
use fusion_coordination::{Coordinator, Driven, NewRun, Raised, check_models};
use fusion_core::{Run, WorkflowState};
use fusion_persistence::{Page, Repository, RunFilter};
use fusion_providers::Registry;
use serde_json::Map;
use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::{Done, Plan, WARM_UP, units, workflows};
use crate::problems;
use crate::wiring::Engine;

/// Runs that are read in one go.
const AT_ONCE: u32 = 500;

pub(super) async fn measure(place: &Place, plan: Plan) -> Result<Done, Problem> {
    let (engine, registry) = place.open().await?;
    let done = on(&engine, registry, place, plan).await;
    engine.close().await;
    done
}

async fn on(
    engine: &Engine,
    registry: Arc<Registry>,
    place: &Place,
    plan: Plan,
) -> Result<Done, Problem> {
    let runs = Arc::new(Runs {
        coordinator: engine.coordinator().clone(),
        registry,
        new: NewRun {
            definition: place.file.definition.clone(),
            source: place.file.source.clone(),
            base_dir: place.file.base_dir.display().to_string(),
            inputs: Map::new(),
            models: fusion_coordination::Models::new(),
            limit: fusion_core::Budget::default(),
        },
    });
    let unit = move |_| {
        let runs = Arc::clone(&runs);
        async move { runs.one().await }
    };
    units::each(WARM_UP, plan.at_once, unit.clone()).await?;
    let before = calls(engine).await?;
    let counting = place.start(None).await?;
    units::each(plan.number, plan.at_once, unit).await?;
    let cost = counting.stop().await?;
    Ok(Done {
        cost,
        llm_calls: calls(engine).await? - before,
        steps: plan.number * workflows::steps(plan.row),
        bytes_per_agent: None,
    })
}

/// What is done again and again.
struct Runs {
    coordinator: Coordinator,
    registry: Arc<Registry>,
    new: NewRun,
}

impl Runs {
    async fn one(&self) -> Result<(), Problem> {
        let mut new = self.new.clone();
        let base_dir = std::path::Path::new(&new.base_dir);
        let models = check_models(&self.registry, &new.definition, &new.inputs, base_dir).await;
        new.models = models.map_err(|error| problems::of_engine(&error))?;
        let engine = |error: fusion_coordination::Error| problems::of_engine(&error);
        let run = self.coordinator.create_run(new).await.map_err(engine)?;
        let (raised, stop) = (Raised::default(), CancellationToken::new());
        let driven = self.coordinator.resume_run(run, &raised, &stop).await;
        match driven.map_err(engine)? {
            Driven::Ended(WorkflowState::Completed) => Ok(()),
            other @ (Driven::Ended(_) | Driven::Interrupted | Driven::Paused) => Err(Problem::new(
                ProblemKind::Internal,
                format!("run {run} did not complete: {other:?}"),
            )),
        }
    }
}

/// Answers that all runs were given.
async fn calls(engine: &Engine) -> Result<u64, Problem> {
    let mut page = Page::first(AT_ONCE);
    let mut calls = 0;
    loop {
        let runs: Vec<Run> = engine
            .store()
            .list(&RunFilter::default(), page)
            .await
            .map_err(|error| problems::of_store(&error))?;
        let Some(last) = runs.last() else {
            return Ok(calls);
        };
        page.after = Some(last.id);
        calls += runs.iter().map(|run| run.usage.turns).sum::<u64>();
    }
}
