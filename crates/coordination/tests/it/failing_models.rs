//! A model that fails often loses nothing.

use fusion_coordination::Driven;
use fusion_core::{Cost, EventType, TaskState, Usage, WorkflowState};
use fusion_providers::Error as Fault;
use serde_json::json;

use crate::models::{Model, server};
use crate::world::World;

/// 500 steps of ten agents: each needs the one before it of the same agent.
fn five_hundred() -> String {
    let mut file = String::from("version: 1\nname: many\nagents:\n");
    for agent in 0..10 {
        file.push_str(&format!("  a{agent}: {{ provider: flaky, model: m }}\n"));
    }
    file.push_str("steps:\n");
    for step in 0..500 {
        let needs = match step {
            0..10 => String::new(),
            _ => format!(", needs: s{}", step - 10),
        };
        let agent = step % 10;
        file.push_str(&format!(
            "  - {{ id: s{step}, agent: a{agent}{needs}, prompt: Do it. }}\n"
        ));
    }
    file
}

/// 3 calls of 10 fail, each in another way, by a fixed sequence of random numbers.
fn thirty_percent(call: u64) -> Option<Fault> {
    let mut seed = call.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^= seed >> 31;
    let provider = || "flaky".to_owned();
    match seed % 100 {
        0..10 => Some(server(500)),
        10..18 => Some(Fault::Truncated {
            provider: provider(),
            problem: "it stops in the middle".into(),
            generation_id: None,
        }),
        18..24 => Some(Fault::Timeout {
            provider: provider(),
            limit: std::time::Duration::from_secs(1),
            generation_id: None,
        }),
        24..30 => Some(Fault::Malformed {
            provider: provider(),
            problem: "not JSON".into(),
            sample: "<html>".into(),
            generation_id: None,
        }),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_fails_three_calls_of_ten_loses_no_task_of_five_hundred() {
    let world = World::new().await;
    world.register("flaky", Model::failing(thirty_percent));
    let run = world.create(&five_hundred()).await;
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    let tasks = world.tasks(run).await;
    assert_eq!(tasks.len(), 500);
    for task in &tasks {
        assert_eq!(task.state, TaskState::Completed, "{task:?}");
        let made = json!({ "outputs": { "text": format!("did {}", task.name) }, "artifacts": [] });
        assert_eq!(task.output_artifacts, Some(made));
    }
    // Each turn is booked once, however often it was asked for.
    assert_eq!(
        world.run(run).await.usage,
        Usage {
            turns: 500,
            input_tokens: 5_000,
            output_tokens: 2_500,
            cost: Cost::from_picos(500 * 60),
        }
    );
    let retries = world.told(EventType::ProviderRetry).await;
    assert!(retries.len() > 100, "{}", retries.len());
    assert!(retries.iter().all(Option::is_some));
    println!(
        "repeats of calls: {}, of steps: {}",
        retries.len(),
        world.told(EventType::TaskRetried).await.len()
    );
}

#[tokio::test]
async fn a_model_that_never_answers_stops_the_run_after_three_tries_of_a_step() {
    let world = World::new().await;
    world.register("flaky", Model::failing(|_| Some(server(500))));
    let file = "version: 1\nname: one\nagents:\n  a: { provider: flaky, model: m }\n\
                steps:\n  - { id: s, agent: a, prompt: Do it. }\n";
    let run = world.create(file).await;
    let stopped = world.drive(run).await.unwrap_err();
    assert_eq!(
        stopped.to_string(),
        "step 's' has to wait: p failed (500): down"
    );
    // Three tries of the step, two repeats of the call in each.
    assert_eq!(world.told(EventType::TaskRetried).await.len(), 3);
    assert_eq!(world.told(EventType::ProviderRetry).await.len(), 6);
    assert_eq!(world.tasks(run).await[0].state, TaskState::Queued);
}
