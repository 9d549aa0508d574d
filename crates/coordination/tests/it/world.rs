//! An engine with a store and workspaces in a throw-away folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fusion_coordination::{
    Coordinator, Driven, Error, NewRun, Notices, Options, Parts, Raised, check_models,
};
use fusion_core::{
    AgentId, Clock, EventType, IdSource, JournalEntry, MessageLimits, Run, RunId, Task, Timestamp,
};
use fusion_messaging::{Bus, InProcessBus, Pattern, QueueLimits, Subject, Subscription};
use fusion_persistence::{EventFilter, EventReader, JournalReader, Repository, TaskReader};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use fusion_providers::{
    LayerOptions, Layered, Observer, Provider, QuotaGateOptions, Registry, RetryOptions,
};
use fusion_web::NoWeb;
use fusion_workspaces::{Launcher, Owners, SharedPlace, Workspaces};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub(crate) const UIDS: std::ops::RangeInclusive<u32> = 230_000..=230_099;

pub(crate) struct World {
    folder: TempDir,
    pub(crate) registry: Arc<Registry>,
    pub(crate) store: Arc<SqlStore>,
    observer: Arc<dyn Observer>,
    coordinator: Coordinator,
    parts: Parts,
    options: Options,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(InProcessBus::new(QueueLimits::default()))).await
    }

    /// The same, on another bus.
    pub(crate) async fn on(bus: Arc<dyn Bus>) -> Self {
        Self::tuned(bus, |_| {}).await
    }

    /// An engine with this clock.
    pub(crate) async fn at(clock: Arc<dyn Clock>) -> Self {
        let bus = Arc::new(InProcessBus::new(QueueLimits::default()));
        Self::made(bus, clock, |_| {}).await
    }

    /// The same as [`on`](Self::on), with other options.
    pub(crate) async fn tuned(bus: Arc<dyn Bus>, tune: impl FnOnce(&mut Options)) -> Self {
        Self::made(bus, Arc::new(Ticking::default()), tune).await
    }

    async fn made(
        bus: Arc<dyn Bus>,
        clock: Arc<dyn Clock>,
        tune: impl FnOnce(&mut Options),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // As root, agents have users of their own, who must get through to their workspaces.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        let database = Location::File(folder.path().join("fusion.db"), Durability::Full);
        let store = SqlStore::open(&database, &TaskTracker::new())
            .await
            .unwrap();
        let store = Arc::new(store);
        let owners = Owners::of_this_process(UIDS);
        let root = folder.path().join("workspaces");
        let _prepared = Workspaces::new(fusion_workspaces::Options {
            root: root.clone(),
            owners: owners.clone(),
        })
        .preflight()
        .unwrap();
        let notices = Arc::<Notices>::default();
        let registry = Arc::<Registry>::default();
        let parts = Parts {
            store: Arc::<SqlStore>::clone(&store),
            bus,
            providers: Arc::clone(&registry),
            notices: Arc::clone(&notices),
            launcher: Launcher::new(vec!["/bin/false".into()]),
            shared: None,
            web: Arc::new(NoWeb),
            clock,
            ids: Arc::new(Ids::default()),
        };
        let mut options = Options {
            owners,
            workspaces_root: root,
            archives_root: folder.path().join("archives"),
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(1),
            sweep: Duration::from_millis(200),
            at_once: 100,
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
        tune(&mut options);
        Self {
            folder,
            registry,
            store,
            observer: notices,
            coordinator: Coordinator::new(parts.clone(), options.clone()),
            parts,
            options,
        }
    }

    /// Writes a file where workflows look for theirs.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) const fn engine(&self) -> &Coordinator {
        &self.coordinator
    }

    /// One as another process has it on the same store: with no worker of this one.
    pub(crate) fn another(&self) -> Coordinator {
        Coordinator::new(self.parts.clone(), self.options.clone())
    }

    /// One that has a folder for snapshots, as another process has it on the same store.
    pub(crate) fn sharing(&self, shared: SharedPlace) -> Coordinator {
        let parts = Parts {
            shared: Some(shared),
            ..self.parts.clone()
        };
        Coordinator::new(parts, self.options.clone())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Registers a provider behind its layers, which wait for a moment only.
    pub(crate) fn register(&self, name: &str, provider: impl Provider + 'static) {
        let retry = RetryOptions {
            first_wait: Duration::from_millis(1),
            max_wait: Duration::from_millis(2),
            ..RetryOptions::default()
        };
        let options = LayerOptions {
            retry,
            ..LayerOptions::default()
        };
        let layered = Layered::new(provider, name, options, &self.observer);
        self.registry.register(name, Arc::new(layered));
    }

    /// Registers a provider whose callers never wait for a limit themselves.
    pub(crate) fn register_hasty(&self, name: &str, provider: impl Provider + 'static) {
        let quota = QuotaGateOptions {
            max_wait: Duration::ZERO,
            ..QuotaGateOptions::default()
        };
        let options = LayerOptions {
            quota,
            ..LayerOptions::default()
        };
        let layered = Layered::new(provider, name, options, &self.observer);
        self.registry.register(name, Arc::new(layered));
    }

    /// Lets the steps of a run go on at once that wait for a limit.
    pub(crate) async fn wake(&self, run: RunId) {
        self.coordinator.wake(run, true).await.unwrap();
    }

    /// Stores a run of this workflow.
    pub(crate) async fn create(&self, workflow: &str) -> RunId {
        self.try_create(workflow).await.unwrap()
    }

    /// The same where it may be refused.
    pub(crate) async fn try_create(&self, workflow: &str) -> Result<RunId, Error> {
        let definition = fusion_workflow_file::parse(workflow).unwrap();
        let base_dir = self.folder.path();
        let inputs = serde_json::Map::new();
        let models = check_models(&self.registry, &definition, &inputs, base_dir)
            .await
            .unwrap();
        let new = NewRun {
            definition,
            source: workflow.to_owned(),
            base_dir: base_dir.display().to_string(),
            inputs,
            models,
            limit: fusion_core::Budget::default(),
        };
        self.coordinator.create_run(new).await
    }

    /// Works on a run until it ends or has to wait.
    pub(crate) async fn drive(&self, run: RunId) -> Result<Driven, Error> {
        self.drive_until(run, &CancellationToken::new()).await
    }

    /// The same, until it is cancelled.
    pub(crate) async fn drive_until(
        &self,
        run: RunId,
        cancel: &CancellationToken,
    ) -> Result<Driven, Error> {
        self.coordinator
            .resume_run(run, &Raised::default(), cancel)
            .await
    }

    pub(crate) async fn run(&self, run: RunId) -> Run {
        self.store.get(run).await.unwrap()
    }

    pub(crate) async fn tasks(&self, run: RunId) -> Vec<Task> {
        self.store.tasks_of_run(run).await.unwrap()
    }

    pub(crate) async fn journal(&self, task: &Task) -> Vec<JournalEntry> {
        self.store.journal(task.id).await.unwrap()
    }

    /// The agents that events of this type are about.
    pub(crate) async fn told(&self, event_type: EventType) -> Vec<Option<AgentId>> {
        let filter = EventFilter {
            types: vec![event_type.as_str().to_owned()],
            ..EventFilter::default()
        };
        let events = self.store.events_after(&filter, 0, 10_000).await.unwrap();
        events
            .into_iter()
            .map(|event| event.event.source_agent_id)
            .collect()
    }
}

/// A bus that loses all that is said on it, and counts.
#[derive(Debug)]
pub(crate) struct Deaf {
    pub(crate) readers: InProcessBus,
    pub(crate) lost: AtomicU64,
}

impl Deaf {
    pub(crate) fn new() -> Self {
        Self {
            readers: InProcessBus::new(QueueLimits::default()),
            lost: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl Bus for Deaf {
    fn publish(&self, _: &Subject, _: Arc<[u8]>) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    async fn subscribe(&self, pattern: &Pattern) -> Subscription {
        self.readers.subscribe(pattern).await
    }
}

/// A clock that goes on by a millisecond each time somebody looks.
#[derive(Debug, Default)]
struct Ticking(AtomicI64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        let looks = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_timestamp_millis(1_700_000_000_000 + looks).unwrap()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ids(AtomicU64);

impl Ids {
    /// Ids from this number on.
    pub(crate) const fn from(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }
}

impl IdSource for Ids {
    fn uuid(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }
}
