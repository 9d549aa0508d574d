//! Agents as the wire types show them. Every value comes from a committed row.

use fusion_api_types::api::BudgetUse;
use fusion_api_types::{AgentDetail, AgentSummary, AgentTask, WorkspaceView, WorktreeView};
use fusion_core::{
    Account, Agent, AgentSpec, DeliveryStatus, ProjectId, Run, RunId, Task, Workflow, Workspace,
};
use fusion_persistence::{
    MessageFilter, MetricsFilter, Page, Reader, Repository, Result, WorkspaceFilter,
};

use crate::run_views::{grants_view, usage};
use crate::workspace_views::archive_of;
use crate::{metrics_view, spending};
use fusion_coordination::{WorktreeRecord, granted_to, worktree_of};

/// Members of an agent's metadata that are shown as fields of their own.
const SHOWN: [&str; 6] = [
    "spec",
    "grants",
    "sandbox",
    "paused",
    "ending",
    "restarting",
];

/// An agent in a list.
#[must_use]
pub fn summary(agent: &Agent) -> AgentSummary {
    AgentSummary {
        id: agent.id.to_string(),
        name: agent.name.clone(),
        state: agent.state.as_str().to_owned(),
        paused: agent.paused_at().map(|at| at.as_str().to_owned()),
        ending: agent.ending().map(|disposal| disposal.as_str().to_owned()),
        run: agent.run_id.as_ref().map(RunId::to_string),
        project: agent.project_id.as_ref().map(ProjectId::to_string),
        provider: agent.provider.clone(),
        model: agent.model_name.clone(),
        capabilities: agent.capabilities.iter().map(str::to_owned).collect(),
        created_at: agent.created_at,
        updated_at: agent.updated_at,
        last_heartbeat: agent.last_heartbeat,
    }
}

/// All about an agent.
///
/// # Errors
/// The store fails.
pub async fn detail(store: &dyn Reader, agent: Agent) -> Result<AgentDetail> {
    let work = store.work_of_agent(agent.id).await?;
    let waiting = MessageFilter {
        recipient: Some(agent.id),
        statuses: vec![DeliveryStatus::Pending],
        ..MessageFilter::default()
    };
    let workspaces = WorkspaceFilter {
        agent: Some(agent.id),
    };
    let workspace: Option<Workspace> = store.list(&workspaces, Page::first(1)).await?.pop();
    let samples = MetricsFilter {
        agent: Some(agent.id),
        ..MetricsFilter::default()
    };
    let newest = store.list(&samples, Page::first(1)).await?.pop();
    let spec = spec_of(store, &agent).await?;
    let mut metadata = agent.metadata.as_object().cloned().unwrap_or_default();
    metadata.retain(|name, _| !SHOWN.contains(&name.as_str()));
    Ok(AgentDetail {
        summary: summary(&agent),
        instructions: spec.as_ref().map(|spec| spec.instructions.clone()),
        tools: spec.as_ref().map(|spec| {
            let groups = spec.tools.iter();
            groups.map(|group| group.as_str().to_owned()).collect()
        }),
        hosts: spec.as_ref().map(|spec| spec.web_hosts.clone()),
        max_turns: spec.as_ref().map(|spec| spec.max_turns),
        budget: life_budget(store, &agent, spec.as_ref()).await?,
        subscriptions: agent.message_subscriptions.clone(),
        metadata,
        grants: grants_view(&granted_to(&agent)),
        sandbox: agent.metadata.get("sandbox").cloned(),
        workspace: workspace_view(&agent, workspace.as_ref()),
        task: work.task.as_ref().map(task),
        inbox: store.count(&waiting).await?,
        tasks_completed: work.completed,
        tasks_failed: work.failed,
        usage: usage(work.usage),
        metrics: newest.map(metrics_view),
    })
}

/// What a standing agent may spend over its life, where that is limited.
async fn life_budget(
    store: &dyn Reader,
    agent: &Agent,
    spec: Option<&AgentSpec>,
) -> Result<Option<BudgetUse>> {
    let limit = spec.map(|spec| spec.budget).unwrap_or_default();
    if agent.run_id.is_some() || limit.is_empty() {
        return Ok(None);
    }
    let used = spending::used(store, Account::Agent(agent.id), limit).await?;
    Ok(Some(used))
}

/// What it works with: a standing agent has it with its row, one of a run in its workflow.
async fn spec_of(store: &dyn Reader, agent: &Agent) -> Result<Option<AgentSpec>> {
    let Some(run) = agent.run_id else {
        let spec = agent.metadata.get("spec").cloned();
        return Ok(spec.and_then(|spec| serde_json::from_value(spec).ok()));
    };
    let run: Run = store.get(run).await?;
    let workflow: Workflow = store.get(run.workflow_id).await?;
    let of_file = workflow.definition.agent_of(&agent.name);
    Ok(of_file.map(|(_, spec)| spec.clone()))
}

fn workspace_view(agent: &Agent, workspace: Option<&Workspace>) -> WorkspaceView {
    WorkspaceView {
        path: agent.workspace_here().unwrap_or_default().to_owned(),
        exists: workspace.is_some_and(|it| it.initialized),
        uid: workspace.and_then(|it| it.process_uid),
        archive: workspace.and_then(archive_of),
        error: workspace.and_then(|it| it.initialization_error.clone()),
        worktree: workspace.and_then(worktree_of).map(worktree_view),
    }
}

fn worktree_view(record: WorktreeRecord) -> WorktreeView {
    WorktreeView {
        source: record.source,
        base: record.base,
        repository: record.repository,
        branch: record.branch,
        fault: record.fault,
    }
}

fn task(task: &Task) -> AgentTask {
    AgentTask {
        id: task.id.to_string(),
        run: task.run_id.to_string(),
        step: task.name.clone(),
        state: task.state.as_str().to_owned(),
        started_at: task.started_at,
    }
}
