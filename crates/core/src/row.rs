//! Rows: the entities that the store creates, updates and deletes whole.

use crate::{
    Agent, ApiToken, Approval, Capability, Project, ProviderConfig, ResourceMetrics, Run, Schedule,
    Task, Webhook, WebhookAttempt, Workflow, Workspace,
};

macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident($entity:ident) = $text:literal;)*) => {
        /// One entity, whole, to be written.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Row {
            $($(#[$doc])* $name(Box<$entity>),)*
        }

        /// A kind of row.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum RowKind {
            $($(#[$doc])* $name,)*
        }

        impl Row {
            /// What kind of row it is.
            #[must_use]
            pub const fn kind(&self) -> RowKind {
                match self {
                    $(Self::$name(_) => RowKind::$name,)*
                }
            }

            /// Its id.
            #[must_use]
            pub fn id(&self) -> uuid::Uuid {
                match self {
                    $(Self::$name(entity) => entity.id.uuid(),)*
                }
            }
        }

        impl RowKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name of the entity, for messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        $(impl From<$entity> for Row {
            fn from(entity: $entity) -> Self {
                Self::$name(Box::new(entity))
            }
        })*
    };
}

rows! {
    /// A worker with a workspace.
    Agent(Agent) = "agent";
    /// A credential of a client of the API.
    ApiToken(ApiToken) = "API token";
    /// A question to a person.
    Approval(Approval) = "approval";
    /// An entry of the capability registry.
    Capability(Capability) = "capability";
    /// A sample of an agent's resource use.
    Metrics(ResourceMetrics) = "metrics sample";
    /// A group of agents and workflows.
    Project(Project) = "project";
    /// A configured provider.
    Provider(ProviderConfig) = "provider";
    /// One execution of a workflow.
    Run(Run) = "run";
    /// A workflow that is started by the clock.
    Schedule(Schedule) = "schedule";
    /// A unit of work.
    Task(Task) = "task";
    /// A receiver of events.
    Webhook(Webhook) = "webhook";
    /// An attempt to deliver an event to one.
    WebhookAttempt(WebhookAttempt) = "webhook delivery";
    /// One version of a workflow definition.
    Workflow(Workflow) = "workflow";
    /// An agent's directory.
    Workspace(Workspace) = "workspace";
}
