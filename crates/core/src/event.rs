//! Events: the log that alone explains the state.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transition::text_enum;
use crate::{AgentId, EventId, RunId, Timestamp};

text_enum! {
    /// What happened. The closed list of the specification.
    EventType {
        /// An agent is ready in its workspace.
        AgentSpawned = "agent.spawned",
        /// An agent was held.
        AgentPaused = "agent.paused",
        /// An agent goes on.
        AgentResumed = "agent.resumed",
        /// An agent ended for good.
        AgentTerminated = "agent.terminated",
        /// Something of an agent's own broke.
        AgentError = "agent.error",
        /// An agent shows no progress.
        AgentUnresponsive = "agent.unresponsive",
        /// An agent is back after an error or a crash.
        AgentRecovered = "agent.recovered",
        /// A task entered the queue.
        TaskQueued = "task.queued",
        /// A worker holds a lease on a task.
        TaskAssigned = "task.assigned",
        /// A task runs.
        TaskStarted = "task.started",
        /// A task ended well.
        TaskCompleted = "task.completed",
        /// A task ended badly.
        TaskFailed = "task.failed",
        /// A task will never run, or was stopped.
        TaskCancelled = "task.cancelled",
        /// A task went back to the queue.
        TaskRetried = "task.retried",
        /// Another agent took a task over.
        TaskStolen = "task.stolen",
        /// A workflow definition was stored.
        WorkflowCreated = "workflow.created",
        /// A workflow definition was checked.
        WorkflowValidated = "workflow.validated",
        /// A run began.
        WorkflowStarted = "workflow.started",
        /// A run ended well.
        WorkflowCompleted = "workflow.completed",
        /// A run ended badly.
        WorkflowFailed = "workflow.failed",
        /// A run was stopped.
        WorkflowCancelled = "workflow.cancelled",
        /// A person holds a run.
        WorkflowPaused = "workflow.paused",
        /// A person lets a held run go on.
        WorkflowResumed = "workflow.resumed",
        /// A run that had ended is deleted.
        RunDeleted = "run.deleted",
        /// A message was committed.
        MessageSent = "message.sent",
        /// A message entered a turn of its recipient.
        MessageDelivered = "message.delivered",
        /// A message was given up.
        MessageFailed = "message.failed",
        /// A message was not read in time.
        MessageExpired = "message.expired",
        /// A tool call is about to run.
        ToolCalled = "tool.called",
        /// A tool call ended.
        ToolFinished = "tool.finished",
        /// A provider call is tried again.
        ProviderRetry = "provider.retry",
        /// Calls to a provider are held back.
        ProviderCircuitOpened = "provider.circuit_opened",
        /// Calls to a provider go through again.
        ProviderCircuitClosed = "provider.circuit_closed",
        /// A quota is nearly used up.
        ProviderQuotaWarning = "provider.quota_warning",
        /// A budget is used up.
        BudgetExceeded = "budget.exceeded",
        /// A schedule started a run.
        ScheduleFired = "schedule.fired",
        /// A schedule started nothing at an occurrence.
        ScheduleSkipped = "schedule.skipped",
        /// Nobody is to work in a project any more.
        ProjectArchived = "project.archived",
        /// A project takes new work again.
        ProjectUnarchived = "project.unarchived",
        /// A webhook stopped: its receiver takes nothing.
        WebhookFailed = "webhook.failed",
        /// Sent to a webhook that a person tries; never in the log.
        WebhookTest = "webhook.test",
        /// A person is asked.
        ApprovalRequested = "approval.requested",
        /// A person answered.
        ApprovalResolved = "approval.resolved",
        /// A sample was taken.
        MetricsUpdated = "metrics.updated",
        /// Somebody created, updated or deleted a record through the API.
        RecordChanged = "record.changed",
        /// A process owns the data directory.
        SystemStarted = "system.started",
        /// A process gave the data directory up.
        SystemShutdown = "system.shutdown",
        /// A fault of the system itself.
        SystemError = "system.error",
    }
}

text_enum! {
    /// How much an event asks for attention.
    Severity {
        /// For those who look for a fault.
        Debug = "debug",
        /// The normal course.
        Info = "info",
        /// Worth a look.
        Warning = "warning",
        /// Something failed.
        Error = "error",
        /// Everything may fail.
        Critical = "critical",
    }
}

/// An event before the store has given it its place in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Names the event.
    pub id: EventId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What happened.
    pub event_type: EventType,
    /// How much it asks for attention.
    pub severity: Severity,
    /// The agent it is about; `None` is the system.
    pub source_agent_id: Option<AgentId>,
    /// The part of the system that saw it.
    pub source_component: String,
    /// The run it belongs to, when it belongs to one.
    pub run_id: Option<RunId>,
    /// Ids and figures, as a JSON object.
    pub data: Value,
    /// One line for people.
    pub message: String,
    /// The subject it is published under.
    pub message_queue_topic: Option<String>,
}

/// An event in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the log: 1, 2, 3, without gaps, in the order of the commits.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: NewEvent,
}
