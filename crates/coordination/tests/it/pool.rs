//! Tasks of their own: who does them, what they wait for, how they are stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_coordination::{Ask, Error, Fault, NewTask, RetryTask, Wait, why};
use fusion_core::{
    Agent, AgentId, AgentState, CancelReason, Disposal, EventType, Run, Task, TaskId, TaskState,
    WorkflowState,
};
use fusion_persistence::{Repository, WorkflowFilter};
use futures::future::join_all;
use serde_json::json;

use crate::gate::Gate;
use crate::models::{Model, server};
use crate::standing::{agent, hosted, named, until};
use crate::world::{Deaf, World};

pub(crate) fn ask(_: &Task) -> Ask {
    Ask::default()
}

pub(crate) fn asked(what: &str) -> NewTask {
    NewTask {
        description: what.to_owned(),
        ..NewTask::default()
    }
}

pub(crate) async fn create(world: &World, new: NewTask) -> Task {
    world.engine().create_task(new, ask).await.unwrap()
}

pub(crate) async fn spawn(world: &World, name: &str, can: &[&str]) -> AgentId {
    let mut new = named(name);
    new.spec.capabilities = can.iter().copied().collect();
    let agents = world.engine().spawn_agents(vec![new]).await;
    agents.unwrap().remove(0).id
}

pub(crate) async fn task(world: &World, id: TaskId) -> Task {
    world.store.get(id).await.unwrap()
}

pub(crate) async fn ended(world: &World, id: TaskId) -> Task {
    until(|| async { task(world, id).await.state.is_final() }).await;
    task(world, id).await
}

async fn in_state(world: &World, id: TaskId, state: TaskState) {
    until(|| async { task(world, id).await.state == state }).await;
}

pub(crate) async fn idle(world: &World, id: AgentId) {
    until(|| async { agent(world, id).await.state == AgentState::Idle }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_goes_to_an_agent_that_can_do_it_and_ends_with_its_run() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    spawn(&world, "other", &["talk"]).await;
    let able = spawn(&world, "able", &["code", "talk"]).await;
    hosted(
        &world,
        Box::pin(async {
            let new = NewTask {
                name: Some("build".to_owned()),
                capabilities: ["code"].into_iter().collect(),
                inputs: serde_json::Map::from_iter([("file".to_owned(), json!("a.rs"))]),
                ..asked("Build it.")
            };
            let made = create(&world, new).await;
            let done = ended(&world, made.id).await;
            assert_eq!(
                (done.state, done.agent_id),
                (TaskState::Completed, Some(able))
            );
            let prompt = done.input_artifacts["prompt"].as_str().unwrap();
            assert_eq!(prompt, "Build it.\n\nGiven, as JSON:\n{\"file\":\"a.rs\"}");
            let run: Run = world.store.get(done.run_id).await.unwrap();
            assert_eq!((run.state, run.open_tasks), (WorkflowState::Completed, 0));
            assert_eq!(run.outputs, Some(json!({ "text": "turn 1" })));
            idle(&world, able).await;
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_with_the_same_limits_are_of_one_version_and_others_of_their_own() {
    let world = World::new().await;
    let long = || NewTask {
        timeout: Some(Duration::from_hours(2)),
        ..asked("Take your time.")
    };
    let mut versions = Vec::new();
    for new in [
        asked("One."),
        long(),
        asked("Two."),
        long(),
        asked("Three."),
    ] {
        versions.push(create(&world, new).await.workflow_id);
    }
    let [usual, slow, ..] = versions[..] else {
        panic!("no tasks were made")
    };
    assert_ne!(usual, slow);
    assert_eq!(versions, [usual, slow, usual, slow, usual]);
    let stored = world.store.count(&WorkflowFilter::default()).await.unwrap();
    assert_eq!(stored, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_told_what_those_made_that_it_needs() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    spawn(&world, "a", &[]).await;
    let first = NewTask {
        name: Some("first".to_owned()),
        ..asked("One.")
    };
    let first = create(&world, first).await;
    let second = NewTask {
        dependencies: vec![first.id, first.id],
        priority: 9,
        ..asked("Two.")
    };
    let second = create(&world, second).await;
    assert_eq!(second.dependencies, [first.id]);
    let waits = why(world.store.as_ref(), &second).await.unwrap();
    let dependency = Wait::Dependency {
        id: first.id,
        name: "first".to_owned(),
        state: TaskState::Queued,
    };
    assert_eq!(waits, [dependency]);
    // Both waited for a process that hosts.
    hosted(
        &world,
        Box::pin(async {
            let second = ended(&world, second.id).await;
            assert_eq!(second.state, TaskState::Completed);
            let prompt = second.input_artifacts["prompt"].as_str().unwrap();
            let told = "Two.\n\nWhat 'first' made, as JSON:\n{\"text\":\"turn 1\"}";
            assert_eq!(prompt, told);
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_cancelled_task_is_cancelled_with_the_reason() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    spawn(&world, "a", &[]).await;
    hosted(
        &world,
        Box::pin(async {
            let needs = |name: &str, needs: TaskId| NewTask {
                name: Some(name.to_owned()),
                dependencies: vec![needs],
                ..asked("Do it.")
            };
            let first = create(&world, asked("Do it.")).await;
            until(|| async { gate.begun() == 1 }).await;
            let second = create(&world, needs("second", first.id)).await;
            let third = create(&world, needs("third", second.id)).await;
            world.engine().cancel_task(first.id, None).await.unwrap();
            let third = ended(&world, third.id).await;
            assert_eq!(third.state, TaskState::Cancelled);
            assert_eq!(third.cancel_reason, Some(CancelReason::DependencyFailed));
            let why = format!("it needs 'second' ({}), which was cancelled", second.id);
            assert_eq!(third.error_message, Some(why));
            let run: Run = world.store.get(third.run_id).await.unwrap();
            assert_eq!((run.state, run.open_tasks), (WorkflowState::Cancelled, 0));
            // What has failed already is not waited for.
            let refused = world
                .engine()
                .create_task(needs("late", second.id), ask)
                .await;
            let Error::Description { faults } = refused.unwrap_err() else {
                panic!("another error");
            };
            assert!(
                matches!(&faults[..], [Fault::Dependency { .. }]),
                "{faults:?}"
            );
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_a_task_at_work_cuts_its_call_off_and_frees_its_agent() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let id = spawn(&world, "a", &[]).await;
    hosted(
        &world,
        Box::pin(async {
            let first = create(&world, asked("One.")).await;
            until(|| async { gate.begun() == 1 }).await;
            let cancelled = world.engine().cancel_task(first.id, None).await.unwrap();
            assert_eq!(cancelled.state, TaskState::Cancelled);
            idle(&world, id).await;
            let run: Run = world.store.get(first.run_id).await.unwrap();
            assert_eq!(run.state, WorkflowState::Cancelled);
            let again = world.engine().cancel_task(first.id, None).await;
            assert!(matches!(again, Err(Error::TaskState { .. })), "{again:?}");
            // The same agent does the next one.
            gate.open.add_permits(100);
            let second = create(&world, asked("Two.")).await;
            let second = ended(&world, second.id).await;
            assert_eq!(
                (second.state, second.agent_id),
                (TaskState::Completed, Some(id))
            );
            assert_eq!(
                world.store.get(first.id).await.unwrap().state,
                TaskState::Cancelled
            );
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_was_cancelled_is_asked_for_again() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "a", &["x"]).await;
    let new = NewTask {
        name: Some("again".to_owned()),
        agent: Some(id),
        is_demanded: true,
        capabilities: ["x"].into_iter().collect(),
        timeout: Some(Duration::from_secs(77)),
        max_attempts: Some(3),
        priority: 4,
        ..asked("Do it.")
    };
    let first = create(&world, new).await;
    let engine = world.engine();
    let again = RetryTask::default;
    let refused = engine.retry_task(first.id, again(), ask).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, Error::NotEnded { .. }), "{refused:?}");
    world.engine().cancel_task(first.id, None).await.unwrap();
    let second = engine.retry_task(first.id, again(), ask).await.unwrap();
    let wanted = Task {
        id: second.id,
        run_id: second.run_id,
        queued_at: second.queued_at,
        ..first
    };
    assert_eq!(second, wanted);
    hosted(
        &world,
        Box::pin(async {
            assert_eq!(ended(&world, second.id).await.state, TaskState::Completed);
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_busy_agent_is_stolen_unless_it_was_demanded() {
    let world = World::new().await;
    let gate = Gate::shut();
    world.register("gate", gate.clone());
    let busy = spawn(&world, "busy", &[]).await;
    hosted(
        &world,
        Box::pin(async {
            let given = |is_demanded| NewTask {
                agent: Some(busy),
                is_demanded,
                ..asked("Do it.")
            };
            create(&world, given(true)).await;
            until(|| async { gate.begun() == 1 }).await;
            let demanded = create(&world, given(true)).await;
            let preferred = create(&world, given(false)).await;
            let waits = why(world.store.as_ref(), &demanded).await.unwrap();
            let busy_agent = Wait::Agents {
                busy: vec![("busy".to_owned(), AgentState::Working)],
                count: 1,
            };
            assert_eq!(waits, [busy_agent]);
            let thief = spawn(&world, "thief", &[]).await;
            in_state(&world, preferred.id, TaskState::Running).await;
            let stolen = task(&world, preferred.id).await;
            assert_eq!(stolen.agent_id, Some(thief));
            assert_eq!(world.told(EventType::TaskStolen).await, [Some(thief)]);
            assert_eq!(task(&world, demanded.id).await.state, TaskState::Queued);
            gate.open.add_permits(100);
            let demanded = ended(&world, demanded.id).await;
            assert_eq!(demanded.agent_id, Some(busy));
        }),
    )
    .await;
}

#[tokio::test]
async fn no_more_tasks_wait_for_an_agent_than_may_however_many_ask_at_once() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "a", &[]).await;
    let given = || NewTask {
        agent: Some(id),
        ..asked("Do it.")
    };
    let all = (0..20).map(|_| world.engine().create_task(given(), ask));
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(all).await.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (8, 12));
    for error in refused {
        let error = error.unwrap_err();
        assert!(
            matches!(error, Error::QueueFull { waiting: 8, .. }),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_for_later_begins_when_its_time_has_come() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    spawn(&world, "a", &[]).await;
    let later = NewTask {
        delay: Some(Duration::from_secs(3600)),
        ..asked("Much later.")
    };
    let later = create(&world, later).await;
    hosted(
        &world,
        Box::pin(async {
            let soon = NewTask {
                delay: Some(Duration::from_millis(400)),
                ..asked("Soon.")
            };
            let soon = create(&world, soon).await;
            let waiting = task(&world, soon.id).await;
            let waits = why(world.store.as_ref(), &waiting).await.unwrap();
            assert!(matches!(&waits[..], [Wait::Time(_)]), "{waits:?}");
            assert_eq!(ended(&world, soon.id).await.state, TaskState::Completed);
        }),
    )
    .await;
    assert_eq!(task(&world, later.id).await.state, TaskState::Queued);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_an_agent_gives_back_what_was_not_demanded_of_it() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let (gone, left) = (
        spawn(&world, "gone", &[]).await,
        spawn(&world, "left", &[]).await,
    );
    let given = |is_demanded| NewTask {
        agent: Some(gone),
        is_demanded,
        ..asked("Do it.")
    };
    let demanded = create(&world, given(true)).await;
    let preferred = create(&world, given(false)).await;
    let ending = world.engine().terminate_agent(gone, Disposal::Keep).await;
    assert_eq!(ending.unwrap().state, AgentState::Terminated);
    let demanded = task(&world, demanded.id).await;
    assert_eq!(demanded.cancel_reason, Some(CancelReason::AgentEnded));
    let run: Run = world.store.get(demanded.run_id).await.unwrap();
    assert_eq!((run.state, run.open_tasks), (WorkflowState::Cancelled, 0));
    hosted(
        &world,
        Box::pin(async {
            let done = ended(&world, preferred.id).await;
            assert_eq!(
                (done.state, done.agent_id),
                (TaskState::Completed, Some(left))
            );
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_every_hint_leaves_no_task_behind() {
    let world = World::on(Arc::new(Deaf::new())).await;
    world.register("gate", Gate::open());
    spawn(&world, "a", &[]).await;
    spawn(&world, "b", &[]).await;
    hosted(
        &world,
        Box::pin(async {
            let first = create(&world, asked("One.")).await;
            let needs = NewTask {
                dependencies: vec![first.id],
                ..asked("Two.")
            };
            let second = create(&world, needs).await;
            assert_eq!(ended(&world, second.id).await.state, TaskState::Completed);
        }),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_tasks_are_done_once_each_by_ten_agents() {
    let world = World::new().await;
    let gate = Gate::open();
    world.register("gate", gate.clone());
    for number in 0..10 {
        spawn(&world, &format!("a{number}"), &["x"]).await;
    }
    hosted(
        &world,
        Box::pin(async {
            let made = (0..100).map(|_| {
                let new = NewTask {
                    capabilities: ["x"].into_iter().collect(),
                    ..asked("Do it.")
                };
                create(&world, new)
            });
            for made in join_all(made).await {
                let done = ended(&world, made.id).await;
                assert_eq!((done.state, done.attempts), (TaskState::Completed, 1));
            }
        }),
    )
    .await;
    assert_eq!(gate.begun(), 100);
    assert_eq!(world.told(EventType::TaskCompleted).await.len(), 100);
}

/// Its own message comes first, then what waits for it in the pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_does_what_it_is_sent_and_what_it_is_given() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "a", &[]).await;
    let given = NewTask {
        agent: Some(id),
        ..asked("Given.")
    };
    let given = create(&world, given).await;
    let sent = world.engine().send_to_agent(id, json!("Sent.")).await;
    let run = sent.unwrap().run.unwrap();
    hosted(
        &world,
        Box::pin(async {
            assert_eq!(ended(&world, given.id).await.state, TaskState::Completed);
            until(|| async { world.run(run).await.state == WorkflowState::Completed }).await;
        }),
    )
    .await;
    let agent: Agent = agent(&world, id).await;
    assert_eq!(agent.state, AgentState::Idle);
}

/// One that is refused for good reason is not asked again and again, and the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_provider_does_not_serve_is_put_off_alone() {
    let world = World::new().await;
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    world.register(
        "gate",
        Model::failing(move |call| {
            counted.store(call, Ordering::SeqCst);
            // As often as a call is repeated.
            (call <= 3).then(|| server(500))
        }),
    );
    let id = spawn(&world, "a", &[]).await;
    hosted(
        &world,
        Box::pin(async {
            let first = create(&world, asked("One.")).await;
            until(|| async { task(&world, first.id).await.waiting.is_some() }).await;
            let second = create(&world, asked("Two.")).await;
            assert_eq!(ended(&world, second.id).await.state, TaskState::Completed);
            let first = task(&world, first.id).await;
            assert_eq!((first.state, first.agent_id), (TaskState::Queued, Some(id)));
            let waits = why(world.store.as_ref(), &first).await.unwrap();
            assert!(matches!(&waits[..], [Wait::Time(_)]), "{waits:?}");
        }),
    )
    .await;
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}
