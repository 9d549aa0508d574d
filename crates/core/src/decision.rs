//! What a rule decides: rows to write and events to append, all or nothing.

use crate::{
    Agent, AgentId, EventId, EventType, JournalEntry, Moment, NewEvent, Run, RunId, Severity, Task,
    TaskId, Usage, Workflow, Workspace,
};

/// One change of the store.
///
/// `Create` and `Update` hold whole rows; an update is refused when the row has moved on
/// since it was read. The others are relative, so that many writers can hit one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new version of a workflow definition.
    CreateWorkflow(Workflow),
    /// A new run.
    CreateRun(Run),
    /// A run as it is now. Its usage and its count of open tasks are not written: they are relative.
    UpdateRun(Run),
    /// A new agent.
    CreateAgent(Agent),
    /// An agent as it is now.
    UpdateAgent(Agent),
    /// A new workspace.
    CreateWorkspace(Workspace),
    /// A workspace as it is now.
    UpdateWorkspace(Workspace),
    /// A new task, with its edges.
    CreateTask(Task),
    /// A task as it is now. Its usage, lease, fence and count of unmet dependencies are not written.
    UpdateTask(Task),
    /// Take one unmet dependency off every task that waits for this one.
    ReleaseSuccessors(TaskId),
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
    /// The intent of an effect, before it is started.
    BeginEntry(JournalEntry),
    /// The outcome of an effect, or its next attempt.
    UpdateEntry(JournalEntry),
}

/// Changes and events that belong together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// What to write, in this order.
    pub changes: Vec<Change>,
    /// What to append to the event log, in this order.
    pub events: Vec<NewEvent>,
}

impl Decision {
    /// Adds everything of another decision, after what is there.
    pub fn merge(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.events.extend(other.events);
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
            message_queue_topic: Some(format!("workflow.{run_id}.events")),
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
