//! The work that is measured, through the port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fusion_core::{
    Agent, AgentId, AgentState, CapabilitySet, Change, Decision, EventType, IdSource, Moment,
    NewEvent, NodeId, Run, RunId, Task, TaskId, TaskState, Timestamp, Usage, Workflow,
    WorkflowDefinition, WorkflowId, WorkflowState,
};
use fusion_persistence::{Batch, Claim, Fence, Lease, Repository, Store};
use fusion_persistence_sql::SqlStore;
use futures::future::join_all;
use serde_json::{Map, json};
use uuid::Uuid;

use crate::raw::per_second;

/// Ids that rise by one, of a family of their own.
#[derive(Debug)]
struct Ids(AtomicU64, u64);

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        Uuid::from_u64_pair(self.1, self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Makes work.
pub(crate) struct Load {
    ids: Arc<Ids>,
}

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000, 123_456_000).unwrap()
}

impl Load {
    pub(crate) fn new(family: u64) -> Self {
        Self {
            ids: Arc::new(Ids(AtomicU64::new(1), family)),
        }
    }

    fn moment(&self) -> Moment<'_> {
        Moment {
            now: now(),
            ids: self.ids.as_ref(),
        }
    }

    fn telling(&self) -> Batch {
        let run = RunId::from_uuid(Uuid::from_u128(7));
        let message = "a message of usual length".to_owned();
        let event = NewEvent::of_run(self.moment(), EventType::SystemError, run, message);
        Batch::free(Decision::default().telling(event))
    }

    /// The time of each of `count` commits, one after the other.
    pub(crate) async fn single_commits(&self, store: &SqlStore, count: usize) -> Vec<Duration> {
        times(count, async || {
            store.commit(self.telling()).await.unwrap();
        })
        .await
    }

    /// Commits a second of `callers` at once.
    pub(crate) async fn commits_at_once(
        &self,
        store: &SqlStore,
        count: usize,
        callers: usize,
    ) -> f64 {
        let start = Instant::now();
        join_all((0..callers).map(|_| async {
            for _ in 0..count / callers {
                store.commit(self.telling()).await.unwrap();
            }
        }))
        .await;
        per_second(count, start.elapsed())
    }

    /// Tasks a second that `agents` claim, begin and complete.
    pub(crate) async fn claim_and_complete(
        &self,
        store: &SqlStore,
        tasks: usize,
        agents: usize,
    ) -> f64 {
        let run = self.new_run(store, tasks).await;
        let staff = self.new_agents(store, run, agents).await;
        let rows = (0..tasks)
            .map(|number| self.task(run, number, Vec::new()))
            .collect();
        self.create_tasks(store, rows).await;
        let start = Instant::now();
        let done: usize = join_all(staff.iter().map(|agent| async {
            let mut done = 0;
            while let Some(claimed) = store.claim_task(self.claim(agent.id, run)).await.unwrap() {
                self.complete(store, claimed.task, claimed.agent).await;
                done += 1;
            }
            done
        }))
        .await
        .into_iter()
        .sum();
        per_second(done, start.elapsed())
    }

    /// Begins and completes a claimed task, in one commit.
    async fn complete(&self, store: &SqlStore, task: Task, agent: Agent) {
        let fence = Fence {
            task: task.id,
            number: task.fence,
        };
        let (task, agent, begun) = task.begin(agent, json!({}), self.moment()).unwrap();
        let mut decision = task
            .complete(agent, json!({ "text": "done" }), self.moment())
            .unwrap();
        decision.changes.splice(0..0, begun.changes);
        decision.events.splice(0..0, begun.events);
        store.commit(Batch::fenced(fence, decision)).await.unwrap();
    }

    /// The time to release `count` tasks that wait for one.
    pub(crate) async fn release(&self, store: &SqlStore, count: usize) -> Duration {
        let run = self.new_run(store, count + 1).await;
        let first = self.task(run, 0, Vec::new());
        let rows = (1..=count).map(|number| self.task(run, number, vec![first.id]));
        let rows = std::iter::once(first.clone()).chain(rows).collect();
        self.create_tasks(store, rows).await;
        let decision = Decision::default().with(Change::ReleaseSuccessors(first.id));
        let start = Instant::now();
        store.commit(Batch::free(decision)).await.unwrap();
        start.elapsed()
    }

    /// The time to store a run of many nodes and edges, in one commit.
    pub(crate) async fn store_workflow(
        &self,
        store: &SqlStore,
        nodes: usize,
        edges: usize,
    ) -> Duration {
        let run = self.new_run(store, nodes).await;
        let each = edges / nodes;
        let mut ids: Vec<TaskId> = Vec::with_capacity(nodes);
        let mut decision = Decision::default();
        for number in 0..nodes {
            let needs = ids.iter().rev().take(each).copied().collect();
            let task = self.task(run, number, needs);
            ids.push(task.id);
            let told = format!("{} queued", task.name);
            decision
                .events
                .push(task.event(self.moment(), EventType::TaskQueued, told));
            decision.changes.push(Change::create(task));
        }
        let start = Instant::now();
        store.commit(Batch::free(decision)).await.unwrap();
        start.elapsed()
    }

    /// The time of each of `count` claims from a run.
    pub(crate) async fn claims_from(
        &self,
        store: &SqlStore,
        run: RunId,
        count: usize,
    ) -> Vec<Duration> {
        let mut times = Vec::with_capacity(count);
        for agent in self.new_agents(store, run, count).await {
            let claim = self.claim(agent.id, run);
            let start = Instant::now();
            store.claim_task(claim).await.unwrap().unwrap();
            times.push(start.elapsed());
        }
        times
    }

    fn claim(&self, agent: AgentId, run: RunId) -> Claim {
        let told = "assigned".to_owned();
        Claim {
            agent,
            run,
            capability_sets: vec!["x".to_owned(), "y".to_owned(), "x,y".to_owned()],
            lease: Lease {
                owner: NodeId::from_uuid(Uuid::from_u128(9)),
                duration: Duration::from_secs(3_600),
            },
            driver: None,
            event: NewEvent::of_run(self.moment(), EventType::TaskAssigned, run, told),
        }
    }

    async fn create_tasks(&self, store: &SqlStore, rows: Vec<Task>) {
        let mut decision = Decision::default();
        decision
            .changes
            .extend(rows.into_iter().map(Change::create));
        store.commit(Batch::free(decision)).await.unwrap();
    }

    async fn new_agents(&self, store: &SqlStore, run: RunId, count: usize) -> Vec<Agent> {
        let agents: Vec<Agent> = (0..count).map(|number| self.agent(run, number)).collect();
        let mut decision = Decision::default();
        decision
            .changes
            .extend(agents.iter().cloned().map(Change::create));
        store.commit(Batch::free(decision)).await.unwrap();
        agents
    }

    async fn new_run(&self, store: &SqlStore, tasks: usize) -> RunId {
        let workflow = self.workflow();
        let run = self.run(workflow.id, u32::try_from(tasks).unwrap());
        let id = run.id;
        let decision = Decision::default()
            .with(Change::create(workflow))
            .with(Change::create(run));
        store.commit(Batch::free(decision)).await.unwrap();
        assert_eq!(store.get(id).await.unwrap().state, WorkflowState::Running);
        id
    }

    fn workflow(&self) -> Workflow {
        let id = WorkflowId::from_uuid(self.ids.uuid());
        let name = format!("bench {id}");
        Workflow {
            id,
            name: name.clone(),
            description: String::new(),
            definition: WorkflowDefinition {
                name,
                description: String::new(),
                inputs: [].into(),
                agents: [].into(),
                steps: vec![],
                outputs: [].into(),
                budget: fusion_core::Budget::default(),
                artifacts: Vec::new(),
                total_budget: fusion_core::Budget::default(),
                message_flow: None,
            },
            source: String::new(),
            base_dir: String::new(),
            state: WorkflowState::Ready,
            created_at: now(),
            project_id: None,
            definition_version: 1,
            version: 1,
        }
    }

    fn run(&self, workflow_id: WorkflowId, tasks: u32) -> Run {
        Run {
            id: RunId::from_uuid(self.ids.uuid()),
            workflow_id,
            workflow_name: "bench".to_owned(),
            state: WorkflowState::Running,
            inputs: Map::new(),
            outputs: None,
            error_message: None,
            total_tasks: tasks,
            is_standalone: false,
            open_tasks: tasks,
            usage: Usage::default(),
            halt: None,
            continues: None,
            parent: None,
            called: [].into(),
            raised: fusion_core::Raise::default(),
            imported: None,
            created_at: now(),
            started_at: Some(now()),
            completed_at: None,
            version: 1,
        }
    }

    fn agent(&self, run: RunId, number: usize) -> Agent {
        let id = AgentId::from_uuid(self.ids.uuid());
        Agent {
            id,
            name: format!("agent{number}"),
            state: AgentState::Idle,
            created_at: now(),
            updated_at: now(),
            last_heartbeat: None,
            workspace_path: format!("/w/{id}"),
            provider: "scripted".to_owned(),
            provider_id: None,
            model_name: "m".to_owned(),
            capabilities: ["x", "y"].into_iter().collect(),
            metadata: json!({}),
            message_subscriptions: vec![],
            project_id: None,
            run_id: Some(run),
            version: 1,
        }
    }

    fn task(&self, run_id: RunId, number: usize, dependencies: Vec<TaskId>) -> Task {
        let required_capabilities: CapabilitySet = ["x"].into_iter().collect();
        Task {
            id: TaskId::from_uuid(self.ids.uuid()),
            name: format!("step{number}"),
            description: "do it".to_owned(),
            agent_id: None,
            priority: i32::try_from(number % 5).unwrap(),
            required_capabilities,
            state: TaskState::Queued,
            queued_at: now(),
            started_at: None,
            completed_at: None,
            pool: None,
            unmet_dependencies: u32::try_from(dependencies.len()).unwrap(),
            dependencies,
            input_artifacts: json!({}),
            output_artifacts: None,
            error_message: None,
            cancel_reason: None,
            communication_channels: vec![],
            workflow_id: None,
            run_id,
            fence: 0,
            attempts: 0,
            waiting: None,
            course: fusion_core::Course::default(),
            usage: Usage::default(),
            version: 1,
        }
    }
}

/// The time of each of `count` repeats.
pub(crate) async fn times(count: usize, work: impl AsyncFn()) -> Vec<Duration> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        work().await;
        times.push(start.elapsed());
    }
    times
}

pub(crate) fn median(times: &[Duration]) -> Duration {
    at(times, 50)
}

pub(crate) fn p99(times: &[Duration]) -> Duration {
    at(times, 99)
}

fn at(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
