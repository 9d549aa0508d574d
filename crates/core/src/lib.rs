//! The vocabulary and the rules of fusion-kit.
//!
//! Everything here is a value or a pure function: no async, no IO, no clock, no randomness.
//! Time and ids come in as arguments, so that a rule gives the same answer in a test, in a
//! simulation and in a replay of the event log.

mod account;
mod address;
mod agent;
mod approval;
mod audit;
mod budget;
mod capability;
mod clock;
mod code;
mod decision;
mod definition;
mod event;
mod flow;
mod graph;
mod id;
mod journal;
mod label;
mod message;
mod metrics;
mod nearest;
mod node;
mod outbox;
mod project;
mod provider;
mod row;
mod run;
mod sandbox;
mod schedule;
mod sealed;
mod subject;
mod task;
mod token;
mod transition;
mod usage;
mod webhook;
mod workflow;
mod workspace;

pub use account::{Account, CallEnd, Reservation, Spent};
pub use address::is_public;
pub use agent::{Agent, AgentState, PauseAt};
pub use approval::{Approval, ApprovalState, Question};
pub use audit::{Actor, asked_again, limited};
pub use budget::{Budget, Fit, Held, WorstCase};
pub use capability::{Capability, CapabilitySet};
pub use clock::{Clock, IdSource, Moment, Timestamp};
pub use code::{Coded, ErrorCode, error_chain};
pub use decision::{Change, Decision, run_subject};
pub use definition::{
    AgentSpec, ApprovalSpec, Assignee, Backoff, CallSpec, CommandSpec, DEFAULT_MAX_TURNS,
    DEFAULT_TIMEOUT_SECONDS, ForeachSpec, InputFault, InputSpec, InputType, Member, ModelChoice,
    OnExpiry, OnFailure, OnMax, Reference, ReferenceFault, RepeatSpec, RetrySpec, Seat, StepSpec,
    StuckSpec, ToolGroup, WorkflowDefinition, WorkspaceSpec, is_internal,
};
pub use event::{Event, EventType, NewEvent, Severity};
pub use flow::FlowRule;
pub use graph::{GraphFault, TaskGraph};
pub use id::{
    AgentId, ApiTokenId, ApprovalId, CapabilityId, EventId, IdFault, JournalEntryId, MessageId,
    MetricsId, NodeId, ProjectId, ProviderId, RunId, ScheduleId, TaskId, WebhookAttemptId,
    WebhookId, WorkflowId, WorkspaceId,
};
pub use journal::{COMMAND_ENTRY, EffectClass, EntryKind, EntryState, JournalEntry, WITHOUT_PRICE};
pub use label::{MAX_LABEL, is_label};
pub use message::{
    Audience, Delivery, DeliveryStatus, Draft, EVERYONE, Letter, MAX_MESSAGE_TYPE_BYTES,
    MAX_PAYLOAD_BYTES, MAX_PAYLOAD_DEPTH, MAX_RECIPIENTS, Message, MessageFault, MessageLimits,
    Outcome, PayloadFault, Settlement, TOPIC_OF_EVERYONE, Undelivered, deliver, inbox_subject,
    payload_from_json, settle_undelivered,
};
pub use metrics::{MetricsStep, MetricsSteps, ResourceMetrics, TopBy, TopPer, to_three_places};
pub use nearest::nearest;
pub use node::{Load, Node, NodeRole, NodeState};
pub use outbox::{NewOutboxEntry, OutboxEntry};
pub use project::Project;
pub use provider::{AuthType, ProviderConfig, RateLimits};
pub use row::{Row, RowKind};
pub use run::{
    Continuation, Difference, Halt, HaltKind, IMPORTED, Imported, Parent, Raise, Run, RunPlan,
    Unlike,
};
pub use sandbox::{LimitsSpec, NetworkAccess, SandboxSpec};
pub use schedule::{Occurrence, Overlap, Schedule};
pub use sealed::Sealed;
pub use subject::{MAX_SUBJECT_BYTES, SubjectFault, check_subject, reserved_part};
pub use task::{
    AGEING, Again, CancelReason, Course, DELAYED, Item, Orphans, Pool, PoolHead, PoolQueue,
    PoolTask, Recovered, Recovery, Task, TaskState, TaskWait, handed_files, is_files, is_hash,
    named_files,
};
pub use token::{ApiToken, TokenScope};
pub use transition::{IllegalTransition, StateMachine};
pub use usage::{Cost, CostBy, CostFault, Usage};
pub use webhook::{
    WEBHOOK_LEASE, WEBHOOK_PATIENCE, WEBHOOK_SECRET_OVERLAP, Webhook, WebhookAttempt, WebhookLease,
    WebhookOutcome, WebhookSecrets, WebhookState, WebhookTrouble,
};
pub use workflow::{Workflow, WorkflowState};
pub use workspace::{Disposal, NamedSnapshot, Workspace};
