//! The life of agents, over and over and all at once: nothing fails that may not, nothing is left.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fusion_coordination::{Coordinator, Error, NewAgent};
use fusion_core::{
    Agent, AgentId, AgentSpec, AgentState, Disposal, PauseAt, Task, TaskState, Workspace,
};
use fusion_persistence::{AgentFilter, Page, Repository, TaskFilter, WorkspaceFilter};
use serde_json::{Map, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::world::World;

/// Agents that live at once.
const AT_ONCE: u32 = 4;

/// More than there are rows.
const ALL: u32 = 10_000;

/// Cycles of this test; `FUSION_STORM=full` makes them as many as promised.
fn cycles() -> u32 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the way to ask for the full size is an environment variable"
    )]
    let is_full = std::env::var("FUSION_STORM").is_ok_and(|size| size == "full");
    if is_full { 10_000 } else { 200 }
}

fn new(name: &str) -> NewAgent {
    NewAgent {
        name: name.to_owned(),
        spec: AgentSpec::new("gate", "m"),
        project: None,
        metadata: Map::new(),
        base_dir: PathBuf::from("/"),
    }
}

/// Spawn, work, pause, resume, terminate.
async fn cycle(engine: Coordinator, number: u32) -> Result<(), Error> {
    let id = engine.spawn_agents(vec![new("a")]).await?.remove(0).id;
    engine.send_to_agent(id, json!("Go.")).await?;
    let at = if number.is_multiple_of(2) {
        PauseAt::Now
    } else {
        PauseAt::NextStep
    };
    engine.pause_agent(id, at).await?;
    engine.resume_agent(id).await?;
    let disposal = match number % 10 {
        0 => Disposal::Archive,
        _ => Disposal::Remove,
    };
    engine.terminate_agent(id, disposal).await.map(|_| ())
}

fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn many(engine: &Coordinator, count: u32) {
    let mut going: JoinSet<Result<(), Error>> = JoinSet::new();
    for number in 0..count {
        if number >= AT_ONCE {
            going.join_next().await.unwrap().unwrap().unwrap();
        }
        going.spawn(cycle(engine.clone(), number));
    }
    while let Some(done) = going.join_next().await {
        done.unwrap().unwrap();
    }
}

/// Hosts until `work` is done.
async fn hosted(world: &World, work: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let hosting = Box::pin(world.engine().host(&stop));
    let working = async {
        work.await;
        stop.cancel();
    };
    let (hosted, ()) = tokio::join!(hosting, Box::pin(working));
    hosted.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cycles_of_life_never_fail_and_leave_nothing() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let cycles = cycles();
    hosted(&world, async {
        // Pools and caches are filled by the first few.
        many(world.engine(), 8).await;
        let before = open_files();
        many(world.engine(), cycles).await;
        let after = open_files();
        assert!(
            after <= before + 8,
            "{before} files were open, then {after}"
        );
    })
    .await;
    let folder = world.folder().join("workspaces");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    let mut page = Page::first(ALL);
    let mut agents = 0;
    loop {
        let some: Vec<Agent> = world
            .store
            .list(&AgentFilter::default(), page)
            .await
            .unwrap();
        let Some(last) = some.last() else { break };
        page.after = Some(last.id);
        agents += some.len();
        assert!(
            some.iter()
                .all(|agent| agent.state == AgentState::Terminated)
        );
    }
    assert_eq!(agents, (cycles + 8) as usize);
    let left = TaskFilter {
        states: vec![TaskState::Queued, TaskState::Assigned, TaskState::Running],
        ..TaskFilter::default()
    };
    assert_eq!(
        world.store.list(&left, Page::first(9)).await.unwrap(),
        [] as [Task; 0]
    );
    let mut page = Page::first(ALL);
    loop {
        let filter = WorkspaceFilter::default();
        let some: Vec<Workspace> = world.store.list(&filter, page).await.unwrap();
        let Some(last) = some.last() else { break };
        page.after = Some(last.id);
        let is_free = |it: &Workspace| !it.initialized && it.process_uid.is_none();
        assert!(some.iter().all(is_free));
    }
}

/// What a race may be answered with: the other was first.
fn lost(error: &Error) -> bool {
    matches!(error, Error::Lifecycle { .. } | Error::Busy { .. })
}

async fn harass(engine: Coordinator, id: AgentId, number: u32) {
    for turn in 0..10 {
        let done = match (number + turn) % 4 {
            0 => engine.pause_agent(id, PauseAt::Now).await.map(|_| ()),
            1 => engine.pause_agent(id, PauseAt::NextStep).await.map(|_| ()),
            2 => engine.resume_agent(id).await.map(|_| ()),
            _ => engine.send_to_agent(id, json!("Go.")).await.map(|_| ()),
        };
        if let Err(error) = done {
            assert!(lost(&error), "{error:?}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_lets_go_and_ends_at_once_leaves_one_true_state() {
    let world = World::new().await;
    let gate = Gate {
        tool_turns: 0,
        ..Gate::open()
    };
    world.register("gate", gate);
    hosted(&world, async {
        for round in 0..5 {
            let engine = world.engine();
            let spawned = engine.spawn_agents(vec![new("a")]).await.unwrap();
            let id = spawned[0].id;
            let mut all = JoinSet::new();
            for number in 0..4 {
                all.spawn(harass(engine.clone(), id, number));
            }
            while let Some(done) = all.join_next().await {
                done.unwrap();
            }
            let mut ending = JoinSet::new();
            for _ in 0..3 {
                let engine = engine.clone();
                ending.spawn(async move { engine.terminate_agent(id, Disposal::Remove).await });
            }
            let mut ended = 0;
            while let Some(done) = ending.join_next().await {
                match done.unwrap() {
                    Ok(_) => ended += 1,
                    Err(error) => assert!(lost(&error), "{error:?}"),
                }
            }
            assert_eq!(ended, 1, "round {round}");
            let agent: Agent = world.store.get(id).await.unwrap();
            assert_eq!(agent.state, AgentState::Terminated);
            let tasks = TaskFilter {
                agent: Some(id),
                ..TaskFilter::default()
            };
            let tasks: Vec<Task> = world.store.list(&tasks, Page::first(ALL)).await.unwrap();
            assert!(tasks.iter().all(|task| task.state.is_final()), "{tasks:?}");
            let folder = world.folder().join("workspaces").join(id.to_string());
            assert!(!folder.exists());
        }
    })
    .await;
}
