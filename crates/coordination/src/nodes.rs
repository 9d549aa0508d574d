//! Several processes on one store: how each takes part, and what each is told of the others.
//!
//! A process is a node. It drives runs under leases of their own (`leases.rs`), of which it takes its
//! share (`share.rs`), keeps all its leases with one heartbeat and stops by itself when it could not
//! (`hold.rs`), and looks once a second for what dead nodes left (`watch.rs`). A process that owns its
//! store is none, and nothing of this costs it anything.

mod hold;
mod host;
mod leases;
mod poison;
mod share;
mod watch;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fusion_core::{Node, NodeId, NodeRole, NodeState, RunId, error_chain};
use fusion_persistence::{NodeChange, NodeSeen};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::delegation::Floor;
use crate::{Coordinator, Error, Result};

pub(crate) use host::{Neighbours, NodeCall, NodeEars};

use hold::Hold;
use leases::Driving;
use share::Share;

/// Says that a run is there that nobody drives: `run.{id}.free`.
pub(crate) const FREE: &str = "run.*.free";

/// How long telling the others may take.
const TOLD_WITHIN: Duration = Duration::from_secs(1);

/// How long nodes that ended stay in the list.
const KEPT: Duration = Duration::from_hours(24);

/// Nodes that a list has at most.
const LISTED: u32 = 1_000;

/// How this process takes part in the work on a store that several share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeOptions {
    /// What people call it.
    pub name: String,
    /// Which fusion-kit it runs.
    pub version: String,
    /// What it is there for. One that is no worker takes no runs.
    pub roles: BTreeSet<NodeRole>,
    /// Runs that it drives at once.
    pub capacity: u32,
}

/// What this process is as a node.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// How long it may believe in its leases.
    hold: Hold,
    /// The runs that it drives.
    pub(crate) driving: Driving,
    /// It takes runs that it did not make.
    is_hosting: AtomicBool,
    has_hosted: AtomicBool,
    closing: Mutex<CancellationToken>,
}

impl Part {
    /// A poisoned lock still holds a whole token.
    fn locked(&self) -> MutexGuard<'_, CancellationToken> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes runs that it did not make.
    pub(crate) fn is_hosting(&self) -> bool {
        self.is_hosting.load(Ordering::Acquire)
    }

    /// Whether it takes or took such runs.
    pub(crate) fn has_hosted(&self) -> bool {
        self.has_hosted.load(Ordering::Acquire)
    }

    /// From now on it takes runs that others made, or it does not any more.
    pub(crate) fn host(&self, is_hosting: bool) {
        self.is_hosting.store(is_hosting, Ordering::Release);
        self.has_hosted.fetch_or(is_hosting, Ordering::AcqRel);
    }
}

impl Coordinator {
    /// Writes this process down as a node, where it is one; gives its epoch.
    ///
    /// # Errors
    /// The store fails.
    pub async fn begin_node(&self) -> Result<Option<u64>> {
        let Some(options) = &self.options.node else {
            return Ok(None);
        };
        let now = self.parts.clock.now();
        let node = Node {
            id: self.node,
            epoch: 0,
            name: options.name.clone(),
            version: options.version.clone(),
            roles: options.roles.clone(),
            capacity: options.capacity,
            state: NodeState::Up,
            started_at: now,
            last_seen: now,
        };
        let sent = self.parts.clock.elapsed();
        let epoch = self.parts.store.change_node(NodeChange::Register(node));
        let epoch = epoch.await?;
        self.part.hold.renew(sent, self.options.lease);
        Ok(Some(epoch))
    }

    /// This process ends: others take what it still holds. One that served stays in the list, as down.
    ///
    /// # Errors
    /// The store fails: the leases end by themselves.
    pub async fn end_node(&self) -> Result<()> {
        if self.options.node.is_none() {
            return Ok(());
        }
        let store = &self.parts.store;
        let held = store.runs_of_node(self.node).await?;
        store.change_node(NodeChange::ReleaseAll(self.node)).await?;
        let change = if self.part.has_hosted() {
            NodeChange::State {
                id: self.node,
                state: NodeState::Down,
            }
        } else {
            NodeChange::Forget(self.node)
        };
        store.change_node(change).await?;
        for fence in held {
            self.hint_free(fence.run);
        }
        Ok(())
    }

    /// All nodes that are known, the newest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn nodes(&self) -> Result<Vec<NodeSeen>> {
        Ok(self.parts.store.nodes(LISTED).await?)
    }

    /// Tells a node to end what it has begun, to give the rest back and to take nothing new.
    ///
    /// # Errors
    /// There is no such node, it is down, or the store fails.
    pub async fn drain_node(&self, id: NodeId) -> Result<NodeSeen> {
        let change = NodeChange::State {
            id,
            state: NodeState::Draining,
        };
        let written = self.parts.store.change_node(change).await?;
        let known = self.nodes().await?;
        let Some(seen) = known.into_iter().find(|seen| seen.node.id == id) else {
            return Err(fusion_persistence::Error::NotFound {
                entity: "node",
                id: id.to_string(),
            }
            .into());
        };
        if written == 0 {
            return Err(Error::NodeDown {
                node: seen.node.name,
            });
        }
        self.hint(&format!("node.{id}.drain"));
        Ok(seen)
    }

    /// Tells the others that this node ends what it has begun, unless the store is away.
    pub(crate) async fn tell_draining(&self) {
        if self.options.node.is_none() {
            return;
        }
        let draining = NodeChange::State {
            id: self.node,
            state: NodeState::Draining,
        };
        let told = timeout(TOLD_WITHIN, self.parts.store.change_node(draining)).await;
        if !matches!(told, Ok(Ok(_))) {
            tracing::warn!("nobody could be told that this node drains");
        }
    }

    /// Takes those off the list that ended a day ago.
    pub(crate) async fn forget_old_nodes(&self) {
        if self.options.node.is_none() {
            return;
        }
        let old = NodeChange::Prune(self.parts.clock.now() - KEPT);
        if let Err(error) = self.parts.store.change_node(old).await {
            tracing::warn!(error = error_chain(&error), "old nodes were not forgotten");
        }
    }

    /// Hands out again, after an earlier host of this process ended.
    pub(crate) fn begin_hosting(&self) {
        *self.part.locked() = CancellationToken::new();
        self.crew.open();
        self.part.host(true);
    }

    /// How long what is under way may take to end by itself: a command that a person stops does not wait.
    pub(crate) fn drain_time(&self) -> Duration {
        if self.part.has_hosted() {
            self.options.drain
        } else {
            Duration::ZERO
        }
    }

    /// Says that nothing is handed out any more.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.part.locked().clone()
    }

    /// Nothing is handed out any more, and workers end with the step that they are at.
    pub(crate) fn stop_soon(&self) {
        self.closing().cancel();
        self.crew.close();
    }

    /// Hands out what comes into the pool, where this process is there for work.
    pub(crate) async fn delegate_where_work_is_done(
        &self,
        floor: &mut Floor,
        cancel: &CancellationToken,
    ) {
        if self.is_worker() {
            self.delegate(floor, cancel).await;
        }
    }

    /// Whether it takes runs that others made.
    pub(crate) fn is_worker(&self) -> bool {
        let node = self.options.node.as_ref();
        node.is_none_or(|node| node.roles.contains(&NodeRole::Worker))
    }

    /// Says that nobody drives a run, where there may be somebody else who could.
    pub(crate) fn hint_free(&self, run: RunId) {
        if self.options.node.is_some() {
            self.hint(&format!("run.{run}.free"));
        }
    }
}
