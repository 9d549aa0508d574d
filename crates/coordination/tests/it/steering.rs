//! Runs under a person's control: held, let go on, ended, whoever drives them.

use std::sync::Arc;

use fusion_coordination::{Driven, Error, Raised};
use fusion_core::{
    AgentState, CancelReason, Change, Decision, EventType, PauseAt, RunId, TaskState, WorkflowState,
};
use fusion_messaging::Bus;
use fusion_persistence::{AgentReader, Batch, Store};
use serde_json::json;

use crate::gate::Gate;
use crate::standing::{hosted, run_ended, until};
use crate::world::{Deaf, World};

const CHAIN: &str = "
version: 1
name: chain
agents:
  a: { provider: gate, model: m, tools: [files] }
  b: { provider: gate, model: m }
steps:
  - { id: first, agent: a, prompt: x }
  - { id: beside, agent: b, prompt: x }
  - { id: last, agent: b, prompt: x, needs: [first, beside] }
";

const ONE: &str = "
version: 1
name: one
agents:
  a: { provider: gate, model: m }
steps:
  - { id: s, agent: a, prompt: x }
";

/// A world whose model answers as the gate lets it.
async fn world(gate: &Gate) -> World {
    let world = World::new().await;
    world.register("gate", gate.clone());
    world
}

/// What became of each step, in the order of the file.
async fn ends(world: &World, run: RunId) -> Vec<(String, TaskState, Option<CancelReason>)> {
    let tasks = world.tasks(run).await.into_iter();
    tasks
        .map(|task| (task.name, task.state, task.cancel_reason))
        .collect()
}

async fn are_all_gone(world: &World, run: RunId) -> bool {
    let agents = world.store.agents_of_run(run).await.unwrap();
    let mut agents = agents.iter();
    agents.all(|(agent, _)| agent.state == AgentState::Terminated)
}

fn cancelled(name: &str) -> (String, TaskState, Option<CancelReason>) {
    let requested = Some(CancelReason::Requested);
    (name.to_owned(), TaskState::Cancelled, requested)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_cuts_off_the_calls_in_flight_and_ends_all_of_the_run() {
    let gate = Gate::shut();
    let world = world(&gate).await;
    let run = world.create(CHAIN).await;
    let cancelling = async {
        until(|| async { gate.begun() == 2 }).await;
        world.engine().cancel_run(run, "ada").await.unwrap()
    };
    let (driven, ended) = tokio::join!(world.drive(run), cancelling);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Cancelled));
    assert_eq!(
        (ended.state, ended.error_message.as_deref()),
        (WorkflowState::Cancelled, Some("cancelled by ada"))
    );
    assert_eq!(ended.open_tasks, 0);
    assert_eq!(
        ends(&world, run).await,
        ["first", "beside", "last"].map(cancelled)
    );
    assert!(are_all_gone(&world, run).await);
    assert_eq!(world.told(EventType::WorkflowCancelled).await.len(), 1);
    assert_eq!(world.told(EventType::TaskCancelled).await.len(), 3);
    // Ended once, it is given as it is; it can't be held any more.
    let again = world.engine().cancel_run(run, "bob").await.unwrap();
    assert_eq!(again, world.run(run).await);
    let pause = world.engine().pause_run(run, PauseAt::Now, "bob").await;
    assert!(matches!(pause, Err(Error::Ended { .. })), "{pause:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_nobody_drives_is_ended_where_the_word_is_said() {
    let world = world(&Gate::open()).await;
    let run = world.create(CHAIN).await;
    let ended = world.engine().cancel_run(run, "ada").await.unwrap();
    assert_eq!(ended.state, WorkflowState::Cancelled);
    assert!(are_all_gone(&world, run).await);
    let taken_up = world.drive(run).await;
    assert!(matches!(taken_up, Err(Error::Ended { .. })), "{taken_up:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cancel_and_a_completion_one_wins() {
    let world = world(&Gate::open()).await;
    let mut wins = [0, 0];
    for round in 0..20_u64 {
        let run = world.create(ONE).await;
        let cancelling = async {
            // Later from round to round, so that either may be first.
            tokio::time::sleep(std::time::Duration::from_micros(round * 1_000)).await;
            world.engine().cancel_run(run, "ada").await
        };
        let (driven, cancel) = tokio::join!(world.drive(run), cancelling);
        let state = world.run(run).await.state;
        match cancel {
            Ok(ended) => {
                assert_eq!(ended.state, WorkflowState::Cancelled);
                wins[0] += 1;
            }
            Err(error) => {
                assert!(matches!(error, Error::Ended { .. }), "{error}");
                assert_eq!(state, WorkflowState::Completed);
                wins[1] += 1;
            }
        }
        match driven {
            Ok(driven) => assert_eq!(driven, Driven::Ended(state)),
            Err(error) => assert!(matches!(error, Error::Ended { .. }), "{error}"),
        }
        assert_eq!(world.run(run).await.open_tasks, 0);
    }
    let told = [EventType::WorkflowCancelled, EventType::WorkflowCompleted];
    let told = [
        world.told(told[0]).await.len(),
        world.told(told[1]).await.len(),
    ];
    assert_eq!(told, wins, "cancelled, completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_ends_the_calls_in_flight_and_begins_nothing_until_the_run_goes_on() {
    let gate = Gate {
        tool_turns: 2,
        ..Gate::shut()
    };
    let world = world(&gate).await;
    let run = world.create(CHAIN).await;
    let pausing = async {
        until(|| async { gate.begun() == 2 }).await;
        let pause = world.engine().pause_run(run, PauseAt::NextStep, "ada");
        let paused = pause.await.unwrap();
        gate.open.add_permits(2);
        paused
    };
    let (driven, paused) = tokio::join!(world.drive(run), pausing);
    assert_eq!(driven.unwrap(), Driven::Paused);
    assert!(paused.is_paused());
    let held = world.run(run).await;
    assert_eq!(held.halt, paused.halt);
    assert_eq!(held.halt.as_ref().map(|halt| halt.by.as_str()), Some("ada"));
    let first = world.tasks(run).await.remove(0);
    assert_eq!(first.state, TaskState::Queued);
    let journal = world.journal(&first).await;
    assert_eq!(journal[0].state, fusion_core::EntryState::Finished);
    // It stays held for whoever takes it up, also a server.
    assert_eq!(world.drive(run).await.unwrap(), Driven::Paused);
    let begun = gate.begun();
    gate.open.add_permits(100);
    hosted(&world, async {
        until(|| async { world.run(run).await.is_paused() }).await;
        let go = world
            .engine()
            .release_run(run, Raised::default(), false, "bob");
        assert_eq!(go.await.unwrap().halt, None);
        let ended = run_ended(&world, run).await;
        assert_eq!(ended.state, WorkflowState::Completed);
    })
    .await;
    assert!(gate.begun() > begun);
    let tasks = world.tasks(run).await;
    // No call was made twice: the turns that were ended count.
    let turns: u64 = tasks.iter().map(|task| task.usage.turns).sum();
    assert_eq!(gate.begun(), turns);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_now_cuts_the_calls_off_and_outdoes_one_at_the_next_step() {
    let gate = Gate::shut();
    let world = world(&gate).await;
    let run = world.create(CHAIN).await;
    let pausing = async {
        until(|| async { gate.begun() == 2 }).await;
        for at in [PauseAt::NextStep, PauseAt::Now] {
            world.engine().pause_run(run, at, "ada").await.unwrap();
        }
    };
    let (driven, ()) = tokio::join!(world.drive(run), pausing);
    assert_eq!(driven.unwrap(), Driven::Paused);
    let states: Vec<TaskState> = world.tasks(run).await.iter().map(|it| it.state).collect();
    assert_eq!(states, [TaskState::Queued; 3]);
    // Held, it can still be ended.
    let ended = world.engine().cancel_run(run, "ada").await.unwrap();
    assert_eq!(ended.state, WorkflowState::Cancelled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_counts_also_when_every_hint_is_lost() {
    for is_cancel in [true, false] {
        let gate = Gate::shut();
        let world = World::on(Arc::new(Deaf::new()) as Arc<dyn Bus>).await;
        world.register("gate", gate.clone());
        let run = world.create(CHAIN).await;
        // Straight into the store, as another process does it.
        let saying = async {
            until(|| async { gate.begun() == 2 }).await;
            let found = world.run(run).await;
            let now = found.created_at;
            let moment = fusion_core::Moment {
                now,
                ids: &crate::world::Ids::from(900_000),
            };
            let (_, decision) = if is_cancel {
                found.order_cancel("ada", moment).unwrap()
            } else {
                found.pause(PauseAt::Now, "ada", moment).unwrap()
            };
            world.store.commit(Batch::free(decision)).await.unwrap();
        };
        let (driven, ()) = tokio::join!(world.drive(run), saying);
        let wanted = if is_cancel {
            Driven::Ended(WorkflowState::Cancelled)
        } else {
            Driven::Paused
        };
        assert_eq!(driven.unwrap(), wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_was_cut_off_by_a_crash_is_finished_at_the_next_start() {
    let world = world(&Gate::open()).await;
    let run = world.create(CHAIN).await;
    let other = world.create(ONE).await;
    let found = world.run(run).await;
    let moment = fusion_core::Moment {
        now: found.created_at,
        ids: &crate::world::Ids::from(900_000),
    };
    let (_, word) = found.order_cancel("ada", moment).unwrap();
    world.store.commit(Batch::free(word)).await.unwrap();
    assert_eq!(world.engine().end_all_cancelled().await.unwrap(), 1);
    assert_eq!(world.run(run).await.state, WorkflowState::Cancelled);
    assert_eq!(world.run(other).await.state, WorkflowState::Ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_takes_a_run_up_at_once_that_a_person_lets_go_on() {
    let gate = Gate::open();
    let world = world(&gate).await;
    hosted(&world, async {
        let run = world.create(CHAIN).await;
        let paused = world.engine().pause_run(run, PauseAt::Now, "ada").await;
        let Ok(_) = paused else {
            // It was done before the word was said.
            return;
        };
        let go = world
            .engine()
            .release_run(run, Raised::default(), true, "ada");
        go.await.unwrap();
        let ended = run_ended(&world, run).await;
        assert_eq!(ended.state, WorkflowState::Completed);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_frees_a_standing_agent_from_its_work() {
    let gate = Gate::shut();
    let world = world(&gate).await;
    let id = crate::standing::spawn(&world, "writer").await;
    hosted(&world, async {
        let sent = world.engine().send_to_agent(id, json!("Write.")).await;
        let run = sent.unwrap().run.unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let ended = world.engine().cancel_run(run, "ada").await.unwrap();
        assert_eq!(ended.state, WorkflowState::Cancelled);
        until(|| async { crate::standing::agent(&world, id).await.state == AgentState::Idle })
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_change_that_was_read_before_the_word_is_refused() {
    let world = world(&Gate::open()).await;
    let run = world.create(ONE).await;
    let before = world.run(run).await;
    world
        .engine()
        .pause_run(run, PauseAt::Now, "ada")
        .await
        .unwrap();
    let late = Decision::default().with(Change::update(before));
    let refused = world.store.commit(Batch::free(late)).await.unwrap_err();
    assert!(
        matches!(refused, fusion_persistence::Error::Conflict { .. }),
        "{refused}"
    );
}
