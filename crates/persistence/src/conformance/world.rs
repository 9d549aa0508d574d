//! A row of each entity, with everything in it that a store may stumble over, and one with as little as can be.

use fusion_core::{
    Agent, AgentState, ApiToken, Approval, ApprovalState, AuthType, Budget, CancelReason,
    Capability, CapabilitySet, Cost, Course, DeliveryStatus, Halt, HaltKind, IdSource, Item,
    Letter, Message, OnFailure, Parent, Project, ProviderConfig, Raise, RateLimits, Recovered,
    Recovery, ResourceMetrics, Row, Run, Schedule, Sealed, Task, TaskState, TaskWait, Timestamp,
    TokenScope, Usage, Webhook, Workflow, WorkflowState, Workspace,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::sample::{Sample, agent_named, at, step, workflow};
use crate::{Entity, Store, WriteRepository};

/// Letters of several scripts, what SQL takes for its own, and ends of lines.
pub(super) const ODD: &str =
    "ünïcode 日本語 🦀\u{200d} \"double\" 'single' `back` \\ % _ $1 ?1 :a; --\r\n\t";

/// The greatest number that a column holds.
pub(super) const MOST: u64 = i64::MAX.unsigned_abs();

/// A run with two steps and two agents, a project and a provider: what other rows refer to.
pub(super) struct World {
    pub(super) sample: Sample,
    pub(super) project: Project,
    pub(super) provider: ProviderConfig,
}

/// An entity with a row version.
pub(super) trait Numbered: Entity + Into<Row> + Clone + PartialEq {
    fn id(&self) -> Self::Id;
    fn version(&self) -> u64;
    /// The same under another id and version.
    fn under(self, id: Self::Id, version: u64) -> Self;
}

macro_rules! numbered {
    ($($entity:ident)*) => {$(
        impl Numbered for $entity {
            fn id(&self) -> Self::Id {
                self.id
            }

            fn version(&self) -> u64 {
                self.version
            }

            fn under(mut self, id: Self::Id, version: u64) -> Self {
                self.id = id;
                self.version = version;
                self
            }
        }
    )*};
}

numbered! { Agent ApiToken Approval Capability Project ProviderConfig Run Schedule Task Webhook Workflow Workspace }

/// A JSON object with a zero character, the limits of numbers, and keys out of order.
pub(super) fn odd_json() -> Value {
    json!({
        "zero": "a\u{0}b", "odd": ODD, "most": u64::MAX, "least": i64::MIN, "tenth": 0.1,
        "nested": [null, true, { "": [] }], "a": {},
    })
}

/// The last microsecond of the year 9999.
pub(super) fn late() -> Timestamp {
    Timestamp::from_timestamp_micros(253_402_300_799_999_999).expect("a valid moment")
}

/// The first microsecond of the count.
pub(super) fn early() -> Timestamp {
    Timestamp::from_timestamp_micros(1).expect("a valid moment")
}

pub(super) fn usage(turns: u64) -> Usage {
    Usage {
        turns,
        input_tokens: MOST,
        output_tokens: 0,
        cost: Cost::from_picos(i64::MAX),
    }
}

impl World {
    pub(super) async fn store(store: &dyn Store) -> Self {
        let steps = vec![
            step("one", agent_named("a"), &[], 0),
            step("two", agent_named("b"), &["one"], 0),
        ];
        let sample = Sample::store(store, steps).await;
        let provider = provider(sample.ids.uuid());
        store
            .create(provider.clone())
            .await
            .expect("a provider is stored");
        let mut project = bare_project(sample.ids.uuid());
        project.default_provider_id = Some(provider.id);
        store
            .create(project.clone())
            .await
            .expect("a project is stored");
        Self {
            sample,
            project,
            provider,
        }
    }

    pub(super) fn fresh<I: From<Uuid>>(&self) -> I {
        self.sample.ids.uuid().into()
    }

    pub(super) fn agent(&self) -> Agent {
        let id = self.sample.ids.uuid();
        Agent {
            id: id.into(),
            name: format!("{ODD}{id}"),
            state: AgentState::Idle,
            created_at: early(),
            updated_at: at(2),
            last_heartbeat: Some(late()),
            workspace_path: format!("/w/{ODD}/{id}"),
            provider: ODD.to_owned(),
            provider_id: Some(self.provider.id),
            model_name: ODD.to_owned(),
            capabilities: ["y", ODD, "x"].into_iter().collect(),
            metadata: odd_json(),
            message_subscriptions: vec![ODD.to_owned(), String::new()],
            project_id: Some(self.project.id),
            run_id: Some(self.sample.run.id),
            version: 1,
        }
    }

    pub(super) fn bare_agent(&self) -> Agent {
        let id = self.sample.ids.uuid();
        Agent {
            id: id.into(),
            name: "bare".to_owned(),
            state: AgentState::Idle,
            created_at: at(1),
            updated_at: at(1),
            last_heartbeat: None,
            workspace_path: format!("/bare/{id}"),
            provider: String::new(),
            provider_id: None,
            model_name: String::new(),
            capabilities: CapabilitySet::default(),
            metadata: json!({}),
            message_subscriptions: vec![],
            project_id: None,
            run_id: None,
            version: 1,
        }
    }

    pub(super) fn task(&self) -> Task {
        let Sample {
            run, agents, tasks, ..
        } = &self.sample;
        Task {
            id: self.fresh(),
            name: ODD.to_owned(),
            description: ODD.to_owned(),
            agent_id: Some(agents["a"].id),
            priority: i32::MIN,
            required_capabilities: ["x", ODD].into_iter().collect(),
            state: TaskState::Cancelled,
            queued_at: early(),
            started_at: Some(at(5)),
            completed_at: Some(late()),
            dependencies: vec![tasks["one"].id, tasks["two"].id],
            pool: None,
            unmet_dependencies: 2,
            input_artifacts: odd_json(),
            output_artifacts: Some(odd_json()),
            error_message: Some(ODD.to_owned()),
            cancel_reason: Some(CancelReason::DependencySkipped),
            communication_channels: vec![ODD.to_owned()],
            workflow_id: Some(run.workflow_id),
            run_id: run.id,
            fence: 0,
            attempts: i32::MAX.unsigned_abs(),
            waiting: Some(TaskWait {
                until: Timestamp::from_timestamp_millis(9_123).unwrap(),
                reason: ODD.to_owned(),
            }),
            course: Course {
                child: Some(self.sample.run.id),
                child_before: Some(self.sample.run.id),
                on_failure: OnFailure::Skip,
                item: Some(Item {
                    fan_out: tasks["one"].id,
                    index: i32::MAX.unsigned_abs(),
                    value: odd_json(),
                    gated: true,
                }),
                items: Some(u32::MAX),
                rounds: 1,
                previous: Some(odd_json()),
                failures: 2,
                last_error: Some(ODD.to_owned()),
                handed_on: vec![agents["b"].id],
                is_help_asked: true,
                journal_from: 3,
                renewals: 4,
                recovered: Some(Recovered {
                    how: Recovery::Restored,
                    node: "two".to_owned(),
                    at: at(7),
                    detail: "snapshot one/a".to_owned(),
                }),
            },
            usage: usage(MOST),
            version: 1,
        }
    }

    pub(super) fn bare_task(&self) -> Task {
        Task {
            id: self.fresh(),
            name: "bare".to_owned(),
            description: String::new(),
            agent_id: None,
            priority: i32::MAX,
            required_capabilities: CapabilitySet::default(),
            state: TaskState::Cancelled,
            queued_at: at(7),
            started_at: None,
            completed_at: None,
            dependencies: vec![],
            pool: None,
            unmet_dependencies: 0,
            input_artifacts: Value::Null,
            output_artifacts: None,
            error_message: None,
            cancel_reason: None,
            communication_channels: vec![],
            workflow_id: None,
            run_id: self.sample.run.id,
            fence: 0,
            attempts: 0,
            waiting: None,
            course: Course::default(),
            usage: Usage::default(),
            version: 1,
        }
    }

    pub(super) fn run(&self, workflow: &Workflow) -> Run {
        let inputs: Map<String, Value> = [(ODD.to_owned(), odd_json())].into_iter().collect();
        Run {
            id: self.fresh(),
            workflow_id: workflow.id,
            workflow_name: ODD.to_owned(),
            state: WorkflowState::Failed,
            inputs,
            outputs: Some(odd_json()),
            error_message: Some(ODD.to_owned()),
            total_tasks: i32::MAX.unsigned_abs(),
            is_standalone: false,
            open_tasks: 3,
            usage: usage(MOST),
            halt: Some(Halt {
                kind: HaltKind::Now,
                since: at(2),
                by: ODD.to_owned(),
                is_from_above: true,
            }),
            continues: Some(self.sample.run.id),
            parent: Some(Parent {
                run_id: self.sample.run.id,
                task_id: self.sample.tasks["one"].id,
                step: ODD.to_owned(),
            }),
            called: [(ODD.to_owned(), workflow.id)].into(),
            raised: Raise {
                run: Budget {
                    usd: None,
                    tokens: Some(u64::MAX),
                },
                total: Budget::default(),
            },
            imported: None,
            created_at: early(),
            started_at: Some(at(3)),
            completed_at: Some(late()),
            version: 1,
        }
    }

    pub(super) fn workflow(&self, state: WorkflowState) -> Workflow {
        let id = self.sample.ids.uuid();
        let steps = vec![step(ODD, agent_named("a"), &[ODD], i32::MIN)];
        Workflow {
            description: ODD.to_owned(),
            source: ODD.to_owned(),
            base_dir: ODD.to_owned(),
            state,
            created_at: late(),
            project_id: Some(self.project.id),
            ..workflow(&self.sample.ids, &format!("{ODD}{id}"), 1, steps)
        }
    }

    pub(super) fn workspace(&self, agent: &Agent) -> Workspace {
        let id = self.sample.ids.uuid();
        Workspace {
            id: id.into(),
            agent_id: agent.id,
            root_path: format!("/r/{ODD}/{id}"),
            projects_path: ODD.to_owned(),
            logs_path: ODD.to_owned(),
            initialized: true,
            initialization_error: Some(ODD.to_owned()),
            agent_config: odd_json(),
            environment_variables: [(ODD.to_owned(), ODD.to_owned())].into(),
            process_uid: Some(i32::MAX.unsigned_abs()),
            created_at: early(),
            size_bytes: MOST,
            file_count: MOST,
            version: 1,
        }
    }

    /// From `a` to `b` and to itself.
    pub(super) fn letter(&self) -> Letter {
        let agents = &self.sample.agents;
        let recipients = vec![agents["b"].id, agents["a"].id];
        let message = Message {
            id: self.fresh(),
            seq: 0,
            timestamp: at(6),
            sender_agent_id: Some(agents["a"].id),
            recipient_agent_ids: Some(recipients.clone()),
            topic: ODD.to_owned(),
            payload: odd_json(),
            message_type: ODD.to_owned(),
            run_id: Some(self.sample.run.id),
            reply_to: Some(self.fresh()),
            resends: Some(self.fresh()),
            hops: u32::MAX,
            delivery_status: DeliveryStatus::Pending,
            delivered_at: None,
            expiry_at: Some(late()),
        };
        Letter {
            message,
            recipients,
            inbox_limit: 1_000,
        }
    }

    pub(super) fn approval(&self) -> Approval {
        Approval {
            id: self.fresh(),
            task_id: self.sample.tasks["one"].id,
            run_id: Some(self.sample.run.id),
            question: ODD.to_owned(),
            subject: odd_json(),
            subject_hash: ODD.to_owned(),
            requested_by: Some(self.sample.agents["a"].id),
            state: ApprovalState::Approved,
            requested_at: early(),
            expires_at: Some(late()),
            resolved_at: Some(at(1)),
            resolved_by: Some(ODD.to_owned()),
            comment: Some(ODD.to_owned()),
            version: 1,
        }
    }

    pub(super) fn metrics(&self) -> ResourceMetrics {
        ResourceMetrics {
            id: self.fresh(),
            agent_id: self.sample.agents["a"].id,
            timestamp: at(9),
            cpu_percent: 0.1,
            memory_mb: f64::MAX,
            disk_io_read_mb: f64::MIN_POSITIVE,
            disk_io_write_mb: 1.0 / 3.0,
            api_calls_count: MOST,
            api_provider: Some(ODD.to_owned()),
            api_tokens_used: MOST,
            api_cost_usd: Cost::from_picos(i64::MIN),
        }
    }

    pub(super) fn capability(&self) -> Capability {
        let id = self.sample.ids.uuid();
        Capability {
            id: id.into(),
            name: format!("{ODD}{id}"),
            description: ODD.to_owned(),
            category: ODD.to_owned(),
            metadata: odd_json(),
            created_at: late(),
            version: 1,
        }
    }

    pub(super) fn token(&self) -> ApiToken {
        let id = self.sample.ids.uuid();
        ApiToken {
            id: id.into(),
            name: format!("{ODD}{id}"),
            hash: format!("{ODD}{id}"),
            scope: TokenScope::Admin,
            created_at: early(),
            expires_at: Some(late()),
            last_used_at: Some(at(4)),
            revoked_at: Some(at(5)),
            issuer: Some(self.sample.ids.uuid().into()),
            version: 1,
        }
    }

    pub(super) fn odd_project(&self) -> Project {
        let id = self.sample.ids.uuid();
        Project {
            name: format!("{ODD}{id}"),
            description: ODD.to_owned(),
            message_queue_config: odd_json(),
            default_provider_id: Some(self.provider.id),
            budget: Budget {
                usd: Some(Cost::from_picos(i64::MAX)),
                tokens: None,
            },
            budget_per_day: Budget {
                usd: None,
                tokens: Some(u64::MAX),
            },
            archived_at: Some(late()),
            created_at: early(),
            updated_at: late(),
            metadata: odd_json(),
            ..bare_project(id)
        }
    }

    pub(super) fn odd_provider(&self) -> ProviderConfig {
        let id = self.sample.ids.uuid();
        ProviderConfig {
            name: format!("{ODD}{id}"),
            api_endpoint: ODD.to_owned(),
            auth_type: AuthType::Oauth,
            credentials: Some(Sealed::from_bytes((0..=255).collect())),
            model_catalog: odd_json(),
            rate_limits: RateLimits {
                requests_per_minute: Some(u32::MAX),
                tokens_per_minute: Some(u64::MAX),
            },
            provider_type: ODD.to_owned(),
            custom_adapter: Some(ODD.to_owned()),
            created_at: late(),
            enabled: false,
            metadata: odd_json(),
            ..provider(id)
        }
    }
}

pub(super) fn bare_project(id: Uuid) -> Project {
    Project {
        id: id.into(),
        name: format!("project {id}"),
        description: String::new(),
        message_queue_config: json!({}),
        default_provider_id: None,
        budget: Budget::default(),
        budget_per_day: Budget::default(),
        archived_at: None,
        created_at: at(1),
        updated_at: at(1),
        metadata: json!({}),
        version: 1,
    }
}

pub(super) fn provider(id: Uuid) -> ProviderConfig {
    ProviderConfig {
        id: id.into(),
        name: format!("provider {id}"),
        api_endpoint: String::new(),
        auth_type: AuthType::None,
        credentials: None,
        model_catalog: json!([]),
        rate_limits: RateLimits::default(),
        provider_type: "scripted".to_owned(),
        custom_adapter: None,
        created_at: at(1),
        enabled: true,
        metadata: json!({}),
        version: 1,
    }
}
