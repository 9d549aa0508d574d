//! Puts the parts together: the one place that picks variants.

mod bus;
mod check;
mod commands;
mod node;
mod registry;
mod retention;
mod shared;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fusion_api_types::{Problem, ProblemKind};
use fusion_coordination::{Coordinator, Notices, Options, Parts};
use fusion_core::RunId;
use fusion_messaging::{Bus, Pattern, Subscription};
use fusion_messaging_redis::RedisBus;
use fusion_persistence::{Patience, Patient, Store};
use fusion_persistence_sql::{Durability, Life, Location, SqlStore};
use fusion_providers::Registry;
use fusion_web::Web;
use fusion_web_http::HttpWeb;
use fusion_workspaces::{Owners, Prepared, Workspaces};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use bus::OpenBus;
use node::NodeSettings;

use crate::config::Config;
use crate::data_dir::{DataDir, Owned};
use crate::messages;
use crate::problems;
use crate::system::{SystemClock, SystemIds};

pub(crate) use bus::BusPlace;
pub(crate) use check::check;
pub(crate) use commands::{check_folder, launcher, sandbox, workspaces_root};
pub(crate) use node::{Duties, name as machine};
pub(crate) use registry::{
    OPENAI_COMPATIBLE, OPENROUTER, SCRIPTED, Told, of_environment, register_stored, registry,
    stored_provider, unregister,
};
pub(crate) use shared::check as check_shared;

/// The user ids of agents when nothing else is configured and the program runs as root.
const DEFAULT_UIDS: std::ops::RangeInclusive<u32> = 50_000..=59_999;

/// How long the end of the program waits for its own tasks.
const CLOSING: Duration = Duration::from_secs(5);

/// How long the end of the program waits for the store to hear of it.
const LEAVING: Duration = Duration::from_secs(2);

/// How long runs and tasks stay with a process that says nothing any more when nothing else is
/// configured.
pub(crate) const LEASE: Duration = Duration::from_secs(10);

/// Agents that work at once when nothing else is configured.
const AGENTS_AT_ONCE: usize = 1_000;

/// How often what agents at work use is sampled.
const METRICS_SECONDS: u32 = 30;

/// How long an agent at work may show no progress: a model may think for minutes.
const UNRESPONSIVE_SECONDS: u32 = 5 * 60;

/// The workspaces of a server that runs as root below a folder closed to other users.
const SHARED_ROOT: &str = "/var/lib/fusion-kit/workspaces";

/// An engine on a data directory that this process owns.
#[derive(Debug)]
pub(crate) struct Engine {
    opened: Opened,
    tracker: TaskTracker,
    closing: CancellationToken,
    /// Deletes what is too old, until `closing`. `None` where this engine does not.
    tidying: Option<JoinHandle<()>>,
    /// `None` beside the process that owns the directory.
    owned: Option<Owned>,
}

/// As whom a process works in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It owns the directory and works on runs.
    Owner,
    /// It leaves a few commits of a person to the owner.
    Guest,
}

/// What an engine is opened with.
#[derive(Debug)]
pub(crate) struct Start {
    /// Where its store is.
    pub(crate) location: Location,
    /// Finds providers by name.
    pub(crate) registry: Arc<Registry>,
    /// What the layers around them tell.
    pub(crate) notices: Arc<Notices>,
    /// What the process is there for.
    pub(crate) duties: Duties,
}

/// What opening made.
#[derive(Debug)]
struct Opened {
    coordinator: Coordinator,
    store: Patient<SqlStore>,
    location: Location,
    /// The sign of life of this process, once it is a node.
    life: Option<Life>,
    /// The store's own tasks.
    writing: TaskTracker,
    bus: OpenBus,
    prepared: Prepared,
}

impl Engine {
    /// Takes the data directory, opens the store at `location`, and gives back what dead processes held.
    pub(crate) async fn open(
        config: &Config,
        data_dir: &DataDir,
        start: Start,
    ) -> Result<Self, Problem> {
        let owned = data_dir.own().await?;
        match Self::open_as(Role::Owner, config, data_dir, start).await {
            Ok(opened) => Self::of(opened, Some(owned)).recovered().await,
            Err(problem) => {
                owned.undo();
                Err(problem)
            }
        }
    }

    /// Opens the store beside the process that owns the data directory, for what a person has to say:
    /// nothing is driven here.
    pub(crate) async fn beside(
        config: &Config,
        data_dir: &DataDir,
        registry: Arc<Registry>,
        notices: Arc<Notices>,
    ) -> Result<Self, Problem> {
        let start = Start::of_command(location(config, data_dir)?, registry, notices);
        let opened = Self::open_as(Role::Guest, config, data_dir, start).await?;
        Ok(Self::of(opened, None))
    }

    fn of(opened: Opened, owned: Option<Owned>) -> Self {
        Self {
            opened,
            tracker: TaskTracker::new(),
            closing: CancellationToken::new(),
            tidying: None,
            owned,
        }
    }

    /// Gives back what dead processes held, clears what they left half done, and gives up the messages that nobody will read.
    async fn recovered(mut self) -> Result<Self, Problem> {
        let begun = self.opened.coordinator.begin_node().await;
        if let Ok(Some(epoch)) = &begun {
            let opened = &self.opened;
            let life = Life::show(
                opened.store.inner(),
                &opened.location,
                *epoch,
                &opened.writing,
            )
            .await;
            self.opened.life = life;
        }
        let coordinator = &self.opened.coordinator;
        let recovered = async {
            begun?;
            coordinator.recover().await?;
            coordinator.clear_remains().await?;
            coordinator.end_all_cancelled().await?;
            coordinator.give_up_mail().await
        };
        match recovered.await {
            Ok(_) => {
                let (coordinator, closing) =
                    (self.opened.coordinator.clone(), self.closing.clone());
                let tidying = self.spawn(async move { coordinator.keep_tidy(&closing).await });
                self.tidying = Some(tidying);
                Ok(self)
            }
            Err(error) => {
                self.undo().await;
                Err(problems::of_engine(&error))
            }
        }
    }

    async fn open_as(
        role: Role,
        config: &Config,
        data_dir: &DataDir,
        start: Start,
    ) -> Result<Opened, Problem> {
        let location = start.location;
        let node = NodeSettings::of(config, role, &location, start.duties)?;
        let owners = owners(config)?;
        let launcher = launcher(config, data_dir)?;
        let bus_place = BusPlace::of(config)?;
        let (retention, keep_runs) = (retention::events(config)?, retention::runs(config)?);
        let (at_once, unresponsive) = working(config)?;
        let messages = messages::limits(config)?;
        let (root, prepared) = prepare_workspaces(config, data_dir, &owners)?;
        let (shared, prepared) = shared::beside(prepared, config, &node).await?;
        let writing = TaskTracker::new();
        let store = match open_store(role, &location, &writing).await {
            Ok(store) => Patient::new(store, Patience::default()),
            Err(error) => {
                undo(prepared);
                return Err(problems::of_store(&error));
            }
        };
        let ids = SystemIds::new();
        let bus = bus_place.open(&ids);
        let parts = Parts {
            store: Arc::new(store.clone()) as Arc<dyn Store>,
            bus: Arc::clone(bus.bus()),
            providers: start.registry,
            notices: start.notices,
            launcher,
            shared,
            web: web(),
            clock: Arc::new(SystemClock),
            ids: Arc::new(ids),
        };
        let options = Options {
            owners,
            workspaces_root: root,
            archives_root: data_dir.archives(),
            lease: node.lease,
            heartbeat: node.lease * 3 / 10,
            sweep: Duration::from_secs(1),
            at_once,
            unresponsive,
            metrics: metrics(config)?,
            grace: grace(role, &location, node.lease),
            retention,
            keep_runs,
            node: node.node,
            drain: node.drain,
            most_losses: node.most_losses,
            messages,
        };
        Ok(Opened {
            coordinator: Coordinator::new(parts, options),
            location,
            life: None,
            store,
            writing,
            bus,
            prepared,
        })
    }

    pub(crate) const fn coordinator(&self) -> &Coordinator {
        &self.opened.coordinator
    }

    /// The store, for reading: it waits while the database is away.
    pub(crate) const fn store(&self) -> &Patient<SqlStore> {
        &self.opened.store
    }

    /// Carries the hints of this process, and of others where they share it.
    pub(crate) const fn bus(&self) -> &Arc<dyn Bus> {
        self.opened.bus.bus()
    }

    /// The bus that may fail, where there is one.
    pub(crate) fn redis(&self) -> Option<Arc<RedisBus>> {
        self.opened.bus.redis()
    }

    /// Runs something on its own until the engine is closed.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.tracker.spawn(work)
    }

    /// Listens to what is told about a run.
    pub(crate) async fn hints(&self, run: RunId) -> Result<Subscription, Problem> {
        let pattern: Pattern = format!("workflow.{run}.*")
            .parse()
            .map_err(|error| Problem::new(ProblemKind::Internal, format!("{error}")))?;
        Ok(self.opened.bus.bus().subscribe(&pattern).await)
    }

    /// What a person should know of the bus.
    pub(crate) async fn notice(&self) -> Option<String> {
        self.opened.bus.notice().await
    }

    /// Takes away everything that opening made: nothing came of it.
    pub(crate) async fn undo(self) {
        let (prepared, owned) = self.close_store().await;
        undo(prepared);
        if let Some(owned) = owned {
            owned.undo();
        }
    }

    /// Closes the store and gives the data directory up.
    pub(crate) async fn close(self) {
        let (_prepared, _owned) = self.close_store().await;
    }

    /// Closes the store and waits until its writer is done, so that its files are complete.
    async fn close_store(self) -> (Prepared, Option<Owned>) {
        let Opened {
            coordinator,
            store,
            writing,
            bus,
            prepared,
            life,
            location: _,
        } = self.opened;
        self.closing.cancel();
        if let Some(tidying) = self.tidying {
            // It would look for the store that is closed below.
            tokio::time::timeout(LEAVING, tidying).await.ok();
        }
        self.tracker.close();
        let ended = tokio::time::timeout(LEAVING, coordinator.end_node()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the leases of this process could not be given up: they will run out");
        }
        drop(life);
        drop(coordinator);
        bus.close().await;
        close(store.into_inner(), &writing).await;
        (prepared, self.owned)
    }
}

async fn open_store(
    role: Role,
    location: &Location,
    writing: &TaskTracker,
) -> fusion_persistence::Result<SqlStore> {
    if role == Role::Guest
        && let Some(store) = SqlStore::open_beside(location, writing).await?
    {
        return Ok(store);
    }
    SqlStore::open(location, writing).await
}

/// Closes a store and waits until its writer is done.
pub(crate) async fn close(store: SqlStore, writing: &TaskTracker) {
    let closed = tokio::time::timeout(CLOSING, store.close()).await;
    writing.close();
    let done = tokio::time::timeout(CLOSING, writing.wait()).await.is_ok();
    if !matches!(closed, Ok(Ok(()))) || !done {
        tracing::warn!(
            ?closed,
            done,
            "the database was not closed cleanly; what was committed is safe"
        );
    }
}

fn undo(prepared: Prepared) {
    if let Err(error) = prepared.undo() {
        tracing::warn!(%error, "the workspaces folder could not be removed");
    }
}

/// Where workspaces can be made: the configured place, else below the data directory, else,
/// for root, where agents' own users can get to.
fn prepare_workspaces(
    config: &Config,
    data_dir: &DataDir,
    owners: &Owners,
) -> Result<(PathBuf, Prepared), Problem> {
    let at = |root: &Path| {
        Workspaces::new(fusion_workspaces::Options {
            root: root.to_path_buf(),
            owners: owners.clone(),
        })
    };
    let root = workspaces_root(config, data_dir)?;
    match at(&root).preflight() {
        Ok(prepared) => Ok((root, prepared)),
        Err(fusion_workspaces::Error::NotReachable { .. }) if config.workspaces_root.is_none() => {
            let shared = PathBuf::from(SHARED_ROOT);
            let prepared = at(&shared)
                .preflight()
                .map_err(|error| problems::of_workspaces(&error))?;
            Ok((shared, prepared))
        }
        Err(error) => Err(problems::of_workspaces(&error)),
    }
}

/// Whose agents' files and processes are.
pub(crate) fn owners(config: &Config) -> Result<Owners, Problem> {
    let Some(text) = &config.agent_uids else {
        return Ok(Owners::of_this_process(DEFAULT_UIDS));
    };
    let range = text
        .split_once('-')
        .and_then(|(first, last)| Some(first.trim().parse().ok()?..=last.trim().parse().ok()?))
        .ok_or_else(|| {
            Problem::new(
                ProblemKind::InvalidInput,
                format!("FUSION_KIT_AGENT_UIDS is '{text}'"),
            )
            .with_help("write a range of user ids such as 50000-59999")
        })?;
    Ok(Owners::of_this_process(range))
}

/// Where the database is: what `DATABASE_URL` says, else a file in the data directory.
pub(crate) fn location(config: &Config, data_dir: &DataDir) -> Result<Location, Problem> {
    match &config.database_url {
        None => Ok(Location::File(data_dir.database(), Durability::Full)),
        Some(url) => Location::from_url(url.expose_secret(), Durability::Full)
            .map_err(|error| problems::of_store(&error)),
    }
}

/// How many agents work at once, and how long one may show no progress.
fn working(config: &Config) -> Result<(usize, Duration), Problem> {
    let at_once = config.agents_at_once.as_deref();
    let at_once = messages::bounded_number("FUSION_AGENTS_AT_ONCE", at_once, 1..=100_000)?;
    let silent = config.unresponsive_seconds.as_deref();
    let silent = messages::bounded_number("FUSION_UNRESPONSIVE_SECONDS", silent, 1..=86_400)?;
    let silent = silent.unwrap_or(UNRESPONSIVE_SECONDS);
    Ok((
        at_once.map_or(AGENTS_AT_ONCE, |number| {
            usize::try_from(number).unwrap_or(usize::MAX)
        }),
        Duration::from_secs(silent.into()),
    ))
}

/// How often what agents at work use is sampled; 0 seconds never does it.
fn metrics(config: &Config) -> Result<Option<Duration>, Problem> {
    let seconds = config.metrics_seconds.as_deref();
    let seconds = messages::bounded_number("FUSION_METRICS_SECONDS", seconds, 0..=86_400)?;
    let seconds = seconds.unwrap_or(METRICS_SECONDS);
    Ok((seconds > 0).then(|| Duration::from_secs(seconds.into())))
}

/// How old something half done must be before it is taken for left by a dead process. A file has one
/// owner; where others may write, they get time.
const fn grace(role: Role, location: &Location, lease: Duration) -> Duration {
    match (role, location) {
        (Role::Owner, Location::File(..) | Location::Memory) => Duration::ZERO,
        (Role::Guest, _) | (_, Location::Server(_)) => lease.saturating_mul(2),
    }
}

/// The store, for reading beside the process that owns it; `None` when there is no data yet.
pub(crate) async fn open_to_read(location: &Location) -> Result<Option<SqlStore>, Problem> {
    SqlStore::open_to_read(location)
        .await
        .map_err(|error| problems::of_store(&error))
}

/// What fetches pages for agents.
pub(crate) fn web() -> Arc<dyn Web> {
    Arc::new(HttpWeb::default())
}
