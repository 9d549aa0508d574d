//! Small, whole values to store, and everything that a store holds.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, AgentState, ApiToken, Approval, Assignee, Capability, Decision, Event,
    EventType, IdSource, JournalEntry, Message, Moment, NewEvent, NodeId, Project, ProviderConfig,
    ResourceMetrics, Run, RunId, RunPlan, StepSpec, Task, Timestamp, Workflow, WorkflowDefinition,
    WorkflowId, WorkflowState, Workspace, WorkspaceId,
};
use fusion_persistence::{
    Batch, Claim, Entity, EventFilter, EventReader, Find, Lease, MessageFilter, Page, Reader,
    Result, Store,
};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use serde_json::{Map, json};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Ids that rise by one.
#[derive(Debug, Default)]
pub(crate) struct Ids(AtomicU64);

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        Uuid::from_u64_pair(0, self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Ids {
    pub(crate) fn moment(&self, seconds: i64) -> Moment<'_> {
        Moment {
            now: at(seconds),
            ids: self,
        }
    }

    /// A batch that appends one event.
    pub(crate) fn telling(&self, message: &str) -> Batch {
        let run = RunId::from_uuid(Uuid::nil());
        let moment = self.moment(100);
        let event = NewEvent::of_run(moment, EventType::SystemError, run, message.to_owned());
        Batch::free(Decision::default().telling(event))
    }

    /// A claim that finds no agent, so that it writes nothing.
    pub(crate) fn claim_of_nobody(&self) -> Claim {
        let run = RunId::from_uuid(Uuid::nil());
        Claim {
            agent: AgentId::from_uuid(Uuid::nil()),
            run,
            capability_sets: Vec::new(),
            lease: Lease {
                owner: NodeId::from_uuid(Uuid::nil()),
                duration: Duration::from_secs(10),
            },
            driver: None,
            event: NewEvent::of_run(
                self.moment(100),
                EventType::TaskAssigned,
                run,
                String::new(),
            ),
        }
    }
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap()
}

/// A step for any agent.
pub(crate) fn step(id: &str, needs: &[String]) -> StepSpec {
    let anybody = Assignee::Capabilities(["x"].into_iter().collect());
    StepSpec {
        needs: needs.to_vec(),
        timeout_seconds: 60,
        ..StepSpec::new(id, anybody, format!("do {id}"))
    }
}

/// What stores a run of these steps, and what launches it.
pub(crate) struct Plan {
    pub(crate) run: RunId,
    pub(crate) create: Batch,
    pub(crate) launch: Batch,
}

pub(crate) fn plan(ids: &Ids, agents: usize, steps: Vec<StepSpec>) -> Plan {
    let run_id = RunId::from_uuid(ids.uuid());
    let staff: BTreeMap<String, (Agent, Workspace)> = (0..agents)
        .map(|number| format!("agent-{number:03}"))
        .map(|name| (name.clone(), agent(ids, &name, run_id)))
        .collect();
    let workflow = workflow(ids, steps);
    let (run, created) = RunPlan {
        run_id,
        workflow: &workflow,
        inputs: Map::new(),
        agents: staff.clone(),
        parent: None,
        called: [].into(),
        limit: fusion_core::Budget::default(),
    }
    .create(ids.moment(100));
    let mut create = workflow.create(ids.moment(100));
    create.merge(created);
    let launch = run.launch(staff.into_values().collect(), ids.moment(100));
    Plan {
        run: run_id,
        create: Batch::free(create),
        launch: Batch::free(launch.unwrap()),
    }
}

/// A store on a SQLite file.
pub(crate) async fn open(path: &Path) -> Result<SqlStore> {
    open_on(path, &TaskTracker::new()).await
}

/// The same, with its writer on a tracker of the caller's.
pub(crate) async fn open_on(path: &Path, tracker: &TaskTracker) -> Result<SqlStore> {
    let location = Location::File(path.to_owned(), Durability::Full);
    SqlStore::open(&location, tracker).await
}

/// Ends a store, until its writer has given the file up, too.
pub(crate) async fn close(store: SqlStore, tracker: TaskTracker) {
    store.close().await.unwrap();
    tracker.close();
    tracker.wait().await;
}

/// Stores a run of these steps that is under way.
pub(crate) async fn launch(store: &dyn Store, agents: usize, steps: Vec<StepSpec>) -> RunId {
    let plan = plan(&Ids::default(), agents, steps);
    store.commit(plan.create).await.unwrap();
    store.commit(plan.launch).await.unwrap();
    plan.run
}

fn workflow(ids: &Ids, steps: Vec<StepSpec>) -> Workflow {
    Workflow {
        id: WorkflowId::from_uuid(ids.uuid()),
        name: "sample".to_owned(),
        description: String::new(),
        definition: WorkflowDefinition {
            name: "sample".to_owned(),
            description: String::new(),
            inputs: BTreeMap::new(),
            agents: BTreeMap::new(),
            steps,
            outputs: BTreeMap::new(),
            budget: fusion_core::Budget::default(),
            artifacts: Vec::new(),
            total_budget: fusion_core::Budget::default(),
            message_flow: None,
        },
        source: "name: sample".to_owned(),
        base_dir: "/".to_owned(),
        state: WorkflowState::Ready,
        created_at: at(50),
        project_id: None,
        definition_version: 1,
        version: 1,
    }
}

fn agent(ids: &Ids, name: &str, run_id: RunId) -> (Agent, Workspace) {
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
        capabilities: ["x"].into_iter().collect(),
        metadata: json!({}),
        message_subscriptions: Vec::new(),
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
        environment_variables: BTreeMap::new(),
        process_uid: None,
        created_at: at(90),
        size_bytes: 0,
        file_count: 0,
        version: 1,
    };
    (agent, workspace)
}

/// The whole event log.
pub(crate) async fn events(store: &(impl EventReader + Sync)) -> Result<Vec<Event>> {
    let everything = EventFilter::default();
    let mut all: Vec<Event> = Vec::new();
    loop {
        let after = all.last().map_or(0, |event| event.seq);
        let more = store.events_after(&everything, after, 1_000).await?;
        if more.is_empty() {
            return Ok(all);
        }
        all.extend(more);
    }
}

/// The messages of all events, once it is sure that these are numbered without a gap.
pub(crate) async fn messages(store: &(impl EventReader + Sync)) -> Vec<String> {
    let events = events(store).await.unwrap();
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    events
        .into_iter()
        .map(|event| event.event.message)
        .collect()
}

/// All rows of a store in text, as the port gives them.
pub(crate) async fn dump(store: &impl Reader) -> Result<String> {
    let mut all = String::new();
    people(store, &mut all).await?;
    work(store, &mut all).await?;
    let everything = EventFilter::default();
    add(
        &mut all,
        &store.events_before(&everything, None, 1_000).await?,
    );
    let messages = MessageFilter::default();
    for message in store.messages_after(&messages, 0, 1_000).await? {
        add(&mut all, &store.deliveries(message.id).await?);
    }
    add(&mut all, &store.outbox_after(0, 1_000).await?);
    add(&mut all, &store.remembered("scope", "key").await?);
    Ok(all)
}

async fn people(store: &impl Reader, all: &mut String) -> Result<()> {
    rows::<Agent>(store, all).await?;
    rows::<ApiToken>(store, all).await?;
    rows::<Capability>(store, all).await?;
    rows::<Message>(store, all).await?;
    rows::<Project>(store, all).await?;
    rows::<ProviderConfig>(store, all).await?;
    rows::<Workspace>(store, all).await
}

async fn work(store: &impl Reader, all: &mut String) -> Result<()> {
    rows::<Approval>(store, all).await?;
    rows::<JournalEntry>(store, all).await?;
    rows::<ResourceMetrics>(store, all).await?;
    rows::<Run>(store, all).await?;
    rows::<Task>(store, all).await?;
    rows::<Workflow>(store, all).await
}

async fn rows<T: Entity>(store: &impl Find<T>, all: &mut String) -> Result<()> {
    let rows = store
        .page(&T::Filter::default(), Page::first(1_000))
        .await?;
    add(all, &rows);
    Ok(())
}

fn add(all: &mut String, rows: &impl Debug) {
    writeln!(all, "{rows:#?}").unwrap();
}
