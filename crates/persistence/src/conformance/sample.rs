//! Small, whole values to store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentSpec, AgentState, Assignee, Budget, CapabilitySet, Cost, Decision,
    EventType, FlowRule, IdSource, InputSpec, InputType, ModelChoice, Moment, NewEvent, NodeId,
    Run, RunId, RunPlan, SandboxSpec, StepSpec, StuckSpec, Task, Timestamp, Workflow,
    WorkflowDefinition, WorkflowId, WorkflowState, Workspace, WorkspaceId, WorkspaceSpec,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{Batch, Claim, Fence, Lease, Queue, Repository, Store};

/// Ids that rise by one.
#[derive(Debug, Default)]
pub(super) struct Ids(AtomicU64);

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}

/// A stored run with two agents (`a` can do `x`, `b` can do `x` and `y`) and the given steps.
pub(super) struct Sample {
    pub(super) ids: Ids,
    pub(super) run: Run,
    pub(super) agents: BTreeMap<String, Agent>,
    pub(super) tasks: BTreeMap<String, Task>,
}

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 123_456_000).expect("a valid moment")
}

pub(super) fn step(id: &str, assignee: Assignee, needs: &[&str], priority: i32) -> StepSpec {
    StepSpec {
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        artifacts: vec!["projects/**".to_owned()],
        timeout_seconds: 60,
        priority,
        ..StepSpec::new(id, assignee, format!("do {id}"))
    }
}

pub(super) fn agent_named(name: &str) -> Assignee {
    Assignee::Agent(name.to_owned())
}

pub(super) fn capable_of(names: &[&str]) -> Assignee {
    Assignee::Capabilities(names.iter().copied().collect())
}

impl Sample {
    pub(super) async fn store(store: &dyn Store, steps: Vec<StepSpec>) -> Self {
        let staff = [("a", &["x"][..]), ("b", &["x", "y"][..])];
        Self::staffed(store, &staff, steps).await
    }

    /// The same with other agents: names and what they can do.
    pub(super) async fn staffed(
        store: &dyn Store,
        staff: &[(&str, &[&str])],
        steps: Vec<StepSpec>,
    ) -> Self {
        let ids = Ids::default();
        let moment = Moment {
            now: at(100),
            ids: &ids,
        };
        let run_id = RunId::from_uuid(ids.uuid());
        let agents: BTreeMap<String, (Agent, Workspace)> = staff
            .iter()
            .map(|(name, capabilities)| {
                ((*name).to_owned(), agent(&ids, name, capabilities, run_id))
            })
            .collect();
        let workflow = workflow(&ids, "sample", 1, steps);
        let plan = RunPlan {
            run_id,
            workflow: &workflow,
            inputs: Map::new(),
            agents: agents.clone(),
            parent: None,
            called: [].into(),
            limit: Budget::default(),
        };
        let (run, created) = plan.create(moment);
        let mut decision = workflow.create(moment);
        decision.merge(created);
        store
            .commit(Batch::free(decision))
            .await
            .expect("a run is stored");
        let made = agents.into_values().map(|(agent, mut workspace)| {
            workspace.initialized = true;
            (agent, workspace)
        });
        let launch = run
            .launch(made.collect(), moment)
            .expect("a ready run starts");
        store
            .commit(Batch::free(launch))
            .await
            .expect("a run is launched");
        let stored = store.agents_of_run(run_id).await.expect("agents are read");
        let tasks = store.tasks_of_run(run_id).await.expect("tasks are read");
        Self {
            run: store.get(run_id).await.expect("a run is read"),
            agents: stored
                .into_iter()
                .map(|(agent, _)| (agent.name.clone(), agent))
                .collect(),
            tasks: tasks
                .into_iter()
                .map(|task| (task.name.clone(), task))
                .collect(),
            ids,
        }
    }

    pub(super) fn moment(&self) -> Moment<'_> {
        Moment {
            now: at(200),
            ids: &self.ids,
        }
    }

    pub(super) fn event(&self, message: &str) -> NewEvent {
        NewEvent::of_run(
            self.moment(),
            EventType::TaskAssigned,
            self.run.id,
            message.to_owned(),
        )
    }

    pub(super) fn telling(&self, message: &str) -> Decision {
        Decision::default().telling(self.event(message))
    }

    pub(super) fn claim(&self, agent: &str, sets: &[&[&str]], owner: NodeId) -> Claim {
        Claim {
            agent: self.agents[agent].id,
            run: self.run.id,
            capability_sets: sets
                .iter()
                .map(|set| set.iter().copied().collect::<CapabilitySet>().key())
                .collect(),
            lease: Lease {
                owner,
                duration: Duration::from_secs(10),
            },
            driver: None,
            event: self.event("assigned"),
        }
    }

    /// Ends a claimed task by its condition, so that its agent is free again.
    pub(super) async fn skip(&self, store: &dyn Store, task: Task) {
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        let skipped = task
            .skip("false", &[], self.moment())
            .expect("an assigned task can be skipped");
        store
            .commit(Batch::fenced(fence, skipped))
            .await
            .expect("a claimed task is skipped");
    }

    pub(super) fn node(&self) -> NodeId {
        NodeId::from_uuid(self.ids.uuid())
    }
}

fn worktree() -> WorkspaceSpec {
    WorkspaceSpec::Worktree {
        repository: "/a/site".to_owned(),
        revision: Some("main".to_owned()),
    }
}

/// An agent of a file, with everything that a file can say.
fn agent_spec() -> AgentSpec {
    AgentSpec {
        count: 1,
        provider: "scripted".to_owned(),
        model: "m".to_owned(),
        capabilities: ["x"].into_iter().collect(),
        instructions: String::new(),
        tools: vec![],
        web_hosts: vec!["docs.rs".to_owned()],
        max_turns: 3,
        max_repeats: 7,
        context_tokens: Some(9_000),
        max_tokens: Some(100),
        temperature: Some(0.5),
        fallback_models: vec![ModelChoice {
            provider: "scripted".to_owned(),
            model: "n".to_owned(),
        }],
        provider_options: [("top_p".to_owned(), Value::from(0.1))]
            .into_iter()
            .collect(),
        workspace: worktree(),
        when_stuck: StuckSpec {
            hand_over: 3,
            ask: true,
        },
        sandbox: SandboxSpec {
            env: vec!["TOKEN".to_owned()],
            ..SandboxSpec::default()
        },
        budget: Budget {
            usd: Some(Cost::from_picos(1)),
            tokens: None,
        },
        subscriptions: vec!["task.*".to_owned()],
    }
}

pub(super) fn workflow(
    ids: &Ids,
    name: &str,
    definition_version: u32,
    steps: Vec<StepSpec>,
) -> Workflow {
    Workflow {
        id: WorkflowId::from_uuid(ids.uuid()),
        name: name.to_owned(),
        description: "a sample".to_owned(),
        definition: WorkflowDefinition {
            name: name.to_owned(),
            description: String::new(),
            inputs: [
                ("list".to_owned(), input(InputType::Array)),
                ("table".to_owned(), input(InputType::Files)),
            ]
            .into(),
            agents: [("a".to_owned(), agent_spec())].into(),
            steps,
            outputs: BTreeMap::new(),
            budget: Budget {
                usd: None,
                tokens: Some(u64::MAX),
            },
            artifacts: Vec::new(),
            total_budget: Budget::default(),
            message_flow: Some(vec![FlowRule {
                from: vec!["a".to_owned()],
                to: vec![],
                topics: vec!["b.*".to_owned()],
            }]),
        },
        source: "name: sample".to_owned(),
        base_dir: "/tmp".to_owned(),
        state: WorkflowState::Ready,
        created_at: at(50),
        project_id: None,
        definition_version,
        version: 1,
    }
}

fn input(kind: InputType) -> InputSpec {
    InputSpec {
        kind,
        required: false,
        default: None,
        description: String::new(),
    }
}

fn agent(ids: &Ids, name: &str, capabilities: &[&str], run_id: RunId) -> (Agent, Workspace) {
    let id = AgentId::from_uuid(ids.uuid());
    let root = format!("/w/{id}");
    let agent = Agent {
        id,
        name: name.to_owned(),
        state: AgentState::Spawning,
        created_at: at(90),
        updated_at: at(90),
        last_heartbeat: None,
        workspace_path: root.clone(),
        provider: "scripted".to_owned(),
        provider_id: None,
        model_name: "m".to_owned(),
        capabilities: capabilities.iter().copied().collect(),
        metadata: json!({ "note": "ünïcode" }),
        message_subscriptions: vec!["broadcast.*".to_owned()],
        project_id: None,
        run_id: Some(run_id),
        version: 1,
    };
    let workspace = Workspace {
        id: WorkspaceId::from_uuid(ids.uuid()),
        agent_id: id,
        projects_path: format!("{root}/projects"),
        logs_path: format!("{root}/logs"),
        root_path: root,
        initialized: false,
        initialization_error: None,
        agent_config: json!({}),
        environment_variables: [("K".to_owned(), "v".to_owned())].into(),
        process_uid: Some(50_001),
        created_at: at(90),
        size_bytes: 0,
        file_count: 0,
        version: 1,
    };
    (agent, workspace)
}

/// What waits in the queue of a run that there is.
pub(super) async fn queue_of(store: &dyn Store, run: RunId) -> Queue {
    store.progress_of(run).await.unwrap().unwrap().queue
}
