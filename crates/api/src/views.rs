//! Rows of the store as the wire types show them.

use fusion_api_types::{UsageView, WaitView, api};
use fusion_core::{
    Agent, ApiToken, Approval, Assignee, Capability, CapabilitySet, Event, JournalEntry, Project,
    ProviderConfig, ResourceMetrics, Schedule, Task, Usage, Webhook, WebhookAttempt, Workflow,
    WorkflowDefinition, is_internal,
};
use fusion_persistence::{Entity, NodeSeen};
use serde_json::{Value, json};

use crate::page::Listed;
use crate::webhook_views::{webhook, webhook_delivery};

/// What lists show of a row, and the member that holds the rows.
macro_rules! listed {
    ($($row:ty: $member:literal = $view:ty, $by:expr;)*) => {$(
        impl Listed for $row {
            type View = $view;
            const MEMBER: &'static str = $member;

            fn id(&self) -> <Self as Entity>::Id {
                self.id
            }

            fn view(self) -> Self::View {
                $by(self)
            }
        }
    )*};
}

listed! {
    Agent: "agents" = api::Agent, agent;
    ApiToken: "tokens" = api::Token, |row| token(&row);
    Approval: "approvals" = api::Approval, approval;
    Capability: "capabilities" = api::Capability, capability;
    Project: "projects" = api::Project, project;
    ProviderConfig: "providers" = api::Provider, provider;
    Schedule: "schedules" = api::Schedule, schedule;
    Task: "tasks" = api::Task, task;
    Webhook: "webhooks" = api::Webhook, webhook;
    WebhookAttempt: "deliveries" = api::WebhookDelivery, webhook_delivery;
    Workflow: "workflows" = api::Workflow, |row| workflow(row, false);
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

/// Capabilities but those by which tasks find their agents.
fn shown(capabilities: &CapabilitySet) -> Vec<String> {
    texts(capabilities.iter().filter(|name| !is_internal(name)))
}

pub(crate) fn agent(row: Agent) -> api::Agent {
    let workspace_path = row.workspace_here().unwrap_or_default().to_owned();
    api::Agent {
        id: row.id.to_string(),
        name: row.name,
        state: row.state.to_string(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        last_heartbeat: row.last_heartbeat,
        workspace_path,
        provider: row.provider,
        provider_id: text(row.provider_id),
        model_name: row.model_name,
        capabilities: shown(&row.capabilities),
        metadata: row.metadata,
        message_subscriptions: row.message_subscriptions,
        project_id: text(row.project_id),
        run_id: text(row.run_id),
    }
}

/// What model calls used.
#[must_use]
pub fn usage(usage: Usage) -> UsageView {
    UsageView {
        turns: usage.turns,
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cost_usd: usage.cost.to_string(),
    }
}

/// A node as it is shown.
#[must_use]
pub fn node(seen: NodeSeen) -> api::ServerNode {
    let NodeSeen {
        node, runs, tasks, ..
    } = seen;
    api::ServerNode {
        id: node.id.to_string(),
        name: node.name,
        state: node.state.to_string(),
        roles: texts(node.roles),
        epoch: node.epoch,
        version: node.version,
        capacity: node.capacity,
        runs,
        tasks,
        started_at: node.started_at,
        last_seen: node.last_seen,
    }
}

pub(crate) fn task(row: Task) -> api::Task {
    api::Task {
        id: row.id.to_string(),
        name: row.name,
        description: row.description,
        agent_id: text(row.agent_id),
        priority: row.priority,
        required_capabilities: shown(&row.required_capabilities),
        state: row.state.to_string(),
        queued_at: row.queued_at,
        started_at: row.started_at,
        completed_at: row.completed_at,
        dependencies: texts(row.dependencies),
        input_artifacts: row.input_artifacts,
        output_artifacts: row.output_artifacts,
        error_message: row.error_message,
        cancel_reason: text(row.cancel_reason),
        communication_channels: row.communication_channels,
        workflow_id: text(row.workflow_id),
        run_id: row.run_id.to_string(),
        standalone: row.pool.is_some(),
        project_id: row.pool.and_then(|pool| text(pool.project)),
        demanded: row.pool.is_some_and(|pool| pool.is_demanded),
        waiting: row.waiting.map(|wait| WaitView {
            until: wait.until,
            reason: wait.reason,
        }),
        attempts: row.attempts,
        usage: usage(row.usage),
    }
}

/// The newest of entries that come with the names of their steps, in the order in which they come.
pub(crate) fn newest_logs(mut entries: Vec<(String, JournalEntry)>, most: usize) -> api::AgentLogs {
    let older = entries.len().saturating_sub(most);
    let newest = entries.drain(older..);
    api::AgentLogs {
        logs: newest.map(|(step, entry)| log_entry(step, entry)).collect(),
    }
}

fn log_entry(step: String, row: JournalEntry) -> api::LogEntry {
    api::LogEntry {
        id: row.id.to_string(),
        task_id: row.task_id.to_string(),
        run_id: row.run_id.to_string(),
        step,
        seq: row.seq,
        kind: row.kind.to_string(),
        name: row.name,
        state: row.state.to_string(),
        effect: row.effect.as_str().to_owned(),
        request: row.request,
        outcome: row.outcome,
        attempts: row.attempts,
        tokens: row
            .usage
            .input_tokens
            .saturating_add(row.usage.output_tokens),
        cost_usd: row.usage.cost.to_string(),
        usage: usage(row.usage),
        started_at: row.started_at,
        finished_at: row.finished_at,
    }
}

/// A sample of what an agent used, as the API shows it.
#[must_use]
pub fn sample(row: ResourceMetrics) -> api::MetricsSample {
    api::MetricsSample {
        id: row.id.to_string(),
        agent_id: row.agent_id.to_string(),
        timestamp: row.timestamp,
        cpu_percent: row.cpu_percent,
        memory_mb: row.memory_mb,
        disk_io_read_mb: row.disk_io_read_mb,
        disk_io_write_mb: row.disk_io_write_mb,
        api_calls_count: row.api_calls_count,
        api_provider: row.api_provider,
        api_tokens_used: row.api_tokens_used,
        api_cost_usd: row.api_cost_usd.to_string(),
        samples: 1,
    }
}

/// An event.
#[must_use]
pub fn event(row: Event) -> api::Event {
    let Event { seq, event } = row;
    api::Event {
        seq,
        id: event.id.to_string(),
        timestamp: event.timestamp,
        event_type: event.event_type.to_string(),
        severity: event.severity.to_string(),
        source_agent_id: text(event.source_agent_id),
        source_component: event.source_component,
        run_id: text(event.run_id),
        data: event.data,
        message: event.message,
        message_queue_topic: event.message_queue_topic,
    }
}

/// What model calls for a project may use.
#[must_use]
pub fn project_limits(row: &Project) -> api::ProjectLimits {
    api::ProjectLimits {
        budget_usd: text(row.budget.usd),
        budget_tokens: row.budget.tokens,
        budget_per_day_usd: text(row.budget_per_day.usd),
        budget_per_day_tokens: row.budget_per_day.tokens,
    }
}

/// A project.
#[must_use]
pub fn project(row: Project) -> api::Project {
    let limits = project_limits(&row);
    api::Project {
        id: row.id.to_string(),
        name: row.name,
        description: row.description,
        message_queue_config: row.message_queue_config,
        default_provider_id: text(row.default_provider_id),
        limits,
        archived_at: row.archived_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
        metadata: row.metadata,
    }
}

/// A schedule.
#[must_use]
pub fn schedule(row: Schedule) -> api::Schedule {
    api::Schedule {
        id: row.id.to_string(),
        name: row.name,
        workflow: row.workflow,
        inputs: row.inputs,
        cron: row.cron,
        timezone: row.timezone,
        overlap: row.overlap.to_string(),
        paused: row.is_paused,
        next_at: row.next_at,
        last_at: row.last_at,
        last_run: text(row.last_run),
        last_error: row.last_error,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

/// A capability.
#[must_use]
pub fn capability(row: Capability) -> api::Capability {
    api::Capability {
        id: row.id.to_string(),
        name: row.name,
        description: row.description,
        category: row.category,
        metadata: row.metadata,
        created_at: row.created_at,
    }
}

/// Whether a key is stored is all that is told of it.
pub(crate) fn provider(row: ProviderConfig) -> api::Provider {
    api::Provider {
        id: row.id.to_string(),
        name: row.name,
        api_endpoint: row.api_endpoint,
        auth_type: row.auth_type.to_string(),
        has_credentials: row.credentials.is_some(),
        model_catalog: row.model_catalog,
        rate_limits: api::RateLimits {
            requests_per_minute: row.rate_limits.requests_per_minute,
            tokens_per_minute: row.rate_limits.tokens_per_minute,
        },
        provider_type: row.provider_type,
        custom_adapter: row.custom_adapter,
        created_at: row.created_at,
        enabled: row.enabled,
        metadata: row.metadata,
    }
}

/// A question to a person.
#[must_use]
pub fn approval(row: Approval) -> api::Approval {
    api::Approval {
        id: row.id.to_string(),
        task_id: row.task_id.to_string(),
        run_id: text(row.run_id),
        question: row.question,
        subject: row.subject,
        subject_hash: row.subject_hash,
        requested_by: text(row.requested_by),
        state: row.state.to_string(),
        requested_at: row.requested_at,
        expires_at: row.expires_at,
        resolved_at: row.resolved_at,
        resolved_by: row.resolved_by,
        comment: row.comment,
    }
}

/// A token, without what it is.
#[must_use]
pub fn token(row: &ApiToken) -> api::Token {
    api::Token {
        id: row.id.to_string(),
        name: row.name.clone(),
        scope: row.scope.to_string(),
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        issuer: text(row.issuer),
    }
}

/// A version of a workflow; its text only where a single one is shown.
pub(crate) fn workflow(row: Workflow, with_source: bool) -> api::Workflow {
    let definition = &row.definition;
    let flow = definition.message_flow.as_ref();
    api::Workflow {
        id: row.id.to_string(),
        dag_definition: dag(definition),
        execution_parameters: json!({
            "inputs": definition.inputs,
            "budget": definition.budget,
            "total_budget": definition.total_budget,
        }),
        message_flow_definitions: flow.and_then(|flow| serde_json::to_value(flow).ok()),
        name: row.name,
        description: row.description,
        state: row.state.to_string(),
        created_at: row.created_at,
        started_at: None,
        completed_at: None,
        project_id: text(row.project_id),
        version: row.definition_version,
        source: with_source.then_some(row.source),
    }
}

fn dag(definition: &WorkflowDefinition) -> api::Dag {
    let steps = &definition.steps;
    let nodes = steps.iter().map(|step| {
        let (agent, capabilities) = match &step.assignee {
            Assignee::Agent(name) => (Some(name.clone()), Vec::new()),
            Assignee::Capabilities(set) => (None, texts(set.iter())),
            Assignee::Runner => (None, Vec::new()),
        };
        api::Node {
            id: step.id.clone(),
            agent,
            capabilities,
            prompt: step.asked().to_owned(),
            priority: step.priority,
        }
    });
    let edges = steps.iter().flat_map(|step| {
        step.needs.iter().map(|need| api::Edge {
            from: need.clone(),
            to: step.id.clone(),
        })
    });
    api::Dag {
        nodes: nodes.collect(),
        edges: edges.collect(),
    }
}

/// An object, or an empty one.
pub(crate) fn or_empty(object: Option<Value>) -> Value {
    object.unwrap_or_else(|| json!({}))
}
