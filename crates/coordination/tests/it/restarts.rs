//! Agents that are restarted: what is under way is given back, and they go on with it.

use fusion_coordination::Error;
use fusion_core::{
    AgentState, Change, Decision, Disposal, EntryState, EventType, PauseAt, TaskState, ToolGroup,
    WorkflowState,
};
use fusion_persistence::{Batch, Store as _};
use serde_json::json;

use crate::gate::Gate;
use crate::standing::{agent, hosted, named, run_ended, spawn, until};
use crate::world::World;

/// An agent that waits, one that is held and one in error go on at once.
#[tokio::test]
async fn an_agent_with_nothing_under_way_goes_on_in_one_commit() {
    let world = World::new().await;
    world.register("gate", Gate::shut());
    let engine = world.engine();
    let idle = spawn(&world, "idle").await;
    let held = spawn(&world, "held").await;
    engine.pause_agent(held, PauseAt::Now).await.unwrap();
    let broken = spawn(&world, "broken").await;
    for state in [AgentState::Working, AgentState::Error] {
        let mut row = agent(&world, broken).await;
        row.state = state;
        let moved = Decision::default().with(Change::update(row));
        world.store.commit(Batch::free(moved)).await.unwrap();
    }
    for (id, versions) in [(idle, 2), (held, 1), (broken, 1)] {
        let before = agent(&world, id).await;
        let restarted = engine.restart_agent(id, PauseAt::NextStep).await.unwrap();
        let after = agent(&world, id).await;
        assert_eq!(restarted, after);
        assert_eq!(
            (after.state, after.version, after.metadata),
            (
                AgentState::Idle,
                before.version + versions,
                metadata_without_marks(&before)
            ),
            "{}",
            before.name
        );
    }
}

fn metadata_without_marks(agent: &fusion_core::Agent) -> serde_json::Value {
    let mut metadata = agent.metadata.clone();
    metadata.as_object_mut().unwrap().remove("paused");
    metadata
}

#[tokio::test]
async fn who_has_ended_is_not_restarted() {
    let world = World::new().await;
    world.register("gate", Gate::shut());
    let id = spawn(&world, "writer").await;
    let engine = world.engine();
    engine.terminate_agent(id, Disposal::Keep).await.unwrap();
    let refused = engine.restart_agent(id, PauseAt::Now).await.unwrap_err();
    assert_eq!(refused.to_string(), "the agent 'writer' has ended");
    assert_eq!(
        refused.way_out().as_deref(),
        Some("make another with `agent spawn`")
    );
    assert!(matches!(refused, Error::HasEnded { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_now_cuts_the_call_and_makes_it_again() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    hosted(&world, async {
        let engine = world.engine();
        let sent = engine.send_to_agent(id, json!("Go.")).await.unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let restarted = engine.restart_agent(id, PauseAt::Now).await.unwrap();
        assert!(
            matches!(restarted.state, AgentState::Idle | AgentState::Working),
            "{restarted:?}"
        );
        until(|| async { gate.begun() == 2 }).await;
        gate.open.add_permits(100);
        let run = run_ended(&world, sent.run.unwrap()).await;
        assert_eq!(run.state, WorkflowState::Completed);
    })
    .await;
    assert_eq!(gate.begun(), 2);
    assert_eq!(world.told(EventType::AgentPaused).await, [Some(id)]);
    assert_eq!(world.told(EventType::AgentResumed).await, [Some(id)]);
}

/// Who restarts it is answered while the call lasts; what remains is in the row, and whoever hosts next
/// lets the agent go on with its journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_at_the_next_step_is_finished_by_whoever_comes_after() {
    let world = World::new().await;
    let gate = Gate {
        tool_turns: 2,
        ..Gate::shut()
    };
    world.register("gate", gate.clone());
    let mut new = named("writer");
    new.spec.tools = vec![ToolGroup::Files];
    let spawned = world.engine().spawn_agents(vec![new]).await.unwrap();
    let id = spawned[0].id;
    let run = hosted(&world, async {
        let engine = world.engine();
        let sent = engine.send_to_agent(id, json!("Go.")).await.unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let restarted = engine.restart_agent(id, PauseAt::NextStep).await.unwrap();
        assert_eq!(
            (restarted.state, restarted.is_restarting()),
            (AgentState::Paused, true)
        );
        sent.run.unwrap()
    })
    .await;
    assert!(agent(&world, id).await.is_restarting());
    gate.open.add_permits(100);
    hosted(&world, async {
        let run = run_ended(&world, run).await;
        assert_eq!(run.state, WorkflowState::Completed);
    })
    .await;
    let after = agent(&world, id).await;
    assert_eq!(
        (after.state, after.is_restarting()),
        (AgentState::Idle, false)
    );
    let task = world.tasks(run).await.remove(0);
    assert_eq!(task.state, TaskState::Completed);
    let journal = world.journal(&task).await;
    assert!(
        journal
            .iter()
            .all(|entry| entry.state == EntryState::Finished),
        "{journal:?}"
    );
}

/// A person's word to go on counts at once, and a later end of the worker changes nothing.
#[tokio::test]
async fn a_restart_that_waits_is_ended_by_a_person_s_word() {
    let world = World::new().await;
    world.register("gate", Gate::shut());
    let id = spawn(&world, "writer").await;
    let mut row = agent(&world, id).await;
    row.state = AgentState::Paused;
    row.metadata["restarting"] = json!("now");
    let moved = Decision::default().with(Change::update(row));
    world.store.commit(Batch::free(moved)).await.unwrap();
    let ended = world.engine().terminate_agent(id, Disposal::Keep).await;
    let ended = ended.unwrap();
    assert_eq!(
        (ended.state, ended.is_restarting()),
        (AgentState::Terminated, false)
    );
    assert!(agent(&world, id).await.metadata.get("restarting").is_none());
}

/// An agent as it is while it is held for what is to come of it.
async fn marked(world: &World, name: &str, mark: &str, value: &str) -> fusion_core::AgentId {
    let id = spawn(world, name).await;
    let mut row = agent(world, id).await;
    row.state = AgentState::Paused;
    row.metadata[mark] = json!(value);
    let moved = Decision::default().with(Change::update(row));
    world.store.commit(Batch::free(moved)).await.unwrap();
    id
}

/// Who holds an agent while it is restarted has the last word.
#[tokio::test]
async fn a_pause_beside_a_restart_keeps_the_agent_held() {
    let world = World::new().await;
    world.register("gate", Gate::shut());
    let id = marked(&world, "writer", "restarting", "now").await;
    assert!(agent(&world, id).await.is_restarting());
    let engine = world.engine();
    engine.pause_agent(id, PauseAt::NextStep).await.unwrap();
    let held = agent(&world, id).await;
    let is = (held.state, held.is_restarting(), held.paused_at());
    assert_eq!(is, (AgentState::Paused, false, Some(PauseAt::NextStep)));
}

/// The worker is in another process: its end is waited for all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_worker_of_the_agent_waits_until_it_goes_on_as_well() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    hosted(&world, async {
        let sent = world.engine().send_to_agent(id, json!("Go.")).await;
        until(|| async { gate.begun() == 1 }).await;
        let restarted = world.another().restart_agent(id, PauseAt::Now).await;
        let restarted = restarted.unwrap();
        assert!(
            matches!(restarted.state, AgentState::Idle | AgentState::Working),
            "{restarted:?}"
        );
        until(|| async { gate.begun() == 2 }).await;
        gate.open.add_permits(100);
        let run = run_ended(&world, sent.unwrap().run.unwrap()).await;
        assert_eq!(run.state, WorkflowState::Completed);
    })
    .await;
}

/// Who restarts an agent is told that it ends, and what becomes of its workspace.
#[tokio::test]
async fn who_is_being_ended_is_not_restarted() {
    let world = World::new().await;
    world.register("gate", Gate::shut());
    let engine = world.engine();
    for (name, what, becomes) in [
        ("packed", "archive", "packed"),
        ("removed", "remove", "removed"),
    ] {
        let id = marked(&world, name, "ending", what).await;
        let refused = engine.restart_agent(id, PauseAt::Now).await.unwrap_err();
        assert_eq!(
            (refused.to_string(), refused.way_out()),
            (
                format!(
                    "the agent '{name}' is being ended: its workspace is {becomes}, and then it has ended"
                ),
                Some("make another with `agent spawn`".to_owned())
            )
        );
    }
}

/// The end has the last word, and who waits for the restart hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_beside_a_restart_is_told_to_who_waits_for_it() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    let refused = hosted(&world, async {
        let engine = world.engine();
        engine.send_to_agent(id, json!("Go.")).await.unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let ending = async {
            until(|| async { agent(&world, id).await.is_restarting() }).await;
            engine.terminate_agent(id, Disposal::Keep).await.unwrap()
        };
        let (restarted, ended) = tokio::join!(engine.restart_agent(id, PauseAt::NextStep), ending);
        assert_eq!(ended.state, AgentState::Terminated);
        restarted.unwrap_err()
    })
    .await;
    assert_eq!(refused.to_string(), "the agent 'writer' has ended");
}

/// What was asked for last is what is told.
#[tokio::test]
async fn an_agent_that_was_to_be_removed_and_is_kept_says_so() {
    let world = World::new().await;
    world.register("gate", Gate::shut());
    let id = marked(&world, "writer", "ending", "remove").await;
    let engine = world.engine();
    let ended = engine.terminate_agent(id, Disposal::Keep).await.unwrap();
    assert_eq!(
        (ended.state, ended.ending()),
        (AgentState::Terminated, None)
    );
    assert_eq!(ended, agent(&world, id).await);
}
