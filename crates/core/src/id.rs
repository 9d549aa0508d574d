//! Typed ids. Each is a UUIDv7 (RFC 9562), so ids of one kind sort by the time they were made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no {kind} id: an id is a UUID such as 019ab3c4-0000-7000-8000-000000000000")]
pub struct IdFault {
    kind: &'static str,
    text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Gives a UUID its type. The UUID comes from an [`IdSource`](crate::IdSource) or from the store.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, for the store and the wire.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdFault;

            fn from_str(text: &str) -> Result<Self, IdFault> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|_| IdFault { kind: $kind, text: text.to_owned() })
            }
        }
    )*};
}

ids! {
    /// Names an agent for its whole life; never used again.
    AgentId = "agent";
    /// Names a webhook.
    WebhookId = "webhook";
    /// Names one attempt to deliver an event to a webhook.
    WebhookAttemptId = "webhook delivery";
    /// Names a schedule.
    ScheduleId = "schedule";
    /// Names a token of the API.
    ApiTokenId = "API token";
    /// Names a question to a person.
    ApprovalId = "approval";
    /// Names an entry of the capability registry.
    CapabilityId = "capability";
    /// Names an event; its place in the log is `Event::seq`.
    EventId = "event";
    /// Names one entry of a task's journal.
    JournalEntryId = "journal entry";
    /// Names a message between agents.
    MessageId = "message";
    /// Names one sample of resource use.
    MetricsId = "metrics";
    /// Names one start of one process; leases are held under it.
    NodeId = "node";
    /// Names a project.
    ProjectId = "project";
    /// Names a configured provider.
    ProviderId = "provider";
    /// Names one execution of a workflow.
    RunId = "run";
    /// Names a task.
    TaskId = "task";
    /// Names one version of a workflow definition.
    WorkflowId = "workflow";
    /// Names a workspace.
    WorkspaceId = "workspace";
}
