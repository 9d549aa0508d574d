//! All that the port shows of a store.

use fusion_core::{
    Agent, ApiToken, Approval, Capability, Event, JournalEntry, Message, OutboxEntry, Project,
    ProviderConfig, ResourceMetrics, Run, Schedule, Task, Webhook, WebhookAttempt, Workflow,
    Workspace,
};
use fusion_persistence::{EventFilter, EventReader, Find, OutboxReader, Page, Remembered, Selects};
use fusion_persistence_sql::SqlStore;
use serde::Serialize;

/// Every row, as the values of the port.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Everything {
    pub(crate) providers: Vec<ProviderConfig>,
    pub(crate) projects: Vec<Project>,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) workflows: Vec<Workflow>,
    pub(crate) runs: Vec<Run>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) workspaces: Vec<Workspace>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) entries: Vec<JournalEntry>,
    pub(crate) approvals: Vec<Approval>,
    pub(crate) messages: Vec<Message>,
    pub(crate) metrics: Vec<ResourceMetrics>,
    pub(crate) tokens: Vec<ApiToken>,
    #[serde(skip)]
    pub(crate) schedules: Vec<Schedule>,
    #[serde(skip)]
    pub(crate) webhooks: Vec<Webhook>,
    #[serde(skip)]
    pub(crate) attempts: Vec<WebhookAttempt>,
    pub(crate) events: Vec<Event>,
    pub(crate) outbox: Vec<OutboxEntry>,
    #[serde(skip)]
    pub(crate) remembered: Option<Remembered>,
}

async fn all<F: Selects>(store: &SqlStore) -> Vec<F::Entity>
where
    SqlStore: Find<F::Entity>,
{
    store
        .page(&<_>::default(), Page::first(10_000))
        .await
        .unwrap()
}

impl Everything {
    pub(crate) async fn of(store: &SqlStore) -> Self {
        use fusion_persistence as port;
        let everything = EventFilter::default();
        let oldest = match store.events_after(&everything, 0, 1).await {
            Err(port::Error::Gone { oldest }) => oldest - 1,
            _ => 0,
        };
        let (providers, projects, capabilities, workflows, runs, agents, workspaces) = tokio::join!(
            all::<port::ProviderFilter>(store),
            all::<port::ProjectFilter>(store),
            all::<port::CapabilityFilter>(store),
            all::<port::WorkflowFilter>(store),
            all::<port::RunFilter>(store),
            all::<port::AgentFilter>(store),
            all::<port::WorkspaceFilter>(store),
        );
        let (tasks, entries, approvals, messages, metrics, tokens) = tokio::join!(
            all::<port::TaskFilter>(store),
            all::<port::JournalFilter>(store),
            all::<port::ApprovalFilter>(store),
            all::<port::MessageFilter>(store),
            all::<port::MetricsFilter>(store),
            all::<port::TokenFilter>(store),
        );
        let (webhooks, attempts) = tokio::join!(
            all::<port::WebhookFilter>(store),
            all::<port::WebhookAttemptFilter>(store),
        );
        let (schedules, events, outbox, remembered) = tokio::join!(
            all::<port::ScheduleFilter>(store),
            store.events_after(&everything, oldest, 10_000),
            store.outbox_after(0, 10_000),
            store.remembered("scope", "key"),
        );
        Self {
            providers,
            projects,
            capabilities,
            workflows,
            runs,
            agents,
            workspaces,
            tasks,
            entries,
            approvals,
            messages,
            metrics,
            tokens,
            schedules,
            webhooks,
            attempts,
            events: events.unwrap(),
            outbox: outbox.unwrap(),
            remembered: remembered.unwrap(),
        }
    }
}
