//! An agent with several models is served by whichever can.

use fusion_coordination::Driven;
use fusion_core::{EventType, WorkflowState};
use fusion_persistence::{AgentReader, Repository};
use serde_json::{Value, json};

use crate::models::{Model, server};
use crate::world::World;

const WORKFLOW: &str = "
version: 1
name: spare
agents:
  writer:
    provider: first
    model: wanted
    fallback_models: [{ provider: second, model: spare }]
steps:
  - { id: write, agent: writer, prompt: Write. }
";

/// Runs the workflow; gives who served its one turn.
async fn served(world: &World) -> Value {
    let run = world.create(WORKFLOW).await;
    assert_eq!(
        world.drive(run).await.unwrap(),
        Driven::Ended(WorkflowState::Completed)
    );
    let [task] = &*world.tasks(run).await else {
        panic!("one step");
    };
    let [turn] = &*world.journal(task).await else {
        panic!("one turn");
    };
    let answer = &turn.outcome.as_ref().unwrap()["answer"];
    json!([answer["served_by"], answer["model"]])
}

#[tokio::test]
async fn the_wanted_model_serves_while_it_can() {
    let world = World::new().await;
    world.register("first", Model::good());
    world.register("second", Model::good());
    assert_eq!(served(&world).await, json!(["first", "wanted"]));
}

#[tokio::test]
async fn an_overloaded_model_is_replaced_turn_by_turn_and_the_turn_says_by_whom() {
    let world = World::new().await;
    world.register("first", Model::failing(|_| Some(server(503))));
    world.register("second", Model::good());
    assert_eq!(served(&world).await, json!(["second", "spare"]));
    assert_eq!(world.told(EventType::ProviderRetry).await.len(), 2);
}

#[tokio::test]
async fn a_disabled_provider_is_passed_over() {
    let world = World::new().await;
    world.register("first", Model::good());
    world.register("second", Model::good());
    world.registry.disable("first").unwrap();
    assert_eq!(served(&world).await, json!(["second", "spare"]));
}

#[tokio::test]
async fn a_model_that_is_gone_is_left_out_before_the_run_begins() {
    let world = World::new().await;
    world.register("first", Model::gone());
    world.register("second", Model::good());
    assert_eq!(served(&world).await, json!(["second", "spare"]));
    let run = world.create(WORKFLOW).await;
    let agents = world.store.agents_of_run(run).await.unwrap();
    let (agent, _) = &agents[0];
    assert_eq!(
        (agent.provider.as_str(), agent.model_name.as_str()),
        ("second", "spare")
    );
    let known: Vec<&Value> = agent.metadata["models"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(
        known,
        [&json!({
            "provider": "second", "model": "spare", "scripted": false,
            "price": { "input_token": "0.000000000001", "output_token": "0.00000000001", "request": "0" },
            "context_length": 10_000, "max_output_tokens": 100,
        })]
    );
    let _same = world.store.get(agent.id).await.unwrap();
}
