//! A bus that loses everything costs time only.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fusion_coordination::Driven;
use fusion_core::{
    CapabilitySet, EventType, Moment, NewEvent, NodeId, RunId, TaskState, Timestamp, WorkflowState,
};
use fusion_persistence::{AgentReader, Batch, Claim, Claimed, Fence, Lease, Store};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::models::Model;
use crate::world::{Deaf, Ids, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn losing_every_hint_leaves_no_step_of_a_run_behind() {
    let bus = Arc::new(Deaf::new());
    let world = World::on(Arc::<Deaf>::clone(&bus)).await;
    world.register("good", Model::good());
    let mut file = "version: 1\nname: deaf\nagents:\n  \
         a: { provider: good, model: m }\n  b: { provider: good, model: m }\nsteps:\n  \
         - { id: first, agent: a, prompt: Do it. }\n"
        .to_owned();
    for number in 0..20 {
        let agent = if number % 2 == 0 { "a" } else { "b" };
        file += &format!(
            "  - {{ id: wide{number}, agent: {agent}, prompt: Do it., needs: [first] }}\n"
        );
    }
    let needs: Vec<String> = (0..20).map(|number| format!("wide{number}")).collect();
    let needs = needs.join(", ");
    file += &format!("  - {{ id: last, agent: b, prompt: Do it., needs: [{needs}] }}\n");
    let run = world.create(&file).await;
    let driven = world.drive(run).await.unwrap();
    assert_eq!(driven, Driven::Ended(WorkflowState::Completed));
    let states: Vec<TaskState> = world.tasks(run).await.iter().map(|it| it.state).collect();
    assert_eq!(states, [TaskState::Completed; 22]);
    // There was something to lose: a task tells when it is queued, when it begins and when it ends.
    assert!(bus.lost.load(Ordering::Relaxed) > 3 * 22);
}

/// The claim of a node that this process knows nothing of, for longer than the test takes.
async fn claim_elsewhere(world: &World, run: RunId, moment: Moment<'_>) -> Claimed {
    let (agent, _) = world.store.agents_of_run(run).await.unwrap().remove(0);
    let event = NewEvent::of_run(moment, EventType::TaskAssigned, run, "taken".to_owned());
    let claim = Claim {
        agent: agent.id,
        run,
        capability_sets: vec![CapabilitySet::default().key()],
        lease: Lease {
            owner: NodeId::from_uuid(moment.ids.uuid()),
            duration: Duration::from_hours(1),
        },
        driver: None,
        event,
    };
    world.store.claim_task(claim).await.unwrap().unwrap()
}

async fn complete(world: &World, claimed: Claimed, moment: Moment<'_>) {
    let Claimed { task, agent } = claimed;
    let fence = Fence {
        task: task.id,
        number: task.fence,
    };
    let (task, agent, mut decision) = task.begin(agent, json!({}), moment).unwrap();
    let made = json!({ "outputs": { "text": "done" }, "artifacts": [] });
    let completed = task.complete(agent, made, moment).unwrap();
    decision.changes.extend(completed.changes);
    decision.events.extend(completed.events);
    let batch = Batch::fenced(fence, decision);
    world.store.commit(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_did_is_seen_without_a_hint() {
    let bus = Arc::new(Deaf::new());
    let world = World::on(Arc::<Deaf>::clone(&bus)).await;
    world.register("good", Model::good());
    let file = "version: 1\nname: one\nagents:\n  a: { provider: good, model: m }\n\
                steps:\n  - { id: s, agent: a, prompt: Do it. }\n";
    let run = world.create(file).await;
    // Begun, and stopped before anything is handed out.
    let stopped = CancellationToken::new();
    stopped.cancel();
    let driven = world.drive_until(run, &stopped).await.unwrap();
    assert_eq!(driven, Driven::Interrupted);

    let ids = Ids::from(1 << 40);
    let moment = Moment {
        now: Timestamp::from_timestamp(1_700_000_100, 0).unwrap(),
        ids: &ids,
    };
    let claimed = claim_elsewhere(&world, run, moment).await;
    let elsewhere = async {
        // The scheduler listens, so it has had its first look or is about to.
        while bus.readers.subscriptions() == 0 {
            tokio::task::yield_now().await;
        }
        complete(&world, claimed, moment).await;
        Instant::now()
    };
    let (driven, done) = tokio::join!(world.drive(run), elsewhere);
    assert_eq!(driven.unwrap(), Driven::Ended(WorkflowState::Completed));
    println!("seen after {:?}", done.elapsed());
}
