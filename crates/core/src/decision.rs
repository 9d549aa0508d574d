//! What a rule decides: rows to write and events to append, all or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use crate::{
    Account, AgentId, CallEnd, EventId, EventType, JournalEntry, Letter, Moment, NamedSnapshot,
    NewEvent, NewOutboxEntry, NodeId, Reservation, Row, RowKind, RunId, Settlement, Severity,
    TaskId, Timestamp, Usage, WorkspaceId, inbox_subject,
};

/// One change of the store.
///
/// `Create` and `Update` hold whole rows; an update is refused when the row has moved on
/// since it was read. The others are relative, so that many writers can hit one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new row.
    Create(Row),
    /// A row as it is now. What other changes count is not written: a run's usage and open tasks;
    /// a task's usage, lease, fence, wait and unmet dependencies.
    Update(Row),
    /// A row that goes away. Refused while another row refers to it.
    Delete {
        /// Its kind.
        kind: RowKind,
        /// Its id.
        id: Uuid,
        /// The version it was read at.
        version: u64,
    },
    /// Take one unmet dependency off every task that waits for this one.
    ReleaseSuccessors(TaskId),
    /// Let the next item of a fan-out begin, where one waits for that.
    ReleaseItem(TaskId),
    /// A queued task waits for so many new tasks, its items, and its run has so many more.
    FanOut {
        /// The run.
        run_id: RunId,
        /// The task that was fanned out.
        task_id: TaskId,
        /// How many items it has.
        count: u32,
    },
    /// Take this many tasks off the open ones of a run.
    CloseTasks {
        /// The run.
        run_id: RunId,
        /// How many of its tasks ended.
        count: u32,
    },
    /// Add to the usage of a task and of its run.
    BookUsage {
        /// The run.
        run_id: RunId,
        /// The task.
        task_id: TaskId,
        /// What was used.
        usage: Usage,
    },
    /// Hold room for a model call in accounts that many runs use up. Refused where it does not fit.
    HoldRoom(Box<Reservation>),
    /// Add to what accounts have used; the room that the task held is given up.
    SettleRoom {
        /// The task.
        task_id: TaskId,
        /// The number of the lease that it was done under.
        fence: u64,
        /// Which accounts.
        accounts: Vec<Account>,
        /// What was used.
        usage: Usage,
        /// How the call ended that the room was for.
        ended: CallEnd,
    },
    /// Let nobody claim a queued task before `wait` is over, by the clock of the database.
    Postpone {
        /// The task.
        task_id: TaskId,
        /// From the commit on.
        wait: Duration,
        /// What is waited for.
        reason: String,
    },
    /// Count anew what a task waits for that was created in this batch: some of it may have ended since it
    /// was read.
    CountDependencies(TaskId),
    /// Let the tasks of the pool be claimed whose wait is over.
    WakePool,
    /// Let the tasks of a run be claimed whose wait is over.
    Wake {
        /// The run.
        run_id: RunId,
        /// Also those whose wait is not over.
        early: bool,
    },
    /// Let a task be claimed that waits, whatever for.
    WakeTask(TaskId),
    /// Says that a process lives that looks after the waiting tasks of a run.
    Watch {
        /// The run.
        run_id: RunId,
        /// Who looks after them.
        owner: NodeId,
        /// For how long, from the commit on, by the clock of the database.
        lease: Duration,
    },
    /// Gives a run that was just created to a process, which drives it from now on.
    Reserve {
        /// The run.
        run_id: RunId,
        /// Who drives it.
        owner: NodeId,
        /// For how long, from the commit on, by the clock of the database.
        lease: Duration,
    },
    /// Agents showed that they get on with what they do. Their rows' versions stay: who has read them
    /// is not disturbed.
    Progress {
        /// Who.
        agents: Vec<AgentId>,
        /// When at the latest.
        at: Timestamp,
    },
    /// What is kept of a workspace as it is with this commit; `None` forgets it.
    NameSnapshot {
        /// The workspace.
        workspace_id: WorkspaceId,
        /// What is kept.
        snapshot: Option<NamedSnapshot>,
    },
    /// The intent of an effect, before it is started.
    BeginEntry(JournalEntry),
    /// The outcome of an effect, or its next attempt.
    UpdateEntry(JournalEntry),
    /// A new message with its deliveries; the store gives it its place in the message log. Refused
    /// when the inbox of a recipient is full.
    SendMessage(Box<Letter>),
    /// A run that has ended goes away, with all runs below it: from the commit on nothing goes on from it,
    /// what its model calls cost is in the books without it, and pruning takes its rows out. Refused while
    /// something that has not ended needs it.
    DeleteRun(RunId),
    /// These files, which deleted runs named, need not be looked for any more, each where it was not noted
    /// again since this noting of it was looked at. It comes after every commit that was under way when it was
    /// asked for.
    ForgetFiles(BTreeMap<String, u64>),
    /// Deliveries end. What has ended already is left as it is and not told again.
    SettleDeliveries(Settlement),
}

impl Change {
    /// A new row.
    pub fn create(entity: impl Into<Row>) -> Self {
        Self::Create(entity.into())
    }

    /// A row as it is now.
    pub fn update(entity: impl Into<Row>) -> Self {
        Self::Update(entity.into())
    }
}

/// Changes and events that belong together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// What to write, in this order.
    pub changes: Vec<Change>,
    /// What to append to the event log, in this order.
    pub events: Vec<NewEvent>,
    /// What to publish, in this order.
    pub outbox: Vec<NewOutboxEntry>,
}

impl Decision {
    /// Adds everything of another decision, after what is there.
    pub fn merge(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.events.extend(other.events);
        self.outbox.extend(other.outbox);
    }

    /// The subjects to publish once this is committed, so that nobody has to wait for his next look:
    /// those of the events, `workflow.{run}.events` for each run that one is about, the inboxes that get a
    /// message, and the runs above or below that an end is waited for in. A task of its own that is made
    /// here has a run that nobody drives, and of which nobody knows as yet: of that nothing is said.
    #[must_use]
    pub fn subjects(&self) -> BTreeSet<String> {
        let mut subjects = BTreeSet::new();
        for event in &self.events {
            subjects.extend(event.message_queue_topic.clone());
            let told = event.run_id.filter(|run| !self.makes_standalone(*run));
            subjects.extend(told.map(run_subject));
        }
        for change in &self.changes {
            if let Change::SendMessage(letter) = change {
                subjects.extend(letter.recipients.iter().copied().map(inbox_subject));
            }
            if let Change::Update(Row::Run(run)) = change {
                subjects.extend(run.heard_above());
            }
            if let Change::Update(Row::Task(task)) = change {
                subjects.extend(task.heard_below());
            }
        }
        subjects
    }

    /// Whether a run is made here for a task of its own.
    fn makes_standalone(&self, id: RunId) -> bool {
        self.changes.iter().any(|change| {
            matches!(change, Change::Create(Row::Run(run)) if run.id == id && run.is_standalone)
        })
    }

    /// Adds a change.
    #[must_use]
    pub fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds an event.
    #[must_use]
    pub fn telling(mut self, event: NewEvent) -> Self {
        self.events.push(event);
        self
    }
}

/// The subject that tells of a run's events.
#[must_use]
pub fn run_subject(run: RunId) -> String {
    format!("workflow.{run}.events")
}

impl NewEvent {
    /// An event of a run, published under `workflow.{run}.events`.
    #[must_use]
    pub fn of_run(
        moment: Moment<'_>,
        event_type: EventType,
        run_id: RunId,
        message: String,
    ) -> Self {
        Self {
            id: EventId::from_uuid(moment.ids.uuid()),
            timestamp: moment.now,
            event_type,
            severity: Severity::Info,
            source_agent_id: None,
            source_component: "coordination".to_owned(),
            run_id: Some(run_id),
            data: serde_json::json!({}),
            message,
            message_queue_topic: Some(run_subject(run_id)),
        }
    }

    /// Names the agent it is about.
    #[must_use]
    pub const fn by(mut self, agent: Option<AgentId>) -> Self {
        self.source_agent_id = agent;
        self
    }

    /// Sets how much it asks for attention.
    #[must_use]
    pub const fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Adds ids and figures.
    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = data;
        self
    }
}
