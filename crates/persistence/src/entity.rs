//! The entities of the store: what names each and what selects among them.

use std::fmt::{Debug, Display};

use fusion_core::{
    Agent, AgentId, ApiToken, ApiTokenId, Approval, ApprovalId, Capability, CapabilityId,
    JournalEntry, JournalEntryId, Message, MessageId, MetricsId, Project, ProjectId,
    ProviderConfig, ProviderId, ResourceMetrics, RowKind, Run, RunId, Schedule, ScheduleId, Task,
    TaskId, Webhook, WebhookAttempt, WebhookAttemptId, WebhookId, Workflow, WorkflowId, Workspace,
    WorkspaceId,
};

use crate::filter::{
    AgentFilter, ApprovalFilter, CapabilityFilter, JournalFilter, MessageFilter, MetricsFilter,
    ProjectFilter, ProviderFilter, RunFilter, ScheduleFilter, TaskFilter, TokenFilter,
    WebhookAttemptFilter, WebhookFilter, WorkflowFilter, WorkspaceFilter,
};

/// Something that is stored under an id of its own.
pub trait Entity: Debug + Send + Sync + Sized + 'static {
    /// Names one.
    type Id: Identifies<Entity = Self>;
    /// Selects some.
    type Filter: Selects<Entity = Self>;
    /// Its name in messages.
    const NAME: &'static str;
}

/// An id that says which entity it names, so that `store.get(id)` needs no other hint.
pub trait Identifies: Copy + Debug + Display + PartialEq + Send + Sync + 'static {
    /// What it names.
    type Entity: Entity<Id = Self>;
}

/// A filter that says which entity it selects, so that `store.list(&filter, page)` needs no other hint.
/// An empty filter selects all; several conditions must all hold; of several values one must.
pub trait Selects: Debug + Default + Clone + PartialEq + Send + Sync + 'static {
    /// What it selects.
    type Entity: Entity<Filter = Self>;
}

/// An entity whose rows can be deleted. The others end by their state and stay as history.
pub trait Deletable: Entity {
    /// Its kind of row.
    const KIND: RowKind;
}

macro_rules! entities {
    ($($entity:ident, $id:ident, $filter:ident = $name:literal;)*) => {$(
        impl Entity for $entity {
            type Id = $id;
            type Filter = $filter;
            const NAME: &'static str = $name;
        }

        impl Identifies for $id {
            type Entity = $entity;
        }

        impl Selects for $filter {
            type Entity = $entity;
        }
    )*};
}

entities! {
    Agent, AgentId, AgentFilter = "agent";
    ApiToken, ApiTokenId, TokenFilter = "API token";
    Approval, ApprovalId, ApprovalFilter = "approval";
    Capability, CapabilityId, CapabilityFilter = "capability";
    JournalEntry, JournalEntryId, JournalFilter = "journal entry";
    Message, MessageId, MessageFilter = "message";
    Project, ProjectId, ProjectFilter = "project";
    ProviderConfig, ProviderId, ProviderFilter = "provider";
    ResourceMetrics, MetricsId, MetricsFilter = "metrics sample";
    Run, RunId, RunFilter = "run";
    Schedule, ScheduleId, ScheduleFilter = "schedule";
    Task, TaskId, TaskFilter = "task";
    Webhook, WebhookId, WebhookFilter = "webhook";
    WebhookAttempt, WebhookAttemptId, WebhookAttemptFilter = "webhook delivery";
    Workflow, WorkflowId, WorkflowFilter = "workflow";
    Workspace, WorkspaceId, WorkspaceFilter = "workspace";
}

macro_rules! deletable {
    ($($entity:ident = $kind:ident;)*) => {$(
        impl Deletable for $entity {
            const KIND: RowKind = RowKind::$kind;
        }
    )*};
}

deletable! {
    ApiToken = ApiToken;
    Capability = Capability;
    Project = Project;
    ProviderConfig = Provider;
    Schedule = Schedule;
    Webhook = Webhook;
    Workflow = Workflow;
    Workspace = Workspace;
}
