//! Tasks of their own: asked for, cancelled, done again. Each is a run of one step, which no process
//! drives: a standing agent takes it from the pool.

mod definition;
mod limit;
mod retry;
mod why;

use std::sync::Arc;
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentState, Budget, CapabilitySet, Change, Decision, MAX_LABEL, Pool,
    PoolQueue, PoolTask, ProjectId, Run, RunId, Task, TaskId, TaskState, Workflow, is_label,
};
use fusion_persistence::{Batch, Fence, Guard, Repository, TaskFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::agents::mail::TIMEOUT_SECONDS;
use crate::agents::{Fault, STEP, held};
use crate::plan::end_standalone;
use crate::races::Races;
use crate::spawn::Definition;
use crate::versions::OfTasks;
use crate::{Ask, Coordinator, Error, Result};

pub use retry::RetryTask;
pub use why::{Wait, why};

pub(crate) use definition::Written;

use definition::MAX_ATTEMPTS;

/// Tasks that one may need directly.
pub const MAX_DEPENDENCIES: usize = 1_000;

/// Tasks that wait for one agent at most, unless `max_queue` in its metadata says otherwise.
pub const MAX_QUEUE: u64 = 8;

/// The longest time that a task may be put off or may take.
pub const MAX_WAIT: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Bytes of what is asked at most.
pub const MAX_DESCRIPTION: usize = 128 * 1_024;

/// Bytes of what a task is given at most, as JSON.
const MAX_INPUTS: usize = 128 * 1_024;

/// The input that holds the whole of what is asked.
pub(crate) const TASK: &str = "task";

/// Says what was put into the pool.
pub(crate) const POOL: &str = "system.pool";

/// A task that is asked for.
#[derive(Debug, Clone, Default)]
pub struct NewTask {
    /// 1 to 255 letters, digits, `_`, `-` or `.`; need not be unique.
    pub name: Option<String>,
    /// What is asked.
    pub description: String,
    /// What an agent must be able to do.
    pub capabilities: CapabilitySet,
    /// Who is to do it.
    pub agent: Option<AgentId>,
    /// Nobody else may.
    pub is_demanded: bool,
    /// Higher first.
    pub priority: i32,
    /// Tasks that must end well before it, of any run.
    pub dependencies: Vec<TaskId>,
    /// What it is given, by name.
    pub inputs: Map<String, Value>,
    /// Whose share of the agents it uses.
    pub project: Option<ProjectId>,
    /// How long nobody is to begin it.
    pub delay: Option<Duration>,
    /// What it may take; 20 minutes without it.
    pub timeout: Option<Duration>,
    /// How often it is tried in all; once without it.
    pub max_attempts: Option<u32>,
    /// What its model calls may use at most.
    pub limit: Budget,
}

/// What is said of a task that came into the pool, or back into it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PoolNews {
    /// Whom it was given to.
    pub(crate) agent: Option<AgentId>,
    pub(crate) project: Option<ProjectId>,
    pub(crate) capabilities: CapabilitySet,
    /// What it waits for.
    pub(crate) awaited: Vec<TaskId>,
    /// How long it waits.
    pub(crate) wait_ms: Option<u64>,
}

impl PoolNews {
    pub(crate) fn queue(&self) -> PoolQueue {
        PoolQueue {
            project: self.project,
            capabilities: self.capabilities.clone(),
        }
    }
}

impl Coordinator {
    /// Stores a task of its own as `queued`. `ask` gets it as it will be stored.
    ///
    /// # Errors
    /// It is not as it must be, what it needs has failed, no more tasks may wait for its agent, or the
    /// store fails. Nothing was stored.
    pub async fn create_task(
        &self,
        new: NewTask,
        ask: impl Fn(&Task) -> Ask + Send + Sync,
    ) -> Result<Task> {
        self.check_task(&new).await?;
        let mut races = Races::new();
        loop {
            match self.try_to_create_task(&new, &ask).await {
                Err(error) if error.lost_a_race() || error.is_taken() => {
                    races.after(error).await?;
                }
                other => return other,
            }
        }
    }

    async fn try_to_create_task(
        &self,
        new: &NewTask,
        ask: &(impl Fn(&Task) -> Ask + Send + Sync),
    ) -> Result<Task> {
        let (workflow, mut decision) = self.workflow_of(new).await?;
        let id = TaskId::from_uuid(self.parts.ids.uuid());
        let mut dependencies = new.dependencies.clone();
        dependencies.sort_unstable();
        dependencies.dedup();
        let plan = PoolTask {
            id,
            run_id: RunId::from_uuid(self.parts.ids.uuid()),
            workflow: &workflow,
            name: new.name.clone().unwrap_or_else(|| STEP.to_owned()),
            description: new.description.clone(),
            inputs: new.inputs.clone(),
            pool: Pool {
                project: new.project,
                is_demanded: new.is_demanded && new.agent.is_some(),
            },
            agent: new.agent,
            capabilities: new.capabilities.clone(),
            priority: new.priority,
            dependencies,
            delay: new.delay,
            limit: new.limit,
        };
        if let Some(agent) = new.agent {
            decision.changes.push(self.room_for(agent, new).await?);
        }
        let (task, created) = plan.create(self.moment());
        decision.merge(created);
        let asked = ask(&task).batch("created", decision, ("task", id.uuid()), self.moment());
        self.commit(asked).await?;
        self.hint_pool(&task, new.delay);
        Ok(task)
    }

    /// The workflow of tasks that may take so long and are tried so often.
    async fn workflow_of(&self, new: &NewTask) -> Result<(Arc<Workflow>, Decision)> {
        let seconds = new.timeout;
        let seconds = seconds.map_or(TIMEOUT_SECONDS, |timeout| timeout.as_secs().max(1));
        let attempts = new.max_attempts.unwrap_or(1);
        let limits = (seconds, attempts);
        let write = || Written::of(seconds, attempts);
        let OfTasks { written, stored } = self.versions.of_tasks(limits, write)?;
        if let Some(stored) = stored {
            return Ok((stored, Decision::default()));
        }
        let latest = self.newest_version(&written.definition.name).await?;
        let text = Definition {
            checked: &written.definition,
            source: &written.source,
            base_dir: "/",
        };
        let (version, new) = self.version(&text, latest);
        if new.changes.is_empty() {
            self.versions.keep_of_tasks(limits, &version);
        }
        Ok((version, new))
    }

    async fn check_task(&self, new: &NewTask) -> Result<()> {
        let mut faults = limits(new);
        self.check_capabilities(&new.capabilities, &mut faults)
            .await?;
        if let Some(id) = new.project
            && !self.is_open_project(id).await?
        {
            faults.push(Fault::Project { id: id.to_string() });
        }
        for id in new.dependencies.iter().take(MAX_DEPENDENCIES) {
            let found: Option<Task> = self.parts.store.find(*id).await?;
            let why = match found.map(|task| task.state) {
                None => "does not exist".to_owned(),
                Some(state @ (TaskState::Failed | TaskState::Cancelled)) => {
                    format!("is {state}: what needs it would never be done")
                }
                Some(
                    TaskState::Queued
                    | TaskState::Assigned
                    | TaskState::Running
                    | TaskState::Completed,
                ) => continue,
            };
            let id = id.to_string();
            faults.push(Fault::Dependency { id, why });
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Error::Description { faults })
        }
    }

    /// Sees that an agent can do a task and that there is room in its queue. Its row is written as it is, so
    /// that of two who fill the last place one decides again.
    async fn room_for(&self, id: AgentId, new: &NewTask) -> Result<Change> {
        let found: Option<Agent> = self.parts.store.find(id).await?;
        let fault = |name: String, why: &str| Error::Description {
            faults: vec![Fault::Agent {
                name,
                why: why.to_owned(),
            }],
        };
        let Some(agent) = found else {
            return Err(fault(id.to_string(), "does not exist"));
        };
        if !agent.is_standing() {
            return Err(fault(
                agent.name,
                "belongs to a run and does its steps only",
            ));
        }
        if agent.state == AgentState::Terminated || agent.ending().is_some() {
            return Err(fault(agent.name, "has ended"));
        }
        if !agent.capabilities.satisfies(&new.capabilities) {
            let lacks = lacking(&agent, &new.capabilities).join(", ");
            return Err(fault(agent.name, &format!("can't do it: it lacks {lacks}")));
        }
        let filter = TaskFilter {
            states: vec![TaskState::Queued],
            agent: Some(id),
            ..TaskFilter::default()
        };
        let waiting = self.parts.store.count(&filter).await?;
        if waiting >= max_queue(&agent) {
            let agent = agent.name;
            return Err(Error::QueueFull { agent, waiting });
        }
        Ok(Change::update(agent))
    }

    /// Cancels a task, whatever it is about: a turn or a tool at work on it is cut off. What needs it in
    /// its run is cancelled with it; what needs it elsewhere a moment later. A `reason` stays with the task
    /// and is told in the event log.
    ///
    /// # Errors
    /// There is no such task, or it has ended.
    pub async fn cancel_task(&self, id: TaskId, reason: Option<&str>) -> Result<Task> {
        let mut races = Races::new();
        loop {
            let task: Task = self.parts.store.get(id).await?;
            let siblings = self.parts.store.tasks_of_run(task.run_id).await?;
            let run: Run = self.parts.store.get(task.run_id).await?;
            let guard = match task.state {
                TaskState::Assigned | TaskState::Running => Guard::Held(Fence {
                    task: id,
                    number: task.fence,
                }),
                TaskState::Queued
                | TaskState::Completed
                | TaskState::Failed
                | TaskState::Cancelled => Guard::Free,
            };
            let (agent, refused) = (task.agent_id, refused(&task));
            let stopped = task.stop(&siblings, reason, self.moment());
            let (mut stopped, mut decision) = stopped.map_err(refused)?;
            end_standalone(&run, &mut decision, self.moment())?;
            if self.is_dry_run {
                decision.merge(self.ends_below(run.id, &decision).await?);
            }
            let batch = Batch::new(guard, decision);
            if self.try_to_commit(batch, &mut races).await? {
                stopped.version += 1;
                if let (Guard::Held(_), Some(agent)) = (guard, agent) {
                    self.crew.stop(agent, fusion_core::PauseAt::Now);
                }
                self.end_unwanted_below(stopped.run_id).await?;
                return Ok(stopped);
            }
        }
    }

    /// Changes the priority of a task that waits.
    ///
    /// # Errors
    /// There is no such task, or it does not wait.
    pub async fn prioritise_task(&self, id: TaskId, priority: i32) -> Result<Task> {
        let mut races = Races::new();
        loop {
            let task: Task = self.parts.store.get(id).await?;
            let refused = refused(&task);
            let raised = task.prioritise(priority, self.moment());
            let (task, decision) = raised.map_err(refused)?;
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                return Ok(task);
            }
        }
    }

    /// What is to be done once a worker has left: one that lost its lease has nothing to tell, and its agent
    /// may be at work on nothing.
    pub(crate) async fn after(
        &self,
        fence: Fence,
        agent: AgentId,
        worked: Result<()>,
    ) -> Result<()> {
        match worked {
            Err(error) if error.is_fenced() => {
                tracing::info!(task.id = %fence.task, fence = fence.number, "the lease was lost; the result is dropped");
                self.put_down(agent).await
            }
            other => other,
        }
    }

    /// An agent that is at work on nothing waits for work again.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn put_down(&self, id: AgentId) -> Result<()> {
        let mut races = Races::new();
        loop {
            let agent: Agent = self.parts.store.get(id).await?;
            if agent.state != AgentState::Working || held(&self.open_tasks(&agent).await?).is_some()
            {
                return Ok(());
            }
            let Some(decision) = agent.rest(self.moment()) else {
                return Ok(());
            };
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                return Ok(());
            }
        }
    }

    /// Says that a task came into the pool, or back into it.
    pub(crate) fn hint_pool(&self, task: &Task, delay: Option<Duration>) {
        let Some(pool) = task.pool else {
            return;
        };
        let news = PoolNews {
            agent: task.agent_id,
            project: pool.project,
            capabilities: task.required_capabilities.clone(),
            awaited: task.dependencies.clone(),
            wait_ms: delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
        };
        match serde_json::to_vec(&news) {
            Ok(news) => self.publish(POOL, &news.into()),
            Err(error) => tracing::warn!(%error, "what came into the pool can't be told"),
        }
    }
}

/// What an agent lacks for a task, sorted.
fn lacking(agent: &Agent, required: &CapabilitySet) -> Vec<String> {
    let has: Vec<&str> = agent.capabilities.iter().collect();
    let lacks = required.iter().filter(|name| !has.contains(name));
    lacks.map(str::to_owned).collect()
}

/// How many tasks may wait for an agent.
fn max_queue(agent: &Agent) -> u64 {
    let own = agent.metadata.get("max_queue").and_then(Value::as_u64);
    own.unwrap_or(MAX_QUEUE)
}

fn limits(new: &NewTask) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(name) = new.name.as_ref().filter(|name| !is_label(name)) {
        let name = name.chars().take(MAX_LABEL).collect();
        faults.push(Fault::Name { name });
    }
    let mut limit = |what, fits: bool, limit: String| {
        if !fits {
            faults.push(Fault::Limit { what, limit });
        }
    };
    let bytes = new.description.len();
    limit(
        "description",
        !new.description.trim().is_empty() && bytes <= MAX_DESCRIPTION,
        format!("1 to {MAX_DESCRIPTION} bytes"),
    );
    let given = serde_json::to_vec(&new.inputs).map_or(usize::MAX, |json| json.len());
    limit(
        "input_artifacts",
        given <= MAX_INPUTS,
        format!("{MAX_INPUTS} bytes at most"),
    );
    limit(
        "dependencies",
        new.dependencies.len() <= MAX_DEPENDENCIES,
        format!("{MAX_DEPENDENCIES} tasks at most"),
    );
    limit(
        "max_attempts",
        new.max_attempts
            .is_none_or(|most| (1..=MAX_ATTEMPTS).contains(&most)),
        format!("1 to {MAX_ATTEMPTS}"),
    );
    let days = MAX_WAIT.as_secs() / (24 * 60 * 60);
    for (what, time) in [
        ("delay_seconds", new.delay),
        ("timeout_seconds", new.timeout),
    ] {
        let fits = time.is_none_or(|time| time <= MAX_WAIT);
        limit(what, fits, format!("{days} days at most"));
    }
    faults
}

/// Names the task that a move was refused to.
fn refused(task: &Task) -> impl FnOnce(fusion_core::IllegalTransition) -> Error + use<> {
    let task = task.name.clone();
    move |source| Error::TaskState { task, source }
}
