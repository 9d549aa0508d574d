//! Agents of a server.

use fusion_api_types::api::{self, AgentAction};
use fusion_api_types::{
    AgentDetail, AgentLeft, AgentList, AgentLogEntry, AgentSent, AgentSummary, AgentsEnded,
    JournalView, Problem, ProblemKind,
};
use fusion_cli::{AgentMetricsArgs, AgentQuery, NewAgents};
use fusion_core::{AgentId, AgentSpec, AgentState, Clock, ProjectId, WorkspaceSpec};
use fusion_persistence::{CostQuery, TopQuery};
use serde_json::Value;

use super::{PREFIX_SEARCH, Remote};
use crate::agents::attach::desk::{TASKS, at_work};
use crate::agents::find::{Searched, begins, meant, no_such_agent, no_such_project, parsed};
use crate::system::SystemClock;

/// What a message to an agent is, when `agent send` sends it.
const MESSAGE_TYPE: &str = "message";

/// Entries of a log that are read at once at most.
pub(crate) const LOG_PAGE: u32 = 500;

/// Where an agent is with a message.
pub(crate) struct Work {
    /// The run in which it does it, or has read it.
    pub(crate) run: Option<String>,
    /// State of the agent.
    pub(crate) state: String,
}

/// Agents of one request at most.
const AT_ONCE: usize = 1_000;

impl Remote {
    pub(crate) async fn spawn_agents(
        &self,
        new: &NewAgents,
        spec: &AgentSpec,
        project: Option<ProjectId>,
    ) -> Result<AgentList, Problem> {
        let tools = spec.tools.iter().map(|group| group.as_str().to_owned());
        let agent = api::NewAgent {
            name: new.name.clone(),
            capabilities: new.capabilities.clone(),
            provider_id: None,
            provider: Some(spec.provider.clone()),
            model_name: new.model.clone(),
            project_id: project.map(|id| id.to_string()),
            instructions: new.instructions.clone(),
            tools: tools.collect(),
            hosts: new.hosts.clone(),
            max_turns: new.max_turns,
            max_cost_usd: new.max_cost.clone(),
            workspace: workspace(&spec.workspace),
            base_dir: Some(crate::agents::here()?.display().to_string()),
            metadata: None,
        };
        let agents = match new.count {
            None => vec![self.client.post("/agents", &agent).await?],
            Some(count) => {
                let batch = api::NewAgents { agent, count };
                let made: api::AgentsMade = self.client.post("/agents/batch", &batch).await?;
                made.agents
            }
        };
        Ok(AgentList {
            agents: agents.into_iter().map(summary).collect(),
        })
    }

    pub(crate) async fn list_agents(
        &self,
        query: &AgentQuery,
        states: &[AgentState],
    ) -> Result<Vec<AgentSummary>, Problem> {
        let mut asked: Vec<(&str, String)> = states
            .iter()
            .map(|state| ("state", state.as_str().to_owned()))
            .collect();
        if let Some(text) = &query.run {
            asked.push(("run_id", self.id("/runs", "runs", text).await?));
        }
        if let Some(text) = &query.project {
            asked.push(("project_id", self.project(text).await?.0.to_string()));
        }
        self.agents(&asked, query.limit as usize).await
    }

    pub(super) async fn agents(
        &self,
        query: &[(&str, String)],
        most: usize,
    ) -> Result<Vec<AgentSummary>, Problem> {
        let rows: Vec<api::Agent> = self.rows("/agents", "agents", query, most).await?;
        Ok(rows.into_iter().map(summary).collect())
    }

    /// An agent by its name, its id or the unique beginning of one.
    pub(crate) async fn find_agent(&self, text: &str) -> Result<AgentSummary, Problem> {
        let searched = Searched {
            place: self.client.url().to_owned(),
            list: format!("fusion-kit agent list --server {}", self.client.url()),
        };
        if let Ok(id) = text.parse::<AgentId>() {
            return match self.agent(&id.to_string()).await {
                Err(problem) if problem.kind == ProblemKind::NotFound => {
                    Err(no_such_agent(&searched, text, &[]))
                }
                other => other,
            };
        }
        let named = [("name", text.to_owned())];
        let named = self.agents(&named, PREFIX_SEARCH).await?;
        let id = match meant(&named, text)? {
            Some(id) => id,
            None => begins(&self.agents(&[], PREFIX_SEARCH).await?, text, &searched)?,
        };
        self.agent(&id).await
    }

    pub(crate) async fn agent(&self, id: &str) -> Result<AgentSummary, Problem> {
        let agent: api::Agent = self.client.get(&format!("/agents/{id}"), &[]).await?;
        Ok(summary(agent))
    }

    pub(crate) async fn show_agent(&self, text: &str) -> Result<AgentDetail, Problem> {
        let id = self.find_agent(text).await?.id;
        self.client.get(&format!("/agents/{id}/detail"), &[]).await
    }

    pub(crate) async fn act_on_agent(
        &self,
        agent: &AgentSummary,
        action: &AgentAction,
    ) -> Result<AgentSummary, Problem> {
        let path = format!("/agents/{}", agent.id);
        let changed: api::Agent = self.client.patch(&path, action).await?;
        Ok(summary(changed))
    }

    /// Every standing agent that has not ended, the newest first.
    pub(crate) async fn standing_agents(&self) -> Result<Vec<AgentSummary>, Problem> {
        let living = crate::agents::living();
        let living = living.iter().map(|state| ("state", state.to_string()));
        let mut agents = self
            .agents(&living.collect::<Vec<_>>(), PREFIX_SEARCH)
            .await?;
        agents.retain(|agent| agent.run.is_none());
        Ok(agents)
    }

    /// Ends agents, in as many requests as it takes; with states only who is in one of them as it ends. Where
    /// a later request fails, that is why those that were left have not ended.
    pub(crate) async fn terminate_agents(
        &self,
        agents: &[AgentSummary],
        workspace: &str,
        states: &[&str],
    ) -> Result<AgentsEnded, Problem> {
        let mut ended = AgentsEnded {
            agents: Vec::new(),
            left: Vec::new(),
        };
        let mut asked = 0;
        for piece in agents.chunks(AT_ONCE) {
            let wanted = api::BulkAgents {
                action: "terminate".to_owned(),
                ids: piece.iter().map(|agent| agent.id.clone()).collect(),
                all: None,
                at: None,
                workspace: Some(workspace.to_owned()),
                if_state: states.iter().map(|state| (*state).to_owned()).collect(),
            };
            let answer: Result<api::BulkAnswer, _> =
                self.client.post("/agents/bulk", &wanted).await;
            match answer {
                Ok(answer) => add_results(&mut ended, answer),
                Err(problem) if asked == 0 => return Err(problem),
                Err(problem) => {
                    let left = agents.iter().skip(asked);
                    ended.left.extend(left.map(|agent| AgentLeft {
                        id: agent.id.clone(),
                        name: agent.name.clone(),
                        why: problem.message.clone(),
                    }));
                    break;
                }
            }
            asked += piece.len();
        }
        Ok(ended)
    }

    /// The newest entries of a log with their ids, oldest first.
    pub(crate) async fn log(
        &self,
        path: &str,
        limit: u32,
    ) -> Result<Vec<(String, AgentLogEntry)>, Problem> {
        let limit = [("limit", limit.min(LOG_PAGE).to_string())];
        let logs: api::AgentLogs = self.client.get(path, &limit).await?;
        Ok(logs
            .logs
            .into_iter()
            .map(|entry| (entry.id.clone(), log_entry(entry)))
            .collect())
    }

    /// What an agent used, the newest samples first.
    pub(crate) async fn agent_metrics(
        &self,
        asked: &AgentMetricsArgs,
    ) -> Result<api::AgentMetrics, Problem> {
        let AgentMetricsArgs {
            agent,
            since,
            step,
            limit,
        } = asked;
        let id = self.find_agent(agent).await?.id;
        let ago = |time| {
            let time = chrono::Duration::from_std(time).ok()?;
            SystemClock.now().checked_sub_signed(time)
        };
        let mut asked = vec![("limit", limit.to_string())];
        let since = since.and_then(ago);
        asked.extend(since.map(|since| ("since", since.to_rfc3339())));
        asked.extend(step.map(|step| ("step", step.as_secs().to_string())));
        self.client
            .get(&format!("/agents/{id}/metrics"), &asked)
            .await
    }

    /// What model calls cost.
    pub(crate) async fn costs(&self, query: &CostQuery) -> Result<api::CostReport, Problem> {
        let mut asked = vec![
            ("by", query.by.as_str().to_owned()),
            ("limit", query.limit.to_string()),
        ];
        asked.extend(query.since.map(|since| ("since", since.to_rfc3339())));
        asked.extend(query.until.map(|until| ("until", until.to_rfc3339())));
        self.client.get("/metrics/costs", &asked).await
    }

    /// Who used most.
    pub(crate) async fn used_most(&self, query: &TopQuery) -> Result<api::TopReport, Problem> {
        let mut asked = vec![
            ("by", query.by.as_str().to_owned()),
            ("per", query.per.as_str().to_owned()),
            ("limit", query.limit.to_string()),
        ];
        asked.extend(query.since.map(|since| ("since", since.to_rfc3339())));
        asked.extend(query.until.map(|until| ("until", until.to_rfc3339())));
        self.client.get("/metrics/top", &asked).await
    }

    pub(crate) async fn send_to_agent(
        &self,
        agent: &AgentSummary,
        message: &str,
    ) -> Result<AgentSent, Problem> {
        let body = api::NewMessage {
            run_id: agent.run.clone(),
            recipient_agent_ids: Some(vec![agent.id.clone()]),
            topic: None,
            payload: Value::from(message),
            message_type: Some(MESSAGE_TYPE.to_owned()),
            reply_to: None,
            expiry_at: None,
        };
        let sent: api::Message = self.client.post("/messages", &body).await?;
        let begun: api::MessageDetail = self
            .client
            .get(&format!("/messages/{}", sent.id), &[])
            .await?;
        Ok(AgentSent {
            message: sent.id,
            agent: agent.id.clone(),
            name: agent.name.clone(),
            state: agent.state.clone(),
            run: begun.begun_run_id,
            result: None,
        })
    }

    /// Where an agent is with a message that it was sent.
    pub(crate) async fn work_on(
        &self,
        agent: &AgentSummary,
        message: &str,
    ) -> Result<Work, Problem> {
        let path = format!("/messages/{message}");
        let told: api::MessageDetail = self.client.get(&path, &[]).await?;
        let run = match (told.begun_run_id, told.message.delivery_status.as_str()) {
            (Some(run), _) => Some(run),
            // It read the message in a turn of something that it did already.
            (None, "delivered") => {
                let newest = [("agent_id", agent.id.clone())];
                let most = usize::try_from(TASKS).unwrap_or(usize::MAX);
                let tasks: Vec<api::Task> = self.rows("/tasks", "tasks", &newest, most).await?;
                let newest = tasks.first().map(|task| task.run_id.clone());
                let tasks = tasks.into_iter().map(|task| (task.started_at, task.run_id));
                let read_at = told.message.delivered_at;
                read_at.and_then(|at| at_work(tasks, at)).or(newest)
            }
            (None, _) => None,
        };
        let state = self.agent(&agent.id).await?.state;
        Ok(Work { run, state })
    }

    /// A project and the name of its provider.
    pub(crate) async fn project(&self, text: &str) -> Result<(ProjectId, Option<String>), Problem> {
        let projects: Vec<api::Project> = self
            .rows("/projects", "projects", &[], PREFIX_SEARCH)
            .await?;
        let is_meant = |project: &&api::Project| project.name == text || project.id == text;
        let Some(project) = projects.iter().find(is_meant) else {
            let names = projects.iter().map(|project| project.name.as_str());
            return Err(no_such_project(text, names));
        };
        let provider = match &project.default_provider_id {
            Some(id) => {
                let row: api::Provider = self.client.get(&format!("/providers/{id}"), &[]).await?;
                Some(row.name)
            }
            None => None,
        };
        Ok((parsed(&project.id)?, provider))
    }
}

/// What is asked for, unless it is what there is anyway.
fn workspace(spec: &WorkspaceSpec) -> Option<api::NewWorkspace> {
    let (kind, template, repository, revision) = match spec {
        WorkspaceSpec::Directory { template: None } => return None,
        WorkspaceSpec::Directory { template } => ("directory", template.clone(), None, None),
        WorkspaceSpec::Worktree {
            repository,
            revision,
        } => ("worktree", None, Some(repository.clone()), revision.clone()),
    };
    Some(api::NewWorkspace {
        kind: kind.to_owned(),
        template,
        repository,
        revision,
    })
}

/// An agent as the commands show it.
fn summary(agent: api::Agent) -> AgentSummary {
    let noted = |name: &str| {
        let value = agent.metadata.get(name).and_then(Value::as_str);
        value.map(str::to_owned)
    };
    AgentSummary {
        paused: noted("paused"),
        ending: noted("ending"),
        id: agent.id,
        name: agent.name,
        state: agent.state,
        run: agent.run_id,
        project: agent.project_id,
        provider: agent.provider,
        model: agent.model_name,
        capabilities: agent.capabilities,
        created_at: agent.created_at,
        updated_at: agent.updated_at,
        last_heartbeat: agent.last_heartbeat,
    }
}

fn log_entry(entry: api::LogEntry) -> AgentLogEntry {
    AgentLogEntry {
        run: entry.run_id,
        task: entry.task_id,
        step: entry.step,
        entry: JournalView {
            seq: entry.seq,
            kind: entry.kind,
            name: entry.name,
            state: entry.state,
            effect: entry.effect,
            attempts: entry.attempts,
            request: entry.request,
            outcome: entry.outcome,
            usage: entry.usage,
            started_at: entry.started_at,
            finished_at: entry.finished_at,
        },
    }
}

fn add_results(ended: &mut AgentsEnded, answer: api::BulkAnswer) {
    for result in answer.results {
        match (result.agent, result.error) {
            (Some(agent), None) => ended.agents.push(summary(agent)),
            (agent, why) => ended.left.push(AgentLeft {
                id: result.id,
                name: agent.map(|agent| agent.name).unwrap_or_default(),
                why: why.unwrap_or_default(),
            }),
        }
    }
}
