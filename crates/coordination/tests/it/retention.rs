//! Runs go by their age where it is said how long they are kept.

use std::sync::Arc;
use std::time::Duration;

use fusion_core::{Run, RunId, WorkflowState};
use fusion_messaging::{InProcessBus, QueueLimits};
use fusion_persistence::{EventFilter, EventReader as _, Repository as _, RunFilter};
use tokio_util::sync::CancellationToken;

use crate::models::Model;
use crate::world::World;

const FILE: &str = "version: 1\nname: old\nagents:\n  a: { provider: good, model: m }\nsteps:\n  \
     - { id: one, agent: a, prompt: Do it. }\n";

/// An engine that keeps runs so long, with a run that has ended and one that has not.
async fn world(keep_runs: Option<Duration>) -> (World, [RunId; 2]) {
    let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
    let world = World::tuned(bus, |options| options.keep_runs = keep_runs).await;
    world.register("good", Model::good());
    let ended = world.create(FILE).await;
    world.drive(ended).await.unwrap();
    assert_eq!(world.run(ended).await.state, WorkflowState::Completed);
    let open = world.create(FILE).await;
    (world, [ended, open])
}

async fn runs(world: &World) -> Vec<RunId> {
    let page = fusion_persistence::Page::first(10);
    let found: Vec<Run> = world.store.list(&RunFilter::default(), page).await.unwrap();
    found.into_iter().map(|run| run.id).collect()
}

#[tokio::test]
async fn a_run_that_is_kept_no_longer_goes_and_who_asked_is_told() {
    let (world, [ended, open]) = world(Some(Duration::ZERO)).await;
    let stop = CancellationToken::new();
    let gone = async {
        while runs(&world).await != [open] {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let gone = tokio::time::timeout(Duration::from_secs(30), gone);
    let engine = world.engine();
    let ((), gone) = tokio::join!(Box::pin(engine.keep_tidy(&stop)), gone);
    gone.unwrap();
    let of_run = EventFilter {
        run: Some(ended),
        ..EventFilter::default()
    };
    let events = world.store.events_after(&of_run, 0, 100).await.unwrap();
    let told = events.last().unwrap();
    assert_eq!(told.event.message, "old was deleted by retention");
    assert_eq!(told.event.data["by"], "retention");
}

#[tokio::test]
async fn runs_are_kept_for_ever_where_nothing_is_said() {
    let (world, [ended, open]) = world(None).await;
    let stop = CancellationToken::new();
    stop.cancel();
    world.engine().keep_tidy(&stop).await;
    assert_eq!(runs(&world).await, [open, ended]);
}
