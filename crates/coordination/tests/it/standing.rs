//! Agents that live outside of runs: spawned, sent work, held, let go on, ended.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fusion_coordination::{Error, Fault, NewAgent};
use fusion_core::{
    Agent, AgentId, AgentSpec, AgentState, Capability, CapabilityId, Change, Decision, Disposal,
    EventType, PauseAt, Run, RunId, TaskState, Timestamp, ToolGroup, WorkflowState,
};
use fusion_messaging::{InProcessBus, QueueLimits};
use fusion_persistence::{AgentFilter, Batch, Page, Repository, Store, WorkspaceFilter};
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::gate::Gate;
use crate::world::World;

/// Far more than any step takes, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) fn named(name: &str) -> NewAgent {
    NewAgent {
        name: name.to_owned(),
        spec: AgentSpec::new("gate", "m"),
        project: None,
        metadata: Map::new(),
        base_dir: PathBuf::from("/"),
    }
}

pub(crate) async fn spawn(world: &World, name: &str) -> AgentId {
    let agents = world.engine().spawn_agents(vec![named(name)]).await;
    agents.unwrap().remove(0).id
}

pub(crate) async fn agent(world: &World, id: AgentId) -> Agent {
    world.store.get(id).await.unwrap()
}

pub(crate) fn folder(world: &World, id: AgentId) -> PathBuf {
    world.folder().join("workspaces").join(id.to_string())
}

/// Waits until a look finds what is wanted.
pub(crate) async fn until<F: Future<Output = bool> + Send>(look: impl Fn() -> F + Send + Sync) {
    let waiting = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

/// Hosts while something else is done.
pub(crate) async fn hosted<T>(world: &World, work: impl Future<Output = T>) -> T {
    let stop = CancellationToken::new();
    let hosting = async { Box::pin(world.engine().host(&stop)).await.unwrap() };
    let working = async {
        let done = work.await;
        stop.cancel();
        done
    };
    tokio::join!(hosting, Box::pin(working)).1
}

pub(crate) async fn run_ended(world: &World, run: RunId) -> Run {
    until(|| async { world.run(run).await.state.is_final() }).await;
    world.run(run).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_waits_does_what_it_is_sent_and_waits_again() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "writer").await;
    assert_eq!(agent(&world, id).await.state, AgentState::Idle);
    assert!(folder(&world, id).join("projects").is_dir());
    hosted(&world, async {
        let sent = world.engine().send_to_agent(id, json!("Write.")).await;
        let run = run_ended(&world, sent.unwrap().run.unwrap()).await;
        assert_eq!(run.state, WorkflowState::Completed);
        assert_eq!(run.outputs, Some(json!({ "text": "turn 1" })));
        assert_eq!(run.inputs["message"], "Write.");
    })
    .await;
    assert_eq!(agent(&world, id).await.state, AgentState::Idle);
    assert!(folder(&world, id).is_dir());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_it_works_waits_in_its_inbox_and_is_done_in_order() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    hosted(&world, async {
        let engine = world.engine();
        let first = engine.send_to_agent(id, json!("One.")).await.unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let second = engine.send_to_agent(id, json!("Two.")).await.unwrap();
        assert_eq!(second.run, None);
        gate.open.add_permits(100);
        run_ended(&world, first.run.unwrap()).await;
        until(|| async {
            let run = engine.run_for(id, second.message).await.unwrap();
            matches!(run, Some(run) if world.run(run).await.state == WorkflowState::Completed)
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_at_the_next_step_keeps_the_turn_and_resume_goes_on_from_it() {
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
        let sent = world
            .engine()
            .send_to_agent(id, json!("Go."))
            .await
            .unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let paused = world.engine().pause_agent(id, PauseAt::NextStep).await;
        assert_eq!(paused.unwrap().state, AgentState::Paused);
        gate.open.add_permits(1);
        let run = sent.run.unwrap();
        until(|| async { world.tasks(run).await[0].state == TaskState::Queued }).await;
        run
    })
    .await;
    // The turn that was under way has its outcome; nothing after it was begun.
    let task = world.tasks(run).await.remove(0);
    let journal = world.journal(&task).await;
    assert_eq!(journal.len(), 1, "{journal:?}");
    assert_eq!(journal[0].state, fusion_core::EntryState::Finished);
    assert_eq!(agent(&world, id).await.state, AgentState::Paused);
    // Another process goes on.
    gate.open.add_permits(100);
    hosted(&world, async {
        let resumed = world.engine().resume_agent(id).await.unwrap();
        assert_eq!(resumed.state, AgentState::Idle);
        let run = run_ended(&world, run).await;
        assert_eq!(run.state, WorkflowState::Completed);
    })
    .await;
    assert_eq!(gate.begun(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_now_cuts_the_call_and_resume_makes_it_again() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    hosted(&world, async {
        let sent = world
            .engine()
            .send_to_agent(id, json!("Go."))
            .await
            .unwrap();
        let run = sent.run.unwrap();
        until(|| async { gate.begun() == 1 }).await;
        world.engine().pause_agent(id, PauseAt::Now).await.unwrap();
        until(|| async { world.tasks(run).await[0].state == TaskState::Queued }).await;
        let refused = world.engine().pause_agent(id, PauseAt::Now).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::Lifecycle { .. }), "{refused:?}");
        gate.open.add_permits(100);
        world.engine().resume_agent(id).await.unwrap();
        let run = run_ended(&world, run).await;
        assert_eq!(run.state, WorkflowState::Completed);
    })
    .await;
    assert_eq!(gate.begun(), 2);
    assert_eq!(world.told(EventType::AgentPaused).await, [Some(id)]);
    assert_eq!(world.told(EventType::AgentResumed).await, [Some(id)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_an_agent_at_work_fails_its_task_and_removes_its_workspace() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    let working = async {
        let sent = world
            .engine()
            .send_to_agent(id, json!("Go."))
            .await
            .unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let ended = world.engine().terminate_agent(id, Disposal::Remove).await;
        assert_eq!(ended.unwrap().state, AgentState::Terminated);
        assert!(!folder(&world, id).exists());
        let run = run_ended(&world, sent.run.unwrap()).await;
        assert_eq!(run.state, WorkflowState::Failed);
        let task = world.tasks(run.id).await.remove(0);
        assert_eq!(task.state, TaskState::Failed);
        let why = task.error_message.unwrap();
        assert_eq!(why, "its agent 'writer' was terminated");
        let again = world.engine().send_to_agent(id, json!("Go.")).await;
        let refused = again.unwrap_err();
        assert!(matches!(refused, Error::Lifecycle { .. }), "{refused:?}");
    };
    hosted(&world, Box::pin(working)).await;
    let filter = WorkspaceFilter { agent: Some(id) };
    let page = Page::first(1);
    let workspace = world.store.list(&filter, page).await.unwrap().remove(0);
    assert_eq!(
        (workspace.initialized, workspace.process_uid),
        (false, None)
    );
}

/// It began work after somebody had looked who waits for any.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_left_the_state_that_it_was_to_end_in_goes_on() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    let working = async {
        let engine = world.engine();
        let sent = engine.send_to_agent(id, json!("Go.")).await.unwrap();
        until(|| async { gate.begun() == 1 }).await;
        let idle = [AgentState::Idle, AgentState::Error];
        for disposal in [Disposal::Keep, Disposal::Remove] {
            let refused = engine.terminate_agent_if(id, disposal, &idle).await;
            let refused = refused.unwrap_err();
            let told = "the agent 'writer' is working, and was to end only as idle or error";
            assert_eq!(refused.to_string(), told);
        }
        gate.open.add_permits(100);
        let run = run_ended(&world, sent.run.unwrap()).await;
        assert_eq!(run.state, WorkflowState::Completed);
        until(|| async {
            let agent: Agent = world.store.get(id).await.unwrap();
            agent.state == AgentState::Idle
        })
        .await;
        let ended = engine.terminate_agent_if(id, Disposal::Keep, &idle).await;
        assert_eq!(ended.unwrap().state, AgentState::Terminated);
    };
    hosted(&world, Box::pin(working)).await;
}

#[tokio::test]
async fn an_archive_holds_what_the_workspace_held() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "writer").await;
    let notes = folder(&world, id).join("projects/notes.md");
    std::fs::write(notes, "the only copy").unwrap();
    world
        .engine()
        .terminate_agent(id, Disposal::Archive)
        .await
        .unwrap();
    assert!(!folder(&world, id).exists());
    let archive = world.folder().join("archives").join(format!("{id}.tar"));
    let bytes = std::fs::read(archive).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("projects/notes.md") && text.contains("the only copy"));
}

/// The record of a workspace may be written between the look at it and its end: by the last worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_stands_beside_who_measures_the_workspace() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "writer").await;
    let big = folder(&world, id).join("projects/big");
    std::fs::write(big, vec![1; 8 << 20]).unwrap();
    let measuring = async {
        loop {
            let filter = WorkspaceFilter { agent: Some(id) };
            let found = world.store.list(&filter, Page::first(1)).await.unwrap();
            let mut workspace = found[0].clone();
            workspace.size_bytes += 1;
            let decision = Decision::default().with(Change::update(workspace));
            // The end may be first.
            world.store.commit(Batch::free(decision)).await.ok();
        }
    };
    let ended = tokio::select! {
        ended = world.engine().terminate_agent(id, Disposal::Archive) => ended,
        () = measuring => unreachable!(),
    };
    assert_eq!(ended.unwrap().state, AgentState::Terminated);
}

#[tokio::test]
async fn a_spawn_in_bulk_is_all_or_nothing() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let coding = Capability {
        id: CapabilityId::from_uuid(Uuid::from_u128(7_000_000)),
        name: "coding".to_owned(),
        description: String::new(),
        category: String::new(),
        metadata: json!({}),
        created_at: Timestamp::UNIX_EPOCH,
        version: 1,
    };
    let add = Decision::default().with(Change::create(coding));
    world.store.commit(Batch::free(add)).await.unwrap();
    let mut wrong = named("second");
    wrong.spec.capabilities = ["codign"].into_iter().collect();
    let refused = world
        .engine()
        .spawn_agents(vec![named("first"), wrong])
        .await;
    let Error::Description { faults } = refused.unwrap_err() else {
        panic!("another error");
    };
    let wanted = Fault::Capability {
        name: "codign".to_owned(),
        nearest: Some("coding".to_owned()),
    };
    assert_eq!(faults, [wanted]);
    // The helper of these tests holds no command: the second can't be had after the first was made.
    let mut held = named("second");
    held.spec.tools = vec![ToolGroup::Shell];
    let refused = world
        .engine()
        .spawn_agents(vec![named("first"), held])
        .await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::Workspace { .. }), "{refused:?}");
    let agents = world
        .store
        .list(&AgentFilter::default(), Page::first(9))
        .await;
    let states: Vec<AgentState> = agents.unwrap().iter().map(|agent| agent.state).collect();
    assert_eq!(states, [AgentState::Terminated; 2]);
    assert_eq!(entries(&world.folder().join("workspaces")), 0);
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_agents_work_at_once_than_may() {
    let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
    let world = World::tuned(bus, |options| options.at_once = 2).await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let six = (0..6).map(|number| named(&format!("a{number}"))).collect();
    let agents = world.engine().spawn_agents(six).await.unwrap();
    hosted(&world, async {
        let mut runs = Vec::new();
        for agent in &agents {
            let sent = world.engine().send_to_agent(agent.id, json!("Go.")).await;
            runs.push(sent.unwrap().run.unwrap());
        }
        until(|| async { gate.begun() == 2 }).await;
        gate.open.add_permits(6);
        for run in runs {
            assert_eq!(run_ended(&world, run).await.state, WorkflowState::Completed);
        }
    })
    .await;
    assert_eq!(gate.begun(), 6);
    assert_eq!(gate.going[1].load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_does_not_get_on_is_told_and_so_is_that_it_does_again() {
    let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
    let world = World::tuned(bus, |options| {
        options.unresponsive = Duration::from_millis(300);
        options.heartbeat = Duration::from_millis(50);
    })
    .await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "writer").await;
    hosted(&world, async {
        let before = agent(&world, id).await.last_heartbeat;
        let sent = world
            .engine()
            .send_to_agent(id, json!("Go."))
            .await
            .unwrap();
        until(|| async { world.told(EventType::AgentUnresponsive).await == [Some(id)] }).await;
        assert_eq!(world.told(EventType::AgentRecovered).await, []);
        gate.open.add_permits(1);
        run_ended(&world, sent.run.unwrap()).await;
        until(|| async { world.told(EventType::AgentRecovered).await == [Some(id)] }).await;
        assert!(agent(&world, id).await.last_heartbeat > before);
    })
    .await;
    assert_eq!(world.told(EventType::AgentUnresponsive).await, [Some(id)]);
}

#[tokio::test]
async fn hosts_come_with_the_tools_that_reach_them() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let web = vec![ToolGroup::Files, ToolGroup::Web];
    let together = "given with the tools `web`, and only with them";
    let written = "hosts such as docs.rs, *.python.org or http://localhost:3000";
    for (tools, hosts, limits) in [
        (web.clone(), vec![], vec![together]),
        (vec![], vec!["docs.rs"], vec![together]),
        (web.clone(), vec!["docs.rs", "*.com"], vec![written]),
        (web, vec!["docs.rs", "*.python.org"], vec![]),
    ] {
        let mut new = named("reader");
        new.spec.tools = tools;
        new.spec.web_hosts = hosts.into_iter().map(str::to_owned).collect();
        let faults = match world.engine().spawn_agents(vec![new]).await {
            Ok(_) => Vec::new(),
            Err(Error::Description { faults }) => faults,
            Err(error) => panic!("{error:?}"),
        };
        let wanted = limits.into_iter().map(|limit| Fault::Limit {
            what: "hosts",
            limit: limit.to_owned(),
        });
        assert_eq!(faults, wanted.collect::<Vec<Fault>>());
    }
}
