//! A store with a row of every entity.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_core::{
    Agent, AgentState, ApiToken, Approval, ApprovalState, AuthType, Capability, Change, Cost,
    Decision, DeliveryStatus, EffectClass, EntryKind, EntryState, EventType, IdSource,
    JournalEntry, Letter, Message, Moment, NewEvent, NewOutboxEntry, NodeId, Overlap, Project,
    ProviderConfig, RateLimits, ResourceMetrics, Run, Schedule, Sealed, Severity, Task, TaskState,
    Timestamp, TokenScope, Usage, Webhook, WebhookAttempt, WebhookSecrets, WebhookState,
    WebhookTrouble, Workflow, WorkflowDefinition, WorkflowState, Workspace,
};
use fusion_persistence::{Batch, Claim, Idempotency, Lease, Store};
use sea_orm::prelude::Uuid;
use serde_json::{Map, Value, json};

/// Texts that SQL, JSON or a character set could trip over.
const ODD: &str = "ünï 日本 🦀 \"d\" 's' `b` \\ % _ $1 ?1 :a; --\r\n\t";

/// Ids that rise by one, beyond those of the old database.
#[derive(Debug, Default)]
pub(crate) struct Ids(AtomicU64);

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u128((1 << 100) + u128::from(number))
    }
}

impl Ids {
    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment {
            now: at(200),
            ids: self,
        }
    }

    pub(crate) const fn starting_at(number: u64) -> Self {
        Self(AtomicU64::new(number))
    }

    fn next<I: From<Uuid>>(&self) -> I {
        self.uuid().into()
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 123_456_000).unwrap()
}

fn odd_json() -> Value {
    json!({ "zero": "a\u{0}b", "odd": ODD, "most": u64::MAX, "tenth": 0.1, "nested": [null, {}], "a": 1 })
}

const fn usage() -> Usage {
    Usage {
        turns: 1,
        input_tokens: 2,
        output_tokens: 3,
        cost: Cost::from_picos(4),
    }
}

pub(crate) fn node() -> NodeId {
    NodeId::from_uuid(Uuid::from_u128(77))
}

fn provider(ids: &Ids) -> ProviderConfig {
    ProviderConfig {
        id: ids.next(),
        name: ODD.to_owned(),
        api_endpoint: ODD.to_owned(),
        auth_type: AuthType::Oauth,
        credentials: Some(Sealed::from_bytes((0..=255).collect())),
        model_catalog: odd_json(),
        rate_limits: RateLimits {
            requests_per_minute: Some(1),
            tokens_per_minute: None,
        },
        provider_type: "scripted".to_owned(),
        custom_adapter: Some(ODD.to_owned()),
        created_at: at(1),
        enabled: false,
        metadata: odd_json(),
        version: 1,
    }
}

fn project(ids: &Ids, provider: &ProviderConfig) -> Project {
    Project {
        id: ids.next(),
        name: ODD.to_owned(),
        description: String::new(),
        message_queue_config: odd_json(),
        default_provider_id: Some(provider.id),
        budget: fusion_core::Budget::default(),
        budget_per_day: fusion_core::Budget::default(),
        archived_at: None,
        created_at: at(1),
        updated_at: at(2),
        metadata: json!({}),
        version: 1,
    }
}

fn workflow(ids: &Ids, project: &Project) -> Workflow {
    Workflow {
        id: ids.next(),
        name: "w".to_owned(),
        description: ODD.to_owned(),
        definition: WorkflowDefinition {
            name: "w".to_owned(),
            description: ODD.to_owned(),
            inputs: BTreeMap::new(),
            agents: BTreeMap::new(),
            steps: vec![],
            outputs: BTreeMap::new(),
            budget: fusion_core::Budget::default(),
            artifacts: Vec::new(),
            total_budget: fusion_core::Budget::default(),
            message_flow: None,
        },
        source: ODD.to_owned(),
        base_dir: "/tmp".to_owned(),
        state: WorkflowState::Ready,
        created_at: at(3),
        project_id: Some(project.id),
        definition_version: 1,
        version: 1,
    }
}

fn run(ids: &Ids, workflow: &Workflow) -> Run {
    Run {
        id: ids.next(),
        workflow_id: workflow.id,
        workflow_name: workflow.name.clone(),
        state: WorkflowState::Running,
        inputs: Map::from_iter([("odd".to_owned(), odd_json())]),
        outputs: None,
        error_message: None,
        total_tasks: 2,
        is_standalone: false,
        open_tasks: 2,
        usage: Usage::default(),
        halt: None,
        continues: None,
        parent: None,
        called: [].into(),
        raised: fusion_core::Raise::default(),
        imported: None,
        created_at: at(4),
        started_at: Some(at(5)),
        completed_at: None,
        version: 1,
    }
}

fn agent(ids: &Ids, name: &str, run: &Run, project: &Project) -> (Agent, Workspace) {
    let root = format!("/w/{name}");
    let agent = Agent {
        id: ids.next(),
        name: name.to_owned(),
        state: AgentState::Idle,
        created_at: at(5),
        updated_at: at(6),
        last_heartbeat: Some(at(7)),
        workspace_path: root.clone(),
        provider: "scripted".to_owned(),
        provider_id: project.default_provider_id,
        model_name: "m".to_owned(),
        capabilities: ["x", ODD].into_iter().collect(),
        metadata: odd_json(),
        message_subscriptions: vec![ODD.to_owned()],
        project_id: Some(project.id),
        run_id: Some(run.id),
        version: 1,
    };
    let workspace = Workspace {
        id: ids.next(),
        agent_id: agent.id,
        projects_path: format!("{root}/projects"),
        logs_path: format!("{root}/logs"),
        root_path: root,
        initialized: true,
        initialization_error: None,
        agent_config: odd_json(),
        environment_variables: [("K".to_owned(), ODD.to_owned())].into(),
        process_uid: Some(50_001),
        created_at: at(5),
        size_bytes: 1,
        file_count: 2,
        version: 1,
    };
    (agent, workspace)
}

fn task(ids: &Ids, name: &str, run: &Run, agent: &Agent, needs: &[&Task]) -> Task {
    Task {
        id: ids.next(),
        name: name.to_owned(),
        description: ODD.to_owned(),
        agent_id: Some(agent.id),
        priority: -1,
        required_capabilities: ["x"].into_iter().collect(),
        state: TaskState::Queued,
        queued_at: at(8),
        started_at: None,
        completed_at: None,
        dependencies: needs.iter().map(|task| task.id).collect(),
        pool: None,
        unmet_dependencies: u32::try_from(needs.len()).unwrap(),
        input_artifacts: odd_json(),
        output_artifacts: None,
        error_message: None,
        cancel_reason: None,
        communication_channels: vec![ODD.to_owned()],
        workflow_id: Some(run.workflow_id),
        run_id: run.id,
        fence: 0,
        attempts: 0,
        waiting: None,
        course: fusion_core::Course::default(),
        usage: Usage::default(),
        version: 1,
    }
}

fn entry(ids: &Ids, task: &Task) -> JournalEntry {
    JournalEntry {
        id: ids.next(),
        task_id: task.id,
        run_id: task.run_id,
        seq: 1,
        kind: EntryKind::Tool,
        name: "write_file".to_owned(),
        effect: EffectClass::Once,
        state: EntryState::Started,
        request: odd_json(),
        outcome: None,
        usage: usage(),
        attempts: 1,
        started_at: at(9),
        finished_at: None,
    }
}

fn approval(ids: &Ids, task: &Task, agent: &Agent) -> Approval {
    Approval {
        id: ids.next(),
        task_id: task.id,
        run_id: Some(task.run_id),
        question: ODD.to_owned(),
        subject: serde_json::json!({ "step": "s" }),
        subject_hash: "hash".to_owned(),
        requested_by: Some(agent.id),
        state: ApprovalState::Pending,
        requested_at: at(10),
        expires_at: Some(at(11)),
        resolved_at: None,
        resolved_by: None,
        comment: Some(ODD.to_owned()),
        version: 1,
    }
}

fn letter(ids: &Ids, from: &Agent, to: &Agent) -> Letter {
    let recipients = vec![to.id, from.id];
    let message = Message {
        id: ids.next(),
        seq: 0,
        timestamp: at(12),
        sender_agent_id: Some(from.id),
        recipient_agent_ids: Some(recipients.clone()),
        topic: ODD.to_owned(),
        payload: odd_json(),
        message_type: "note".to_owned(),
        run_id: from.run_id,
        reply_to: Some(ids.next()),
        resends: Some(ids.next()),
        hops: 3,
        delivery_status: DeliveryStatus::Pending,
        delivered_at: None,
        expiry_at: Some(at(13)),
    };
    Letter {
        message,
        recipients,
        inbox_limit: 1,
    }
}

fn sample(ids: &Ids, agent: &Agent) -> ResourceMetrics {
    ResourceMetrics {
        id: ids.next(),
        agent_id: agent.id,
        timestamp: at(14),
        cpu_percent: 0.1,
        memory_mb: f64::MAX,
        disk_io_read_mb: f64::MIN_POSITIVE,
        disk_io_write_mb: 1.0 / 3.0,
        api_calls_count: i64::MAX.unsigned_abs(),
        api_provider: None,
        api_tokens_used: 3,
        api_cost_usd: Cost::from_picos(i64::MIN),
    }
}

fn token(ids: &Ids) -> ApiToken {
    ApiToken {
        id: ids.next(),
        name: ODD.to_owned(),
        hash: "a hash".to_owned(),
        scope: TokenScope::Admin,
        created_at: at(15),
        expires_at: Some(at(16)),
        last_used_at: None,
        revoked_at: Some(at(17)),
        issuer: Some(ids.next()),
        version: 1,
    }
}

fn schedule(ids: &Ids, run: &Run) -> Schedule {
    Schedule {
        id: ids.next(),
        name: ODD.to_owned(),
        workflow: ODD.to_owned(),
        inputs: Map::from_iter([(ODD.to_owned(), odd_json())]),
        cron: ODD.to_owned(),
        timezone: ODD.to_owned(),
        overlap: Overlap::Queue,
        is_paused: true,
        next_at: Some(at(18)),
        last_at: Some(at(19)),
        last_run: Some(run.id),
        last_error: Some(ODD.to_owned()),
        created_at: at(20),
        updated_at: at(21),
        version: 1,
    }
}

/// A webhook and what was tried at it.
fn webhook(ids: &Ids) -> (Webhook, WebhookAttempt) {
    let webhook = Webhook {
        id: ids.next(),
        name: ODD.to_owned(),
        url: ODD.to_owned(),
        events: vec![ODD.to_owned()],
        severities: vec![Severity::Error],
        project: None,
        allows_private: true,
        secrets: WebhookSecrets {
            current: Sealed::from_bytes(vec![0, 255]),
            previous: Some((Sealed::from_bytes(vec![1]), at(22))),
        },
        state: WebhookState::Stopped,
        reason: Some(ODD.to_owned()),
        cursor: 1,
        trouble: WebhookTrouble::default(),
        lease: None,
        created_at: at(23),
        updated_at: at(24),
        version: 1,
    };
    let attempt = WebhookAttempt {
        id: ids.next(),
        webhook_id: webhook.id,
        seq: 1,
        event_type: ODD.to_owned(),
        attempt: 1,
        status: Some(204),
        error: Some(ODD.to_owned()),
        duration_ms: 7,
        at: at(25),
    };
    (webhook, attempt)
}

pub(crate) fn capability(ids: &Ids, name: &str) -> Capability {
    Capability {
        id: ids.next(),
        name: name.to_owned(),
        description: ODD.to_owned(),
        category: ODD.to_owned(),
        metadata: odd_json(),
        created_at: at(18),
        version: 1,
    }
}

fn outbox_entry() -> NewOutboxEntry {
    NewOutboxEntry {
        topic: ODD.to_owned(),
        payload: odd_json(),
        created_at: at(19),
    }
}

fn request() -> Idempotency {
    Idempotency {
        scope: "scope".to_owned(),
        key: "key".to_owned(),
        request_hash: "hash".to_owned(),
        answer: odd_json(),
        created_at: at(20),
        expires_at: at(21),
    }
}

/// What a filled store can be asked to do next.
pub(crate) struct Filled {
    pub(crate) ids: Ids,
    pub(crate) agents: [Agent; 2],
    pub(crate) run: Run,
}

impl Filled {
    pub(crate) fn event(&self, message: &str) -> NewEvent {
        let kind = EventType::TaskAssigned;
        NewEvent::of_run(self.ids.moment(), kind, self.run.id, message.to_owned()).data(odd_json())
    }

    /// Asks for the work of an agent's own queue.
    pub(crate) fn claim(&self, agent: &Agent) -> Claim {
        Claim {
            agent: agent.id,
            run: self.run.id,
            capability_sets: vec![],
            lease: Lease {
                owner: node(),
                duration: Duration::from_secs(600),
            },
            driver: None,
            event: self.event("assigned"),
        }
    }
}

/// Stores a row of every entity, all with their references; a task is leased.
pub(crate) async fn fill(store: &dyn Store) -> Filled {
    let ids = Ids::default();
    let provider = provider(&ids);
    let project = project(&ids, &provider);
    let workflow = workflow(&ids, &project);
    let run = run(&ids, &workflow);
    let (one, room_one) = agent(&ids, "one", &run, &project);
    let (two, room_two) = agent(&ids, "two", &run, &project);
    let first = task(&ids, "first", &run, &one, &[]);
    let second = task(&ids, "second", &run, &two, &[&first]);
    let filled = Filled {
        agents: [one.clone(), two.clone()],
        run: run.clone(),
        ids,
    };
    let ids = &filled.ids;
    let booked = Change::BookUsage {
        run_id: run.id,
        task_id: first.id,
        usage: usage(),
    };
    let (webhook, attempt) = webhook(ids);
    let mut decision = Decision::default()
        .with(Change::create(provider))
        .with(Change::create(project))
        .with(Change::create(capability(ids, ODD)))
        .with(Change::create(workflow))
        .with(Change::create(run))
        .with(Change::create(one.clone()))
        .with(Change::create(two.clone()))
        .with(Change::create(room_one))
        .with(Change::create(room_two))
        .with(Change::create(first.clone()))
        .with(Change::create(second))
        .with(Change::BeginEntry(entry(ids, &first)))
        .with(Change::create(approval(ids, &first, &one)))
        .with(Change::SendMessage(Box::new(letter(ids, &one, &two))))
        .with(Change::create(sample(ids, &one)))
        .with(Change::create(token(ids)))
        .with(Change::create(schedule(ids, &filled.run)))
        .with(Change::create(webhook))
        .with(Change::create(attempt))
        .with(booked)
        .telling(filled.event(ODD))
        .telling(filled.event("the second event"));
    decision.outbox.push(outbox_entry());
    let batch = Batch {
        idempotency: Some(request()),
        ..Batch::free(decision)
    };
    store.commit(batch).await.unwrap();
    let claimed = store.claim_task(filled.claim(&one)).await.unwrap();
    assert_eq!(claimed.unwrap().task.id, first.id);
    filled
}
