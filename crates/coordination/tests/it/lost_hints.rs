//! A bus that loses everything costs time only.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fusion_coordination::Driven;
use fusion_core::{
    AgentId, Audience, CapabilitySet, Draft, EventType, MessageLimits, Moment, NewEvent, NodeId,
    RunId, TaskState, Timestamp, WorkflowState, inbox_subject,
};
use fusion_messaging::{Bus as _, InProcessBus, QueueLimits, Subject};
use fusion_persistence::{AgentReader, Batch, Claim, Claimed, Fence, Lease, Store};
use futures::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::models::Model;
use crate::standing::{hosted, named, run_ended, until};
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

/// An engine that hears the last hint only, and sweeps once.
async fn hard_of_hearing(gate: Gate) -> (World, Arc<InProcessBus>) {
    let limits = QueueLimits {
        messages: 1,
        ..QueueLimits::default()
    };
    let bus = Arc::new(InProcessBus::new(limits));
    let world = World::tuned(Arc::<InProcessBus>::clone(&bus), |options| {
        options.heartbeat = Duration::from_hours(1);
        options.sweep = Duration::from_hours(1);
    })
    .await;
    world.register("gate", gate);
    (world, bus)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_missed_hints_takes_up_all_runs_before_its_next_sweep() {
    let (world, _) = hard_of_hearing(Gate::open()).await;
    let names = (0..33).map(|number| named(&format!("a{number}"))).collect();
    let mut agents = world.engine().spawn_agents(names).await.unwrap();
    let engine = world.engine();
    let send = |agent: AgentId| async move {
        let sent = engine.send_to_agent(agent, json!("Go.")).await;
        sent.unwrap().run.unwrap()
    };
    let first = agents.remove(0);
    let ended = hosted(&world, async {
        // After it the host had its first sweep.
        run_ended(&world, send(first.id).await).await;
        let sent = join_all(agents.iter().map(|agent| send(agent.id))).await;
        join_all(sent.into_iter().map(|run| run_ended(&world, run))).await
    })
    .await;
    let states: Vec<WorkflowState> = ended.iter().map(|run| run.state).collect();
    assert_eq!(states, [WorkflowState::Completed; 32]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_missed_hints_takes_up_all_mail_before_its_next_sweep() {
    let gate = Gate::shut();
    let (world, bus) = hard_of_hearing(gate.clone()).await;
    let names = (0..3).map(|number| named(&format!("a{number}"))).collect();
    let agents = world.engine().spawn_agents(names).await.unwrap();
    let ids = Ids::from(1 << 40);
    let moment = Moment {
        now: Timestamp::from_timestamp(1_700_000_100, 0).unwrap(),
        ids: &ids,
    };
    hosted(&world, async {
        // When it works the host had its first sweep. No run ends before the end of this test: the end
        // of one would be an occasion to look at all mail.
        world
            .engine()
            .send_to_agent(agents[0].id, json!("Go."))
            .await
            .unwrap();
        until(|| async { gate.begun() == 1 }).await;
        // As another process does it, which hosts nothing.
        for agent in &agents[1..] {
            let draft = Draft {
                sender: None,
                run_id: None,
                audience: Audience::Agents(vec![agent.id]),
                topic: inbox_subject(agent.id),
                message_type: "message".to_owned(),
                payload: json!("Go."),
                reply_to: None,
                expiry_at: None,
            };
            let (_, decision) = draft.send(MessageLimits::default(), moment).unwrap();
            world.store.commit(Batch::free(decision)).await.unwrap();
        }
        for agent in &agents[1..] {
            let subject: Subject = inbox_subject(agent.id).parse().unwrap();
            bus.publish(&subject, Arc::from([]));
        }
        until(|| async { gate.begun() == 3 }).await;
        gate.open.add_permits(3);
    })
    .await;
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
