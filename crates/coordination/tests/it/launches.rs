//! Runs that can't begin.

use fusion_coordination::Error;
use fusion_core::{AgentState, WorkflowState};
use fusion_persistence::AgentReader;

use crate::models::Model;
use crate::world::World;

/// The helper of these tests holds no command.
#[tokio::test]
async fn a_run_whose_commands_can_not_be_held_fails_and_tells_why() {
    let world = World::new().await;
    world.register("good", Model::good());
    let file = "version: 1\nname: held\nagents:\n  \
         a: { provider: good, model: m, tools: [shell] }\n  \
         b: { provider: good, model: m }\nsteps:\n  \
         - { id: one, agent: a, prompt: Do it. }\n  \
         - { id: two, agent: b, prompt: Do it. }\n";
    let run = world.create(file).await;
    let refused = world.drive(run).await.unwrap_err();
    assert!(matches!(&refused, Error::Workspace { .. }), "{refused:?}");
    let agents = world.store.agents_of_run(run).await.unwrap();
    let states: Vec<AgentState> = agents.iter().map(|(agent, _)| agent.state).collect();
    assert_eq!(states, [AgentState::Terminated; 2]);
    let run = world.run(run).await;
    assert_eq!(run.state, WorkflowState::Failed);
    let why = run.error_message.unwrap();
    assert!(why.contains("the sandbox's own test"), "{why}");
}
