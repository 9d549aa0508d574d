//! What a task of the pool says of its wait, and what can not be asked for.

use std::time::Duration;

use fusion_coordination::{Error, Fault, NewTask, Wait, why};
use fusion_core::{AgentState, PauseAt, TaskId};

use crate::gate::Gate;
use crate::world::World;

use crate::pool::{ask, asked, create, spawn};

#[tokio::test]
async fn a_task_says_which_capability_no_agent_has() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    spawn(&world, "far", &[]).await;
    spawn(&world, "near", &["x"]).await;
    let new = NewTask {
        capabilities: ["x", "y"].into_iter().collect(),
        ..asked("Do it.")
    };
    let made = create(&world, new).await;
    let lacks = |name: &str, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned());
        (name.to_owned(), names.collect::<Vec<_>>())
    };
    let wanted = Wait::Capability {
        unknown: vec!["y".to_owned()],
        nearest: vec![lacks("near", &["y"]), lacks("far", &["x", "y"])],
    };
    assert_eq!(why(world.store.as_ref(), &made).await.unwrap(), [wanted]);
    let able = spawn(&world, "able", &["x", "y", "z"]).await;
    assert_eq!(
        why(world.store.as_ref(), &made).await.unwrap(),
        [Wait::Turn]
    );
    world
        .engine()
        .pause_agent(able, PauseAt::Now)
        .await
        .unwrap();
    let paused = Wait::Agents {
        busy: vec![("able".to_owned(), AgentState::Paused)],
        count: 1,
    };
    assert_eq!(why(world.store.as_ref(), &made).await.unwrap(), [paused]);
}

#[tokio::test]
async fn what_can_not_be_asked_for_is_refused_with_all_its_faults() {
    let world = World::new().await;
    world.register("gate", Gate::open());
    let id = spawn(&world, "a", &["x"]).await;
    let new = NewTask {
        name: Some("no name".to_owned()),
        dependencies: vec![TaskId::from_uuid(uuid::Uuid::from_u128(9))],
        timeout: Some(Duration::from_secs(400 * 24 * 60 * 60)),
        ..asked(" ")
    };
    let refused = world.engine().create_task(new, ask).await.unwrap_err();
    let Error::Description { faults } = refused else {
        panic!("another error");
    };
    let fields: Vec<&str> = faults.iter().map(Fault::field).collect();
    assert_eq!(
        fields,
        ["name", "description", "timeout_seconds", "dependencies"]
    );
    let unable = NewTask {
        agent: Some(id),
        capabilities: ["y"].into_iter().collect(),
        ..asked("Do it.")
    };
    let refused = world.engine().create_task(unable, ask).await.unwrap_err();
    assert_eq!(refused.to_string(), "the agent 'a' can't do it: it lacks y");
}
