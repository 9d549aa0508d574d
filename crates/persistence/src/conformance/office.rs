//! A pool and standing agents, for the rules of the pool.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentState, Change, Decision, Moment, NodeId, Pool, PoolQueue, PoolTask,
    Project, ProjectId, Run, RunId, Task, TaskId, Timestamp, Workflow, Workspace, WorkspaceId,
};
use serde_json::{Map, json};

use super::queue::fence_of;
use super::sample::Sample;
use super::world::World;
use crate::{Batch, Lease, Page, PoolAnswer, PoolClaim, Repository, Store, WorkspaceFilter};

/// A pool with standing agents.
pub(super) struct Office<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) world: World,
    pub(super) workflow: Workflow,
    /// Seconds at which the next task is queued.
    clock: AtomicI64,
}

/// A task that is put into the pool.
#[derive(Clone, Default)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) can: &'a [&'a str],
    pub(super) project: Option<ProjectId>,
    pub(super) agent: Option<AgentId>,
    pub(super) is_demanded: bool,
    pub(super) priority: i32,
    pub(super) needs: Vec<TaskId>,
    pub(super) delay: Option<Duration>,
}

pub(super) fn wanted<'a>(name: &'a str, priority: i32) -> Wanted<'a> {
    Wanted {
        name,
        priority,
        ..Wanted::default()
    }
}

impl<'a> Office<'a> {
    pub(super) async fn open(store: &'a dyn Store) -> Self {
        let world = World::store(store).await;
        let workflow: Workflow = store.get(world.sample.run.workflow_id).await.unwrap();
        Self {
            store,
            world,
            workflow,
            clock: AtomicI64::new(1_000),
        }
    }

    pub(super) fn sample(&self) -> &Sample {
        &self.world.sample
    }

    pub(super) fn moment(&self) -> Moment<'_> {
        let now = Timestamp::from_timestamp(self.clock.load(Ordering::Relaxed), 0).unwrap();
        Moment {
            now,
            ids: &self.sample().ids,
        }
    }

    /// So many seconds pass.
    pub(super) fn wait(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) async fn agent(&self, name: &str, can: &[&str]) -> Agent {
        let model = self.sample().agents["a"].clone();
        let id = AgentId::from_uuid(self.moment().ids.uuid());
        let filter = WorkspaceFilter {
            agent: Some(model.id),
        };
        let page = Page::first(1);
        let workspace: Workspace = self.store.list(&filter, page).await.unwrap().remove(0);
        let place = format!("/workspaces/{id}");
        let agent = Agent {
            id,
            name: name.to_owned(),
            state: AgentState::Idle,
            workspace_path: place.clone(),
            capabilities: can.iter().copied().collect(),
            run_id: None,
            version: 1,
            ..model
        };
        let workspace = Workspace {
            id: WorkspaceId::from_uuid(self.moment().ids.uuid()),
            agent_id: id,
            root_path: place,
            process_uid: None,
            version: 1,
            ..workspace
        };
        let both = Decision::default()
            .with(Change::create(agent.clone()))
            .with(Change::create(workspace));
        self.store.commit(Batch::free(both)).await.unwrap();
        agent
    }

    pub(super) async fn project(&self, name: &str) -> ProjectId {
        let id = ProjectId::from_uuid(self.moment().ids.uuid());
        let project = Project {
            id,
            name: name.to_owned(),
            ..self.world.project.clone()
        };
        let create = Decision::default().with(Change::create(project));
        self.store.commit(Batch::free(create)).await.unwrap();
        id
    }

    /// Puts a task into the pool, a second after the one before.
    pub(super) async fn put(&self, wanted: Wanted<'_>) -> Task {
        let (task, created) = self.asked(wanted);
        self.store.commit(Batch::free(created)).await.unwrap();
        self.store.get(task.id).await.unwrap()
    }

    /// A task as it is asked for, a second after the one before.
    pub(super) fn asked(&self, wanted: Wanted<'_>) -> (Task, Decision) {
        self.clock
            .store(self.clock.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let moment = self.moment();
        let plan = PoolTask {
            id: TaskId::from_uuid(moment.ids.uuid()),
            run_id: RunId::from_uuid(moment.ids.uuid()),
            workflow: &self.workflow,
            name: wanted.name.to_owned(),
            description: "Do it.".to_owned(),
            inputs: Map::new(),
            pool: Pool {
                project: wanted.project,
                is_demanded: wanted.is_demanded,
            },
            agent: wanted.agent,
            capabilities: wanted.can.iter().copied().collect(),
            priority: wanted.priority,
            dependencies: wanted.needs,
            delay: wanted.delay,
            limit: fusion_core::Budget::default(),
        };
        plan.create(moment)
    }

    pub(super) fn claim(&self, agent: &Agent, queues: Vec<PoolQueue>) -> PoolClaim {
        PoolClaim {
            agent: agent.id,
            queues,
            lease: Lease {
                owner: NodeId::from_uuid(uuid::Uuid::from_u128(77)),
                duration: Duration::from_secs(10),
            },
            event: self.sample().event("assigned").by(Some(agent.id)),
        }
    }

    /// What an agent gets that knows all queues it can serve.
    pub(super) async fn answer(&self, agent: &Agent) -> PoolAnswer {
        let mut queues = self.store.pool_queues().await.unwrap();
        queues.retain(|queue| agent.capabilities.satisfies(&queue.capabilities));
        let claim = self.claim(agent, queues);
        self.store.claim_from_pool(claim).await.unwrap()
    }

    pub(super) async fn take(&self, agent: &Agent) -> Option<Task> {
        match self.answer(agent).await {
            PoolAnswer::Task(claimed) => Some(claimed.task),
            PoolAnswer::Nothing => None,
            PoolAnswer::Unfit => panic!("{} is not idle", agent.name),
        }
    }

    /// A claimed task ends well, and its run with it.
    pub(super) async fn complete(&self, task: Task) {
        let id = task.agent_id.unwrap();
        let agent: Agent = self.store.get(id).await.unwrap();
        let (task, agent, begun) = task.begin(agent, json!({}), self.moment()).unwrap();
        let fence = fence_of(&task);
        self.store
            .commit(Batch::fenced(fence, begun))
            .await
            .unwrap();
        let run: Run = self.store.get(task.run_id).await.unwrap();
        let mut ended = Decision::default();
        let done = task.complete(
            agent,
            json!({ "outputs": { "text": "done" } }),
            self.moment(),
        );
        ended.merge(done.unwrap());
        let Some(Change::Update(fusion_core::Row::Task(written))) = ended.changes.get(2).cloned()
        else {
            panic!("{ended:?}");
        };
        ended.merge(run.end_with(&written, self.moment()).unwrap());
        self.store
            .commit(Batch::fenced(fence, ended))
            .await
            .unwrap();
    }

    /// The names of what an agent takes, one after the other.
    pub(super) async fn all(&self, agent: &Agent) -> Vec<String> {
        let mut names = vec![];
        while let Some(task) = self.take(agent).await {
            names.push(task.name.clone());
            self.complete(task).await;
        }
        names
    }

    pub(super) async fn hold(&self, agent: &Agent) {
        let agent: Agent = self.store.get(agent.id).await.unwrap();
        let held = agent.pause(fusion_core::PauseAt::Now, None, self.moment());
        let (_, held) = held.unwrap();
        self.store.commit(Batch::free(held)).await.unwrap();
    }
}
