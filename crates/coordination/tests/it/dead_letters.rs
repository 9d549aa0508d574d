//! Messages that nobody will read.

use fusion_core::{
    Agent, Audience, Delivery, DeliveryStatus, Draft, EventType, IdSource, Message, MessageLimits,
    Moment, RunId, Timestamp, inbox_subject,
};
use fusion_persistence::{AgentReader, Batch, MessageReader, Store};
use serde_json::json;
use uuid::Uuid;

use crate::models::Model;
use crate::world::World;

const WORKFLOW: &str = "version: 1\nname: two\nagents:\n  a: { provider: p, model: m }\n  \
     b: { provider: p, model: m }\nsteps:\n  - { id: s, agent: a, prompt: Do it. }\n";

/// Ids that no engine gives.
#[derive(Debug)]
struct Far(u128);

impl IdSource for Far {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::MAX - self.0)
    }
}

/// From a person to an agent that has no step.
async fn send(
    world: &World,
    number: u128,
    run: RunId,
    to: &Agent,
    expiry_at: Option<Timestamp>,
) -> Message {
    let now = Timestamp::from_timestamp(1_600_000_000, 0).unwrap();
    let draft = Draft {
        sender: None,
        run_id: Some(run),
        audience: Audience::Agents(vec![to.id]),
        topic: inbox_subject(to.id),
        message_type: "note".to_owned(),
        payload: json!("hello"),
        reply_to: None,
        expiry_at,
    };
    let ids = Far(number * 100);
    let moment = Moment { now, ids: &ids };
    let (message, sent) = draft.send(MessageLimits::default(), moment).unwrap();
    world.store.commit(Batch::free(sent)).await.unwrap();
    message
}

async fn delivery(world: &World, message: &Message) -> Delivery {
    world.store.deliveries(message.id).await.unwrap().remove(0)
}

#[tokio::test]
async fn what_nobody_read_is_told_when_the_run_has_ended() {
    let world = World::new().await;
    world.register("p", Model::good());
    let run = world.create(WORKFLOW).await;
    let agents = world.store.agents_of_run(run).await.unwrap();
    let b = &agents[1].0;
    let past = Timestamp::from_timestamp(1_600_000_001, 0);
    let late = send(&world, 1, run, b, past).await;
    let unread = send(&world, 2, run, b, None).await;
    world.drive(run).await.unwrap();
    let late = delivery(&world, &late).await;
    assert_eq!(
        (late.status, late.reason.as_deref()),
        (DeliveryStatus::Expired, None)
    );
    let unread = delivery(&world, &unread).await;
    assert_eq!(
        (unread.status, unread.reason.as_deref()),
        (DeliveryStatus::Failed, Some("the agent has ended"))
    );
    assert_eq!(world.told(EventType::MessageExpired).await, [Some(b.id)]);
    assert_eq!(world.told(EventType::MessageFailed).await, [Some(b.id)]);
}
