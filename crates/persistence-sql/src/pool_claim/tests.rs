use std::time::Duration;

use fusion_core::{
    AgentId, CapabilitySet, EventId, EventType, NewEvent, NodeId, PoolQueue, Severity, Timestamp,
};
use fusion_persistence::{Lease, PoolClaim};
use sea_orm::DbBackend;
use uuid::Uuid;

use super::{lease_first, of_another};
use crate::plan::plan_of;

fn claim() -> PoolClaim {
    let queue = |name: &str| PoolQueue {
        project: None,
        capabilities: CapabilitySet::from_iter([name]),
    };
    PoolClaim {
        agent: AgentId::from_uuid(Uuid::nil()),
        queues: vec![queue("x"), queue("y")],
        lease: Lease {
            owner: NodeId::from_uuid(Uuid::nil()),
            duration: Duration::from_secs(1),
        },
        event: NewEvent {
            id: EventId::from_uuid(Uuid::nil()),
            timestamp: Timestamp::UNIX_EPOCH,
            event_type: EventType::TaskAssigned,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: String::new(),
            run_id: None,
            data: serde_json::json!({}),
            message: String::new(),
            message_queue_topic: None,
        },
    }
}

/// A claim that reads the rows of the pool one by one gets slower with each task that waits.
#[tokio::test]
async fn a_claim_looks_its_task_up_in_the_indexes_of_the_pool() {
    let plan = plan_of(
        lease_first(DbBackend::Sqlite, &claim()).unwrap(),
        &["tasks", "head", "busy"],
    )
    .await;
    let has = |wanted: &str| plan.iter().any(|step| step.contains(wanted));
    assert!(has("pool_open (pool=? AND capability_key=?)"), "{plan:?}");
    assert!(has("pool_given (agent_id=?)"), "{plan:?}");
    assert!(has("pool_at_work (pool=?)"), "{plan:?}");
    assert!(
        !has("SCAN tasks") && !has("SCAN head") && !has("SCAN busy"),
        "{plan:?}"
    );
}

/// It reads what was given to agents, which is little, and never what is open to all.
#[tokio::test]
async fn a_theft_reads_only_what_was_given_to_agents() {
    let plan = plan_of(
        of_another(DbBackend::Sqlite, &claim()).unwrap(),
        &["theirs", "tasks"],
    )
    .await;
    assert_ne!(plan, Vec::<String>::new());
    for step in &plan {
        assert!(step.contains("pool_given"), "{plan:?}");
    }
}
