//! Figures of agents: `cargo bench -p fusion-coordination --bench agents`, or with `-- turns` only those of
//! agents at work. The provider is one in this process that answers after a while, so that what is measured
//! is the engine, the store (SQLite, `synchronous=FULL`) and the workspaces.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a broken benchmark should stop with a trace"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fusion_coordination::{Ask, Coordinator, NewAgent, NewTask, Notices, Options, Parts};
use fusion_core::{
    Agent, AgentSpec, Change, Clock, Cost, Decision, Disposal, EventType, IdSource, MessageLimits,
    Moment, NewEvent, NodeId, Pool, PoolQueue, PoolTask, Project, RunId, TaskId, Timestamp,
    ToolGroup, Usage, Workflow,
};
use fusion_messaging::{Bus, InProcessBus, QueueLimits};
use fusion_persistence::{
    AgentFilter, Batch, Lease, Page, PoolAnswer, PoolClaim, PoolReader, Repository, RunFilter,
    Store,
};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use fusion_providers::{
    Ability, Catalog, CostSource, DeltaSink, FinishReason, ModelInfo, ModelRequest, Provider,
    QuotaInfo, Registry, ToolCall, Turn, TurnRequest,
};
use fusion_web::NoWeb;
use fusion_workspaces::{Launcher, Owners, Workspaces};
use futures::stream::{self, StreamExt as _};
use serde_json::{Map, json};
use tempfile::TempDir;
use tikv_jemallocator::Jemalloc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// That of the program.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Agents of the figures about many.
const MANY: usize = 1_000;

/// Turns of each task.
const TURNS: u32 = 5;

/// Single spawns.
const SPAWNS: usize = 300;

/// Messages that are sent at the same time.
const SENDERS: usize = 64;

/// How long the provider takes for an answer.
const ANSWER: Duration = Duration::from_millis(500);

const UIDS: std::ops::RangeInclusive<u32> = 230_000..=249_999;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let all = !std::env::args().any(|word| word == "turns");
    let place = Place::new().await;
    if all {
        spawns(&place).await;
    }
    let agents = idle(&place).await;
    if all {
        pool(&place).await;
    }
    turns(&place, &agents, "quick", Duration::ZERO).await;
    turns(&place, &agents, "slow", ANSWER).await;
    if all {
        // Last: it leaves tasks behind that every agent can do.
        claims(&place).await;
    }
}

/// Spawns one by one; the answer of the provider takes no time.
async fn spawns(place: &Place) {
    let mut times = Vec::new();
    for _ in 0..SPAWNS {
        let began = Instant::now();
        let spawned = place.engine.spawn_agents(vec![new("quick", 0)]).await;
        times.push(began.elapsed());
        let id = spawned.unwrap()[0].id;
        place
            .engine
            .terminate_agent(id, Disposal::Remove)
            .await
            .unwrap();
    }
    times.sort_unstable();
    println!(
        "spawn, p50 / p99: {:?} / {:?}",
        times[SPAWNS / 2],
        times[SPAWNS * 99 / 100]
    );
}

/// What many agents that wait cost a process that hosts them.
async fn idle(place: &Place) -> Vec<Agent> {
    let stop = CancellationToken::new();
    let before = resident();
    let agents = (0..MANY).map(|number| new("quick", number)).collect();
    let agents = place.engine.spawn_agents(agents).await.unwrap();
    let hosting = place.engine.host(&stop);
    let waiting = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stop.cancel();
    };
    tokio::join!(Box::pin(hosting), waiting).0.unwrap();
    let grown = resident().saturating_sub(before);
    println!("{MANY} idle agents: {} KiB each", grown / MANY as u64);
    agents
}

/// From a task that is ready to an agent that has begun it, with many agents that wait and many tasks
/// that no agent can do.
async fn pool(place: &Place) {
    queue(place, &["nobody"]).await;
    let stop = CancellationToken::new();
    let pattern = "task.started.*".parse().unwrap();
    let mut started = place.bus.subscribe(&pattern).await;
    let work = async {
        let mut times = Vec::new();
        // The host looks around first.
        tokio::time::sleep(Duration::from_secs(2)).await;
        for _ in 0..SPAWNS {
            let new = NewTask {
                description: "Go.".to_owned(),
                ..NewTask::default()
            };
            place
                .engine
                .create_task(new, |_| Ask::default())
                .await
                .unwrap();
            let ready = Instant::now();
            started.recv().await.unwrap();
            times.push(ready.elapsed());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
        times
    };
    let hosting = place.engine.host(&stop);
    let (hosted, times) = tokio::join!(Box::pin(hosting), Box::pin(work));
    hosted.unwrap();
    told(
        "ready to started, 1,000 agents idle, 100,000 tasks queued",
        times,
    );
}

/// How long a claim takes with as many tasks in the agents' own queues.
async fn claims(place: &Place) {
    queue(place, &[]).await;
    let filter = AgentFilter {
        states: vec![fusion_core::AgentState::Idle],
        ..AgentFilter::default()
    };
    let agents: Vec<Agent> = place.store.list(&filter, Page::first(1_000)).await.unwrap();
    let mut times = Vec::new();
    let mut held = Vec::new();
    let queues = place.store.pool_queues().await.unwrap();
    let queues: Vec<PoolQueue> = queues
        .into_iter()
        .filter(|queue| queue.capabilities.is_empty())
        .collect();
    for agent in &agents {
        let claim = place.claim(agent, &queues);
        let began = Instant::now();
        let answer = place.store.claim_from_pool(claim).await.unwrap();
        times.push(began.elapsed());
        if let PoolAnswer::Task(claimed) = answer {
            held.push(claimed.task);
        }
    }
    told(
        "a claim, 200,000 tasks queued, two projects, up to 1,000 tasks at work",
        times,
    );
    for task in held {
        place.engine.cancel_task(task.id, None).await.unwrap();
    }
}

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (half, most) = (times.len() / 2, times.len() * 99 / 100);
    println!("{what}, p50 / p99: {:?} / {:?}", times[half], times[most]);
}

fn project(name: &str, now: Timestamp) -> Project {
    let row = json!({
        "id": Ids.uuid(), "name": name, "description": "", "message_queue_config": {},
        "created_at": now, "updated_at": now, "metadata": {}, "version": 1,
    });
    serde_json::from_value(row).unwrap()
}

/// Puts many tasks into the pool, half of them for a project.
async fn queue(place: &Place, can: &[&str]) {
    let moment = Moment {
        now: Now.now(),
        ids: &Ids,
    };
    let project = project(&format!("project-{}", can.len()), moment.now);
    let workflow = place
        .engine
        .create_task(
            NewTask {
                description: "Never.".to_owned(),
                delay: Some(Duration::from_secs(3_600)),
                ..NewTask::default()
            },
            |_| Ask::default(),
        )
        .await
        .unwrap()
        .workflow_id
        .unwrap();
    let workflow: Workflow = place.store.get(workflow).await.unwrap();
    let create = Decision::default().with(Change::create(project.clone()));
    place.store.commit(Batch::free(create)).await.unwrap();
    for _ in 0..100 {
        let mut decision = Decision::default();
        for number in 0..1_000 {
            let plan = PoolTask {
                id: TaskId::from_uuid(Ids.uuid()),
                run_id: RunId::from_uuid(Ids.uuid()),
                workflow: &workflow,
                name: "waits".to_owned(),
                description: "Wait.".to_owned(),
                inputs: Map::new(),
                pool: Pool {
                    project: (number % 2 == 0).then_some(project.id),
                    is_demanded: false,
                },
                agent: None,
                capabilities: can.iter().copied().collect(),
                priority: number % 5,
                dependencies: Vec::new(),
                delay: None,
                limit: fusion_core::Budget::default(),
            };
            decision.merge(plan.create(moment).1);
        }
        place.store.commit(Batch::free(decision)).await.unwrap();
    }
}

/// Each agent does a task of some turns, all at once.
async fn turns(place: &Place, agents: &[Agent], provider: &str, answer: Duration) {
    for agent in agents {
        let update = fusion_coordination::AgentUpdate {
            provider: Some(provider.to_owned()),
            model: Some("m".to_owned()),
            ..Default::default()
        };
        let updated = place.engine.update_agent(agent.id, update, "me");
        updated.await.unwrap();
    }
    let stop = CancellationToken::new();
    let work = async {
        let began = Instant::now();
        let sending = agents.iter().map(|agent| async {
            let sent = place.engine.send_to_agent(agent.id, json!("Go.")).await;
            sent.unwrap().run
        });
        let sending = stream::iter(sending).buffer_unordered(SENDERS);
        let runs: Vec<Option<RunId>> = sending.collect().await;
        let sent = began.elapsed();
        while place.store.count(&driven()).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
        (began.elapsed(), sent, runs.len())
    };
    let hosting = place.engine.host(&stop);
    let (hosted, (took, sent, runs)) = tokio::join!(Box::pin(hosting), Box::pin(work));
    hosted.unwrap();
    let ideal = answer * TURNS;
    // A turn and its tool call are a step of the journal each, but for the last turn.
    let steps = runs * (2 * TURNS as usize - 1);
    println!(
        "{runs} agents x {TURNS} turns of {answer:?}: {took:?} (sent within {sent:?}; ideal {ideal:?}); \
         {:?} per step",
        took.saturating_sub(ideal) / u32::try_from(steps).unwrap()
    );
}

/// Runs that have not ended, but for tasks of their own.
fn driven() -> RunFilter {
    RunFilter {
        standalone: Some(false),
        ..RunFilter::unfinished()
    }
}

fn new(provider: &str, number: usize) -> NewAgent {
    let mut spec = AgentSpec::new(provider, "m");
    spec.tools = vec![ToolGroup::Files];
    NewAgent {
        name: format!("agent-{number}"),
        spec,
        project: None,
        metadata: Map::new(),
        base_dir: PathBuf::from("/"),
    }
}

/// Resident memory of this process, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.unwrap().parse().unwrap()
}

/// An engine on a store and workspaces in a throw-away folder.
struct Place {
    _folder: TempDir,
    bus: Arc<InProcessBus>,
    engine: Coordinator,
    store: Arc<SqlStore>,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let database = Location::File(folder.path().join("fusion.db"), Durability::Full);
        let store = SqlStore::open(&database, &TaskTracker::new())
            .await
            .unwrap();
        let store = Arc::new(store);
        let owners = Owners::of_this_process(UIDS);
        let root = folder.path().join("workspaces");
        let workspaces = Workspaces::new(fusion_workspaces::Options {
            root: root.clone(),
            owners: owners.clone(),
        });
        let _prepared = workspaces.preflight().unwrap();
        let providers = Arc::<Registry>::default();
        providers.register("quick", Arc::new(Model(Duration::ZERO)));
        providers.register("slow", Arc::new(Model(ANSWER)));
        let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
        let parts = Parts {
            store: Arc::<SqlStore>::clone(&store),
            bus: Arc::<InProcessBus>::clone(&bus),
            providers,
            notices: Arc::<Notices>::default(),
            launcher: Launcher::new(vec!["/bin/false".into()]),
            shared: None,
            web: Arc::new(NoWeb),
            clock: Arc::new(Now),
            ids: Arc::new(Ids),
        };
        let options = Options {
            owners,
            workspaces_root: root,
            archives_root: folder.path().join("archives"),
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_secs(3),
            sweep: Duration::from_secs(1),
            at_once: MANY,
            unresponsive: Duration::from_mins(5),
            metrics: None,
            grace: Duration::ZERO,
            retention: None,
            keep_runs: None,
            node: None,
            drain: Duration::ZERO,
            most_losses: 3,
            messages: MessageLimits::default(),
        };
        Self {
            _folder: folder,
            bus,
            engine: Coordinator::new(parts, options),
            store,
        }
    }
}

impl Place {
    fn claim(&self, agent: &Agent, queues: &[PoolQueue]) -> PoolClaim {
        let moment = Moment {
            now: Now.now(),
            ids: &Ids,
        };
        let run = RunId::from_uuid(Uuid::nil());
        let told = "assigned".to_owned();
        PoolClaim {
            agent: agent.id,
            queues: queues.to_vec(),
            lease: Lease {
                owner: NodeId::from_uuid(Uuid::nil()),
                duration: Duration::from_secs(600),
            },
            event: NewEvent::of_run(moment, EventType::TaskAssigned, run, told),
        }
    }
}

/// Lists files in each turn but the last.
#[derive(Debug)]
struct Model(Duration);

#[async_trait]
impl Provider for Model {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> fusion_providers::Result<ModelInfo> {
        Ok(ModelInfo {
            model: request.model.to_owned(),
            scripted: false,
            context_length: None,
            max_output_tokens: None,
            price: None,
            tools: Ability::Yes,
            json_schema: Ability::Yes,
        })
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        _: &dyn DeltaSink,
    ) -> fusion_providers::Result<Turn> {
        if !self.0.is_zero() {
            tokio::time::sleep(self.0).await;
        }
        let is_last = request.place.turn >= TURNS;
        let tool_calls = if is_last {
            Vec::new()
        } else {
            vec![ToolCall {
                id: ToolCall::made_up_id(request.place.turn, 0),
                name: "list_files".to_owned(),
                arguments: json!({}),
            }]
        };
        Ok(Turn {
            text: "Done.".to_owned(),
            finish_reason: if is_last {
                FinishReason::Stop
            } else {
                FinishReason::ToolCalls
            },
            tool_calls,
            reasoning: None,
            usage: Usage {
                turns: 1,
                input_tokens: 10,
                output_tokens: 5,
                cost: Cost::ZERO,
            },
            tokens_are_estimated: false,
            cost_source: CostSource::Unknown,
            served_by: None,
            model: request.model.to_owned(),
            generation_id: None,
        })
    }

    async fn get_quota_info(&self) -> fusion_providers::Result<QuotaInfo> {
        Ok(QuotaInfo::default())
    }

    async fn list_models(&self) -> fusion_providers::Result<Option<Catalog>> {
        Ok(None)
    }
}

#[derive(Debug)]
struct Now;

impl Clock for Now {
    #[expect(clippy::disallowed_methods, reason = "the clock of this benchmark")]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}

#[derive(Debug)]
struct Ids;

impl IdSource for Ids {
    #[expect(clippy::disallowed_methods, reason = "the ids of this benchmark")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }
}
