//! The handle on the engine, and the one way it commits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fusion_core::{Clock, IdSource, MessageLimits, Moment, NodeId, Workspace};
use fusion_messaging::{Bus, Subject};
use fusion_persistence::{Batch, Committed, Error as StoreError, Lease, Store};
use fusion_providers::Registry;
use fusion_web::Web;
use fusion_workspaces::{Launcher, Owners, SharedPlace, Workspaces};
use tokio::sync::{Notify, Semaphore, watch};

use crate::crew::{Crew, InHand};
use crate::drivers::Drivers;
use crate::due::Lookout;
use crate::nodes::Part;
use crate::shared::Sharing;
use crate::uids::Promised;
use crate::versions::Versions;
use crate::{Error, NodeOptions, Notices, Result};

/// What the engine is made of.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// Wakes people up.
    pub bus: Arc<dyn Bus>,
    /// Finds providers by name.
    pub providers: Arc<Registry>,
    /// What the layers around these providers tell: they were built with it as their observer.
    pub notices: Arc<Notices>,
    /// Starts agents' processes.
    pub launcher: Launcher,
    /// Where snapshots of workspaces are kept for other nodes.
    pub shared: Option<SharedPlace>,
    /// Fetches pages for agents.
    pub web: Arc<dyn Web>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

/// How the engine behaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Whose agents' files and processes are.
    pub owners: Owners,
    /// Where new workspaces are made; existing ones are where their row says.
    pub workspaces_root: PathBuf,
    /// Where the workspaces of ended agents are packed to.
    pub archives_root: PathBuf,
    /// How long a claim holds without a heartbeat.
    pub lease: Duration,
    /// How often leases are extended.
    pub heartbeat: Duration,
    /// How often the store is looked at when nobody calls.
    pub sweep: Duration,
    /// Agents at work at once in this process; each works on one task at a time.
    pub at_once: usize,
    /// After how long without progress an agent at work is told to be unresponsive.
    pub unresponsive: Duration,
    /// How often what agents at work use is sampled; `None` never does it.
    pub metrics: Option<Duration>,
    /// How old something half done must be before it is taken for left by a dead process: zero where
    /// no other process writes to the store.
    pub grace: Duration,
    /// How long events and metrics are kept; `None` keeps them for ever.
    pub retention: Option<Duration>,
    /// How long runs are kept that have ended; `None` keeps them for ever.
    pub keep_runs: Option<Duration>,
    /// How this process takes part where several share a store; `None` where it owns the store, or does
    /// no work.
    pub node: Option<NodeOptions>,
    /// How long what is under way may take to end by itself when a host is stopped.
    pub drain: Duration,
    /// Leases that a task may lose at work before it is taken for what kills its workers.
    pub most_losses: u32,
    /// What bounds the messages of agents and of the engine.
    pub messages: MessageLimits,
}

/// The engine. Clones share everything.
#[derive(Debug, Clone)]
pub struct Coordinator {
    pub(crate) parts: Arc<Parts>,
    pub(crate) options: Arc<Options>,
    pub(crate) node: NodeId,
    /// The workers of this process.
    pub(crate) crew: Arc<Crew>,
    /// What this process is about to make or to end: not to be taken for left.
    pub(crate) in_hand: Arc<InHand>,
    /// The runs that this process works on.
    pub(crate) drivers: Arc<Drivers>,
    /// The place of the last event that this process told.
    pub(crate) told: Arc<watch::Sender<u64>>,
    /// What its sweeps are told.
    pub(crate) lookout: Arc<Lookout>,
    /// What it is among those that share the work.
    pub(crate) part: Arc<Part>,
    /// The workflows of these runs.
    pub(crate) versions: Arc<Versions>,
    /// A place for each agent that may be at work.
    pub(crate) slots: Arc<Semaphore>,
    /// Held by who keeps the leases of this process, however many runs are driven in it.
    pub(crate) heart: Arc<tokio::sync::Mutex<()>>,
    /// The snapshots of workspaces that this process keeps for others.
    pub(crate) sharing: Arc<Sharing>,
    /// Held while user ids are chosen, so that no two agents get one.
    pub(crate) promised_uids: Arc<Promised>,
    /// Told by who leaves something of deleted runs to who keeps the store tidy.
    pub(crate) untidy: Arc<Notify>,
    /// Nothing is written: the first commit is tried, and refused with what was to be written.
    pub(crate) is_dry_run: bool,
}

impl Coordinator {
    /// An engine of this process. Leases are held under a new node id.
    #[must_use]
    pub fn new(parts: Parts, options: Options) -> Self {
        let node = NodeId::from_uuid(parts.ids.uuid());
        let slots = options.at_once.clamp(1, Semaphore::MAX_PERMITS);
        let slots = Arc::new(Semaphore::new(slots));
        Self {
            parts: Arc::new(parts),
            options: Arc::new(options),
            node,
            crew: Arc::default(),
            in_hand: Arc::default(),
            drivers: Arc::default(),
            told: Arc::new(watch::Sender::new(0)),
            lookout: Arc::default(),
            part: Arc::default(),
            versions: Arc::default(),
            heart: Arc::default(),
            sharing: Arc::default(),
            promised_uids: Arc::default(),
            untidy: Arc::default(),
            is_dry_run: false,
            slots,
        }
    }

    /// The providers that it asks.
    #[must_use]
    pub fn providers(&self) -> &Registry {
        &self.parts.providers
    }

    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment {
            now: self.parts.clock.now(),
            ids: self.parts.ids.as_ref(),
        }
    }

    /// The folder that a workspace lies in.
    pub(crate) fn workspaces_of(&self, workspace: &Workspace) -> Workspaces {
        let root = Path::new(&workspace.root_path)
            .parent()
            .unwrap_or(&self.options.workspaces_root);
        Workspaces::new(fusion_workspaces::Options {
            root: root.to_path_buf(),
            owners: self.options.owners.clone(),
        })
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease {
            owner: self.node,
            duration: self.options.lease,
        }
    }

    /// Commits a batch, then tells the bus. The bus may lose it: who listens also looks.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        self.commit_and_hear(batch).await.map(|_| ())
    }

    /// The same, with what the store says back.
    pub(crate) async fn commit_and_hear(&self, batch: Batch) -> Result<Committed> {
        self.commit_and_tell(batch, |seq| seq.to_string()).await
    }

    /// The same for what a worker of a run wrote: the run's driver in this process need not look, for it
    /// hears when the worker is done.
    pub(crate) async fn commit_work(&self, batch: Batch) -> Result<()> {
        self.commit_as_worker(batch).await.map(|_| ())
    }

    /// The same, with what the store says back.
    pub(crate) async fn commit_as_worker(&self, batch: Batch) -> Result<Committed> {
        self.commit_and_tell(batch, |seq| format!("{seq}{}", self.mark()))
            .await
    }

    /// The same for a message whose sender takes it up right after: the host of this process need not.
    pub(crate) async fn commit_mail(&self, batch: Batch) -> Result<()> {
        self.commit_and_tell(batch, |seq| format!("{seq}{}", self.mark_of_mail()))
            .await
            .map(|_| ())
    }

    /// Whether a hint tells of a message that its sender in this process takes up.
    pub(crate) fn is_taken_up(&self, payload: &[u8]) -> bool {
        payload.ends_with(self.mark_of_mail().as_bytes())
    }

    fn mark_of_mail(&self) -> String {
        format!(" {} takes it up", self.node)
    }

    /// Whether a hint tells of the work of this process alone.
    pub(crate) fn is_own_work(&self, payload: &[u8]) -> bool {
        payload.ends_with(self.mark().as_bytes())
    }

    fn mark(&self) -> String {
        format!(" {}", self.node)
    }

    async fn commit_and_tell(
        &self,
        mut batch: Batch,
        tell: impl Fn(u64) -> String,
    ) -> Result<Committed> {
        if self.is_dry_run {
            return self.try_only(batch).await;
        }
        let topics = batch.decision.subjects();
        let free = self.reserve_runs(&mut batch.decision);
        let guard = batch.guard;
        let tells = !batch.decision.events.is_empty();
        let committed = self.parts.store.commit(batch).await;
        let committed = committed.inspect_err(|error| self.note_refusal(guard, error))?;
        if tells {
            self.told.send_replace(committed.last_seq);
        }
        for run in free {
            self.hint_free(run);
        }
        let payload: Arc<[u8]> = tell(committed.last_seq).into_bytes().into();
        for topic in topics {
            self.publish(&topic, &payload);
        }
        Ok(committed)
    }

    /// Finds out whether a batch could be written.
    async fn try_only(&self, batch: Batch) -> Result<Committed> {
        let decision = Box::new(batch.decision.clone());
        match self.parts.store.commit(batch.dry_run()).await {
            Err(StoreError::DryRun) => Err(Error::DryRun(decision)),
            other => Ok(other?),
        }
    }

    /// Says on the bus that there is something to look for.
    pub(crate) fn hint(&self, topic: &str) {
        self.publish(topic, &Arc::from([]));
    }

    pub(crate) fn publish(&self, topic: &str, payload: &Arc<[u8]>) {
        match topic.parse::<Subject>() {
            Ok(subject) => self.parts.bus.publish(&subject, Arc::clone(payload)),
            Err(error) => tracing::warn!(%error, topic, "an event's topic is not a subject"),
        }
    }
}

/// Runs blocking work off the runtime's threads.
pub(crate) async fn off_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::Broken(format!("blocking work broke off: {error}")))
}
