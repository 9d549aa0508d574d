//! The resources of the HTTP API, in the shapes that its clients rely on.
//!
//! Ids are UUIDs as text, and the names of fields are those of the stored entities. Lists are
//! pages: `total` counts what the filter selects, `next_cursor` asks for the page after this one and
//! is `null` on the last.

mod agent;
mod cost;
mod event;
mod event_csv;
mod health;
mod message;
mod node;
mod problem;
mod project;
mod provider;
mod schedule;
mod spending;
mod task;
mod token;
mod top;
mod webhook;
mod workflow;

pub use agent::{
    Agent, AgentAction, AgentConfig, AgentLogs, AgentMetrics, AgentPage, AgentsMade, BulkAgents,
    BulkAnswer, BulkResult, LogEntry, MetricsSample, NewAgent, NewAgents, NewWorkspace,
};
pub use cost::{CostLine, CostReport, CostSum};
pub use event::{Delta, DeltaKind, Event, EventPage, Frame};
pub use event_csv::plain_json;
pub use health::{Check, Health, Readiness};
pub use message::{Message, MessageDetail, MessagePage, NewMessage};
pub use node::{ServerNode, ServerNodeList};
pub use problem::{Fault, ProblemBody};
pub use project::{
    Capability, CapabilityChanges, CapabilityPage, NewCapability, NewProject, Project,
    ProjectChanges, ProjectLimits, ProjectPage,
};
pub use provider::{NewProvider, Provider, ProviderChanges, ProviderPage, RateLimits};
pub use schedule::{NewSchedule, Schedule, ScheduleChanges, SchedulePage};
pub use spending::{BudgetUse, ProjectDetail, ProjectSpending, WorkflowSpending};
pub use task::{
    Approval, ApprovalPage, ApproveRequest, BulkTaskFilter, BulkTasks, NewTask, NewTasks,
    RejectRequest, Task, TaskBulkAnswer, TaskBulkResult, TaskChanges, TaskDetail, TaskLine,
    TaskPage, TaskRetry, TaskTree, TaskWaitReason,
};
pub use token::{NewSession, NewToken, SignInCode, Ticket, Token, TokenMade, TokenPage};
pub use top::{Sampled, SampledTotal, TopLine, TopReport};
pub use webhook::{
    NewWebhook, Webhook, WebhookChanges, WebhookDelivery, WebhookDeliveryPage, WebhookMade,
    WebhookPage, WebhookTest,
};
pub use workflow::{
    Dag, Edge, ForkRun, NewDag, NewWorkflow, NextVersion, Node, PauseRun, ResumeRun, RetryRun,
    RunPage, RunStarted, RunsCancelled, StartWorkflow, Validation, Workflow, WorkflowPage,
};
