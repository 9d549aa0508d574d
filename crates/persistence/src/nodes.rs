//! Nodes and the leases under which they drive runs.

use std::time::Duration;

use async_trait::async_trait;
use fusion_core::{NamedSnapshot, Node, NodeId, NodeState, RunId, TaskId, Timestamp, WorkspaceId};

use crate::{Lease, Result};

/// Proof of the right to drive a run: the number that taking it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFence {
    /// The run.
    pub run: RunId,
    /// Who took it.
    pub owner: NodeId,
    /// Rises each time that the run is taken.
    pub number: u64,
}

/// Which runs are taken. A run that has ended, is held by a person or is a task of its own is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Runs that nobody drives and that do not rest, the oldest first; at most so many.
    Free(u32),
    /// Those of these that nobody drives and that do not rest.
    These(Vec<RunId>),
    /// This run, when nobody else drives it, also while it rests.
    This(RunId),
}

/// A request for runs to drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeRuns {
    /// Which.
    pub wanted: Wanted,
    /// Who asks, and for how long without an extension.
    pub lease: Lease,
}

/// A change about nodes and what they hold. It is written as any other commit, but tells no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeChange {
    /// A process begins. The answer is its epoch; the epoch and the times in the value do not count.
    Register(Node),
    /// A node goes over to a state; gives 1, or 0 for one that is unknown or down already.
    State {
        /// The node.
        id: NodeId,
        /// The new state.
        state: NodeState,
    },
    /// A node is dead: its leases run out now, and it is down. Gives 1, or 0 for one that is down already.
    Expire(NodeId),
    /// A process that never served ended: its row goes away.
    Forget(NodeId),
    /// The driver of a run gives it up; nobody takes it before `rest` is over, but for a person. Gives
    /// 0 when it was lost before.
    Release {
        /// The driver's right.
        fence: RunFence,
        /// From the commit on.
        rest: Duration,
    },
    /// A node gives all its runs up; gives how many.
    ReleaseAll(NodeId),
    /// Rows of nodes that have been down since before this go away; gives how many.
    Prune(Timestamp),
}

/// What a node holds, after its leases were prolonged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Tasks.
    pub tasks: u64,
    /// Runs.
    pub runs: u64,
}

/// A node as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSeen {
    /// Its row.
    pub node: Node,
    /// Runs under its leases.
    pub runs: u32,
    /// Tasks under its leases.
    pub tasks: u32,
    /// How long ago it kept its leases, by the clock of the database.
    pub silent_for: Duration,
    /// Whether its sign of life at the database is there: a process that was killed has none within
    /// moments. `None` where the database knows of no such sign.
    pub shows_life: Option<bool>,
}

/// What there is to do for nodes, in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The nodes that are not down, in the order in which they began.
    pub nodes: Vec<NodeSeen>,
    /// Runs that nobody drives and that do not rest.
    pub free_runs: u32,
    /// There are tasks whose lease has run out.
    pub has_lost_tasks: bool,
    /// How long the database has been up: just after its start, nobody could keep a lease or show life.
    pub up_for: Duration,
    /// What sweeps would find, where that was asked for too.
    pub due: Option<Due>,
}

/// What sweeps would find: each is true when its sweep has something to do, by the clock of the database. A
/// sweep that finds nothing does no harm, so that in doubt it is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is about a sweep of its own, and any of them may be due at the same time"
)]
pub struct Due {
    /// A task is leased to somebody.
    pub leased_tasks: bool,
    /// The lease of a task has run out.
    pub lost_tasks: bool,
    /// A run has not ended, and no person holds it. Tasks of their own do not count.
    pub open_runs: bool,
    /// A question that nobody answered in time.
    pub approvals: bool,
    /// A message that nobody will read: it ran out, or its recipient has ended.
    pub dead_mail: bool,
    /// A standing agent that is idle has a message.
    pub mail: bool,
    /// An agent is half made, or half ended.
    pub half_done_agents: bool,
    /// The pool has a task whose time has come, or one that waits for others.
    pub pool: bool,
    /// A standing agent is at work, perhaps on nothing.
    pub standing_at_work: bool,
    /// A schedule.
    pub schedules: bool,
    /// A webhook is behind the event log.
    pub webhooks: bool,
}

impl Due {
    /// Nothing is due.
    pub const NOTHING: Self = Self::of(false);

    /// Nobody looked: anything may be due.
    pub const ALL: Self = Self::of(true);

    const fn of(is_due: bool) -> Self {
        Self {
            leased_tasks: is_due,
            lost_tasks: is_due,
            open_runs: is_due,
            approvals: is_due,
            dead_mail: is_due,
            mail: is_due,
            half_done_agents: is_due,
            pool: is_due,
            standing_at_work: is_due,
            schedules: is_due,
            webhooks: is_due,
        }
    }
}

/// One lease of a task that ran out before its worker was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The task.
    pub task: TaskId,
    /// Who held it.
    pub node: Option<NodeId>,
    /// What that one was called.
    pub node_name: Option<String>,
    /// When it was taken back, by the clock of the database.
    pub at: Timestamp,
}

/// Reads nodes and leases.
#[async_trait]
pub trait NodeReader {
    /// What there is to do for nodes, in one statement; with what sweeps would find, when that is wanted.
    ///
    /// # Errors
    /// The store fails.
    async fn outlook(&self, with_due: bool) -> Result<Outlook>;

    /// What sweeps would find, in one statement.
    ///
    /// # Errors
    /// The store fails.
    async fn due(&self) -> Result<Due>;

    /// All nodes that are known, the newest first; at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    async fn nodes(&self, limit: u32) -> Result<Vec<NodeSeen>>;

    /// The runs that a node drives.
    ///
    /// # Errors
    /// The store fails.
    async fn runs_of_node(&self, node: NodeId) -> Result<Vec<RunFence>>;

    /// The leases on a task that ran out before its worker was done, the oldest first.
    ///
    /// # Errors
    /// The store fails.
    async fn losses(&self, task: TaskId) -> Result<Vec<Loss>>;

    /// What is kept of a workspace where other machines find it; `None` where that was never said.
    ///
    /// # Errors
    /// The store fails.
    async fn snapshot_of(&self, workspace: WorkspaceId) -> Result<Option<NamedSnapshot>>;
}
