//! What becomes of the workspaces of agents that end, beside whoever works in them or takes over from them.

use fusion_coordination::{Again, Ask, Driven, Error};
use fusion_core::{
    Agent, AgentId, AgentState, Change, Decision, Disposal, EventType, RunId, WorkflowState,
    Workspace,
};
use fusion_persistence::{AgentReader, Batch, Page, Repository, RunFilter, Store, WorkspaceFilter};
use fusion_workspaces::{Options, Owners, Seat, Workspaces};
use serde_json::Map;

use crate::gate::Gate;
use crate::standing::{agent, folder, spawn, until};
use crate::world::{UIDS, World};

const ALONE: &str = "
version: 1
name: alone
agents:
  a: { provider: gate, model: m, tools: [files] }
steps:
  - { id: s, agent: a, prompt: x }
";

/// Its run has nothing left to do then, and ends beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_agent_of_a_run_ends_with_what_was_asked_for_its_workspace() {
    for disposal in [Disposal::Archive, Disposal::Remove, Disposal::Keep] {
        let world = World::new().await;
        let gate = Gate::shut();
        world.register("gate", gate.clone());
        let run = world.create(ALONE).await;
        let ending = async {
            until(|| async { gate.begun() == 1 }).await;
            let id = agent_of(&world, run).await;
            std::fs::write(folder(&world, id).join("projects/notes.md"), "a copy").unwrap();
            let ended = world.engine().terminate_agent(id, disposal).await;
            assert_eq!(ended.unwrap().state, AgentState::Terminated);
            id
        };
        let (driven, id) = tokio::join!(world.drive(run), ending);
        assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Failed));
        let archive = world.folder().join("archives").join(format!("{id}.tar"));
        let is = (folder(&world, id).exists(), archive.exists());
        let kept = disposal == Disposal::Keep;
        assert_eq!(is, (kept, disposal == Disposal::Archive), "{disposal:?}");
        assert_eq!(world.told(EventType::AgentTerminated).await, [Some(id)]);
        assert_eq!(world.engine().clear_remains().await.unwrap(), 0);
    }
}

const CHAIN: &str = "
version: 1
name: chain
agents:
  a: { provider: gate, model: m, tools: [files] }
steps:
  - { id: first, agent: a, prompt: x }
  - { id: last, agent: a, prompt: x, needs: [first] }
";

/// A run that failed: its agent did the first step, and was told to end in the second.
async fn failed(world: &World, gate: &Gate, disposal: Disposal) -> (RunId, Result<Agent, Error>) {
    gate.open.add_permits(1);
    let run = world.create(CHAIN).await;
    let ending = async {
        until(|| async { gate.begun() == 2 }).await;
        let id = agent_of(world, run).await;
        world.engine().terminate_agent(id, disposal).await
    };
    let (driven, ended) = tokio::join!(world.drive(run), ending);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Failed));
    (run, ended)
}

async fn agent_of(world: &World, run: RunId) -> AgentId {
    world.store.agents_of_run(run).await.unwrap()[0].0.id
}

async fn workspace_of(world: &World, id: AgentId) -> Workspace {
    let filter = WorkspaceFilter { agent: Some(id) };
    let mut found = world.store.list(&filter, Page::first(1)).await.unwrap();
    found.remove(0)
}

fn again(run: RunId) -> Again {
    Again {
        run,
        from: None,
        inputs: Map::new(),
        latest: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_a_new_attempt_takes_over_is_packed_once_that_has_ended() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    // There is no place for the archive.
    let archives = world.folder().join("archives");
    std::fs::write(&archives, "in the way").unwrap();
    let (run, refused) = failed(&world, &gate, Disposal::Archive).await;
    assert!(
        matches!(refused, Err(Error::Workspace { .. })),
        "{refused:?}"
    );
    std::fs::remove_file(archives).unwrap();
    let id = agent_of(&world, run).await;
    let again = again(run);
    let retry = world.engine().run_again(&again, |_| Ask::default());
    let retry = retry.await.unwrap();
    let archive = world.folder().join("archives").join(format!("{id}.tar"));
    let is = || (folder(&world, id).exists(), archive.exists());
    for _ in 0..2 {
        assert_eq!(world.engine().clear_remains().await.unwrap(), 0);
        assert_eq!(is(), (true, false));
    }
    gate.open.add_permits(1);
    let driven = world.drive(retry).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    assert_eq!(world.engine().clear_remains().await.unwrap(), 1);
    assert_eq!(is(), (false, true));
    assert_eq!(agent(&world, id).await.state, AgentState::Terminated);
}

/// Its removal may end between the look at the folder and the commit of the new run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_was_removed_a_moment_before_is_taken_over_by_nobody() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let (run, ended) = failed(&world, &gate, Disposal::Keep).await;
    let known = workspace_of(&world, ended.unwrap().id).await;
    let gone = Workspace {
        initialized: false,
        ..known
    };
    let decision = Decision::default().with(Change::update(gone));
    world.store.commit(Batch::free(decision)).await.unwrap();
    let again = again(run);
    let refused = world.engine().run_again(&again, |_| Ask::default()).await;
    let Err(Error::Workspace { source, .. }) = refused else {
        panic!("{refused:?}");
    };
    let is_gone = matches!(source, fusion_workspaces::Error::NoWorkspace { .. });
    assert!(is_gone, "{source}");
    let all = world
        .store
        .list(&RunFilter::default(), Page::first(9))
        .await;
    assert_eq!(all.unwrap().len(), 1);
}

/// As another process has it that takes in what is in a workspace.
async fn alone(world: &World, id: AgentId) -> Seat {
    let workspaces = Workspaces::new(Options {
        root: world.folder().join("workspaces"),
        owners: Owners::of_this_process(UIDS),
    });
    let uid = workspace_of(world, id).await.process_uid;
    let dir = workspaces.open_beside(&id.to_string(), uid).unwrap();
    dir.seat_alone().unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_somebody_has_alone_is_dealt_with_once_they_are_done() {
    for disposal in [Disposal::Archive, Disposal::Remove] {
        let world = World::new().await;
        world.register("gate", Gate::open());
        let id = spawn(&world, "writer").await;
        let seat = alone(&world, id).await;
        let refused = world.engine().terminate_agent(id, disposal).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::Occupied { .. }), "{refused:?}");
        assert_eq!(world.engine().clear_remains().await.unwrap(), 0);
        let state = agent(&world, id).await.state;
        assert_eq!(
            (folder(&world, id).exists(), state),
            (true, AgentState::Paused)
        );
        drop(seat);
        assert_eq!(world.engine().clear_remains().await.unwrap(), 1);
        let state = agent(&world, id).await.state;
        let ended = AgentState::Terminated;
        assert_eq!((folder(&world, id).exists(), state), (false, ended));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_the_way_out_of_a_workspace_is_waited_for() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "writer").await;
    let seat = alone(&world, id).await;
    let leaving = async {
        until(|| async { agent(&world, id).await.state == AgentState::Paused }).await;
        assert!(folder(&world, id).exists());
        drop(seat);
    };
    let ending = world.engine().terminate_agent(id, Disposal::Archive);
    let (ended, ()) = tokio::join!(ending, leaving);
    assert_eq!(ended.unwrap().state, AgentState::Terminated);
    assert!(!folder(&world, id).exists());
}
