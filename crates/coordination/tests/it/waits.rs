//! Steps that wait for a provider's limit, in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_coordination::Driven;
use fusion_core::{EventType, RunId, Task, TaskState, WorkflowState};
use tokio_util::sync::CancellationToken;

use crate::models::{Model, limited};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(60 * 60);

const ONE: &str = "
version: 1
name: one
agents:
  a: { provider: limited, model: m }
steps:
  - { id: s, agent: a, prompt: Do it. }
";

const TWO: &str = "
version: 1
name: two
agents:
  a: { provider: limited, model: m }
  b: { provider: good, model: m }
steps:
  - { id: held, agent: a, prompt: x }
  - { id: one, agent: b, prompt: x }
  - { id: two, agent: b, prompt: x, needs: [one] }
  - { id: three, agent: b, prompt: x, needs: [two] }
  - { id: last, agent: a, prompt: x, needs: [held, three] }
";

/// Asks how often the model was called.
type Calls = Arc<AtomicU64>;

/// A model that is limited for so long while `until` says so.
fn model(wait: Duration, until: impl Fn(u64) -> bool + Send + Sync + 'static) -> (Model, Calls) {
    let calls = Calls::default();
    let counted = Arc::clone(&calls);
    let model = Model::failing(move |call| {
        counted.store(call, Ordering::SeqCst);
        (!until(call)).then(|| limited(Some(wait)))
    });
    (model, calls)
}

#[tokio::test]
async fn a_step_waits_for_its_limit_while_the_others_go_on() {
    let world = World::new().await;
    let good = Calls::default();
    let (served, seen) = (Arc::clone(&good), Arc::clone(&good));
    world.register(
        "good",
        Model::failing(move |call| {
            served.store(call, Ordering::SeqCst);
            None
        }),
    );
    // It is over only once the other agent has done everything it can do meanwhile.
    let is_over = move |_| seen.load(Ordering::SeqCst) >= 3;
    let (limited, _) = model(Duration::from_millis(300), is_over);
    world.register_hasty("limited", limited);
    let run = world.create(TWO).await;
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    let tasks = world.tasks(run).await;
    let ended = |task: &Task| (task.state, task.waiting.clone());
    for task in &tasks {
        assert_eq!(ended(task), (TaskState::Completed, None), "{task:?}");
    }
    assert!(tasks[0].attempts > 1, "{:?}", tasks[0]);
    assert_eq!(good.load(Ordering::SeqCst), 3);
    assert!(!world.told(EventType::TaskRetried).await.is_empty());
}

/// Drives until the only step waits, then stops.
async fn until_it_waits(world: &World, run: RunId) -> Task {
    let stop = CancellationToken::new();
    let waits = async {
        loop {
            let task = world.tasks(run).await.remove(0);
            if task.waiting.is_some() {
                stop.cancel();
                return task;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waits = tokio::time::timeout(Duration::from_secs(60), waits);
    let (driven, task) = tokio::join!(world.drive_until(run, &stop), waits);
    assert_eq!(driven.unwrap(), Driven::Interrupted);
    task.unwrap()
}

#[tokio::test]
async fn a_wait_is_kept_over_an_interruption_and_nobody_is_asked_before_its_end() {
    let world = World::new().await;
    let (model, calls) = model(HOUR, |call| call > 1);
    world.register_hasty("limited", model);
    let run = world.create(ONE).await;
    let waiting = until_it_waits(&world, run).await;
    let wait = waiting.waiting.clone().unwrap();
    assert_eq!(wait.reason, "limited limits the requests: no quota");
    assert_eq!((waiting.state, waiting.attempts), (TaskState::Queued, 1));
    // Taken up again, it waits on while another run goes from its beginning to its end.
    world.register("good", Model::good());
    let other = world.create(&ONE.replace("limited", "good")).await;
    let stop = CancellationToken::new();
    let meanwhile = async {
        let driven = world.drive(other).await;
        stop.cancel();
        driven.unwrap()
    };
    let (left, driven) = tokio::join!(world.drive_until(run, &stop), meanwhile);
    assert_eq!(left.unwrap(), Driven::Interrupted);
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    let again = world.tasks(run).await.remove(0);
    assert_eq!(again, waiting);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(world.run(run).await.state, WorkflowState::Running);
}

#[tokio::test]
async fn a_step_that_is_woken_early_is_tried_at_once() {
    let world = World::new().await;
    let (model, calls) = model(HOUR, |call| call > 1);
    // Without a gate, which would still know of the limit.
    world.registry.register("limited", Arc::new(model));
    let run = world.create(ONE).await;
    until_it_waits(&world, run).await;
    world.wake(run).await;
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_limit_without_an_end_stops_the_run() {
    let world = World::new().await;
    let model = Model::failing(|_| Some(limited(None)));
    world.registry.register("limited", Arc::new(model));
    let run = world.create(ONE).await;
    let stopped = world.drive(run).await.unwrap_err();
    assert_eq!(
        stopped.to_string(),
        "step 's' has to wait: p limits the requests: no quota"
    );
    assert_eq!(world.tasks(run).await[0].waiting, None);
}
