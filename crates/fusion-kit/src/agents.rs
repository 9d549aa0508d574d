//! The work of `agent`: agents that live outside of runs, and the life of all agents.

pub(crate) mod attach;
pub(crate) mod find;
pub(crate) mod logs;
mod send;
pub(crate) mod through;

use std::path::PathBuf;

use async_trait::async_trait;
use fusion_api::agent_views as views;
use fusion_api_types::{
    AgentDetail, AgentLeft, AgentList, AgentSent, AgentSummary, AgentsEnded, Problem, ProblemKind,
};
use fusion_cli::{
    AgentChanges, AgentQuery, Agents, AttachEnd, Leaving, Log, LogQuery, NewAgents, Progress,
    WorkspaceKind,
};
use fusion_coordination::{AgentUpdate, NewAgent};
use fusion_core::{
    Agent, AgentSpec, AgentState, Clock, Disposal, PauseAt, ProjectId, ToolGroup, WorkspaceSpec,
    nearest,
};
use fusion_persistence::{AgentFilter, Error as StoreError, Page, Repository};
use futures::future::join_all;
use serde_json::Map;

use crate::backend::LocalBackend;
use crate::budget;
use crate::problems;
use crate::system::SystemClock;
use crate::wiring::Engine;

pub(crate) use find::{find_agent, leavers, no_agents};

use find::{find_project, no_such_project};
use logs::Extent;

#[async_trait]
impl Agents for LocalBackend {
    async fn spawn_agents(&self, new: &NewAgents) -> Result<AgentList, Problem> {
        let tools = tool_groups(&new.tools)?;
        let of_user = || self.config().of_user.project.as_ref();
        let project = match new.project.as_ref().or_else(of_user) {
            Some(text) => Some(self.project(text).await?),
            None => None,
        };
        let default = project.as_ref().and_then(|(_, provider)| provider.clone());
        let Some(provider) = new.provider.clone().or(default) else {
            let text = "no provider is named, and no project that has one";
            return Err(Problem::new(ProblemKind::InvalidInput, text)
                .with_help("give --provider NAME; see: fusion-kit provider list"));
        };
        let mut spec = AgentSpec::new(provider, new.model.clone());
        spec.capabilities = new.capabilities.iter().cloned().collect();
        spec.tools = tools;
        spec.web_hosts.clone_from(&new.hosts);
        spec.instructions = new.instructions.clone().unwrap_or_default();
        spec.max_turns = new.max_turns.unwrap_or(spec.max_turns);
        spec.budget = budget::limit(new.max_cost.as_deref())?;
        spec.workspace = workspace_spec(new.workspace.clone());
        if let Some(remote) = self.remote()? {
            return remote
                .spawn_agents(new, &spec, project.map(|(id, _)| id))
                .await;
        }
        let agents = numbered(new, &spec, project.map(|(id, _)| id))?;
        let registry = self.registry_of(&self.stored_providers().await?);
        let engine = self.engine(&self.data_dir()?, registry).await?;
        match engine.coordinator().spawn_agents(agents).await {
            Ok(agents) => {
                engine.close().await;
                let agents = agents.iter().map(views::summary).collect();
                Ok(AgentList { agents })
            }
            Err(error) => {
                engine.undo().await;
                Err(problems::of_engine(&error))
            }
        }
    }

    async fn list_agents(&self, query: &AgentQuery) -> Result<Vec<AgentSummary>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.list_agents(query, &states(query)).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let run = match query.run.as_deref() {
            Some(text) => {
                let found = crate::find::find(reading.store(), reading.data_dir(), Some(text));
                Some(found.await?.id)
            }
            None => None,
        };
        let project = match &query.project {
            Some(text) => Some(find_project(reading.store(), text).await?.id),
            None => None,
        };
        let filter = AgentFilter {
            states: states(query),
            run,
            project,
            ..AgentFilter::default()
        };
        let found = reading
            .store()
            .list(&filter, Page::first(query.limit))
            .await;
        Ok(found.map_err(read)?.iter().map(views::summary).collect())
    }

    async fn show_agent(&self, agent: &str) -> Result<AgentDetail, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.show_agent(agent).await;
        }
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let found = find_agent(reading.store(), reading.data_dir(), agent).await?;
        views::detail(reading.store(), found).await.map_err(read)
    }

    async fn pause_agent(&self, agent: &str, at: &'static str) -> Result<AgentSummary, Problem> {
        if let Some(remote) = self.remote()? {
            let agent = self.agent_of(&remote, agent).await?;
            return remote.act_on_agent(&agent, &through::pause(at)).await;
        }
        let at = PauseAt::from_text(at).unwrap_or(PauseAt::NextStep);
        let (engine, agent) = self.opened_on(agent).await?;
        let done = engine.coordinator().pause_agent(agent.id, at).await;
        changed(engine, done).await
    }

    async fn resume_agent(&self, agent: &str) -> Result<AgentSummary, Problem> {
        if let Some(remote) = self.remote()? {
            let agent = self.agent_of(&remote, agent).await?;
            return remote.act_on_agent(&agent, &through::resume()).await;
        }
        let (engine, agent) = self.opened_on(agent).await?;
        let done = engine.coordinator().resume_agent(agent.id).await;
        changed(engine, done).await
    }

    async fn restart_agents(
        &self,
        agents: &[String],
        at: &'static str,
    ) -> Result<AgentList, Problem> {
        if let Some(remote) = self.remote()? {
            return self.restart_through(&remote, agents, at).await;
        }
        let at = PauseAt::from_text(at).unwrap_or(PauseAt::NextStep);
        let engine = self.opened().await?;
        let restarted = self.restart_on(&engine, agents, at).await;
        engine.close().await;
        restarted
    }

    async fn terminate_agents(
        &self,
        agents: &Leaving,
        workspace: &'static str,
    ) -> Result<AgentsEnded, Problem> {
        if let Some(remote) = self.remote()? {
            return self.terminate_through(&remote, agents, workspace).await;
        }
        let disposal = Disposal::from_text(workspace).unwrap_or(Disposal::Keep);
        let engine = self.opened().await?;
        let ended = self.terminate_on(&engine, agents, disposal).await;
        engine.close().await;
        ended
    }

    async fn update_agent(
        &self,
        agent: &str,
        changes: &AgentChanges,
    ) -> Result<AgentSummary, Problem> {
        let update = AgentUpdate {
            provider: changes.provider.clone(),
            model: changes.model.clone(),
            capabilities: changes
                .capabilities
                .as_ref()
                .map(|names| names.iter().cloned().collect()),
            instructions: changes.instructions.clone(),
            tools: changes.tools.as_deref().map(tool_groups).transpose()?,
            max_turns: changes.max_turns,
            limit: match &changes.max_cost {
                Some(usd) => Some(budget::of_life(usd)?),
                None => None,
            },
            metadata: Map::new(),
            base_dir: here()?,
        };
        if let Some(remote) = self.remote()? {
            let agent = self.agent_of(&remote, agent).await?;
            return remote
                .act_on_agent(&agent, &through::update(changes)?)
                .await;
        }
        let (engine, agent) = self.opened_on(agent).await?;
        let by = self.person();
        let done = engine.coordinator().update_agent(agent.id, update, &by);
        let done = done.await;
        changed(engine, done).await
    }

    async fn agent_logs(
        &self,
        agent: &str,
        query: &LogQuery,
        log: &mut dyn Log,
    ) -> Result<(), Problem> {
        let follow = query.follow;
        let extent = Extent {
            limit: query.limit,
            since: query
                .since
                .and_then(|since| since.before(SystemClock.now())),
            follow,
        };
        if let Some(remote) = self.log_server(follow)? {
            let agent = remote.find_agent(agent).await?;
            let heard = follow.then(|| ("agent_id", agent.id.clone()));
            let mut source = logs::OfServer {
                listening: remote.listen(heard).await,
                remote,
                agent,
            };
            return logs::show(&mut source, extent, log).await;
        }
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let found = find_agent(reading.store(), reading.data_dir(), agent).await?;
        let mut source = logs::OfStore {
            store: reading.store(),
            agent: found.id,
        };
        logs::show(&mut source, extent, log).await
    }

    async fn attach_to_agent(
        &self,
        agent: &str,
        limit: u32,
        log: &mut dyn Log,
    ) -> Result<AttachEnd, Problem> {
        if let Some(remote) = self.remote()? {
            return self.attach_through(remote, agent, limit, log).await;
        }
        let engine = self.opened().await?;
        let ended = self.attach_on(&engine, agent, limit, log).await;
        engine.close().await;
        ended
    }

    async fn send_to_agent(
        &self,
        agent: &str,
        message: &str,
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<AgentSent, Problem> {
        if let Some(remote) = self.remote()? {
            return self
                .send_through(&remote, (agent, message), wait, progress)
                .await;
        }
        let engine = self.opened().await?;
        let sent = self
            .send_on(&engine, (agent, message), wait, progress)
            .await;
        engine.close().await;
        sent
    }
}

impl LocalBackend {
    /// The engine of a data directory that holds something already.
    pub(crate) async fn opened(&self) -> Result<Engine, Problem> {
        self.reading().await?.ok_or_else(no_agents)?;
        let registry = self.registry_of(&self.stored_providers().await?);
        self.engine(&self.data_dir()?, registry).await
    }

    /// The same, with an agent in it.
    pub(crate) async fn opened_on(&self, text: &str) -> Result<(Engine, Agent), Problem> {
        let data_dir = self.data_dir()?;
        let engine = self.opened().await?;
        let found = find_agent(engine.store(), &data_dir, text).await;
        match found {
            Ok(agent) => Ok((engine, agent)),
            Err(problem) => {
                engine.close().await;
                Err(problem)
            }
        }
    }

    async fn restart_on(
        &self,
        engine: &Engine,
        names: &[String],
        at: PauseAt,
    ) -> Result<AgentList, Problem> {
        let mut ids = Vec::new();
        for name in names {
            let found = find_agent(engine.store(), &self.data_dir()?, name).await?;
            ids.push(found.id);
        }
        // Each may wait a moment for a worker.
        let restarted = ids
            .into_iter()
            .map(|id| engine.coordinator().restart_agent(id, at));
        let restarted = join_all(restarted).await.into_iter();
        let agents = restarted
            .map(|agent| agent.map(|agent| views::summary(&agent)))
            .collect::<Result<_, _>>()
            .map_err(|error| problems::of_engine(&error))?;
        Ok(AgentList { agents })
    }

    async fn terminate_on(
        &self,
        engine: &Engine,
        leaving: &Leaving,
        disposal: Disposal,
    ) -> Result<AgentsEnded, Problem> {
        let agents = leavers(engine.store(), &self.data_dir()?, leaving).await?;
        let states = leaving.states().iter().copied();
        let states: Vec<AgentState> = states.filter_map(AgentState::from_text).collect();
        let mut ended = AgentsEnded {
            agents: Vec::new(),
            left: Vec::new(),
        };
        for agent in agents {
            match engine
                .coordinator()
                .terminate_agent_if(agent.id, disposal, &states)
                .await
            {
                Ok(agent) => ended.agents.push(views::summary(&agent)),
                Err(error) => ended.left.push(AgentLeft {
                    id: agent.id.to_string(),
                    name: agent.name,
                    why: fusion_core::error_chain(&error),
                }),
            }
        }
        Ok(ended)
    }

    /// A project and the name of its provider.
    pub(crate) async fn project(&self, text: &str) -> Result<(ProjectId, Option<String>), Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.project(text).await;
        }
        let reading = self.reading().await?;
        let Some(reading) = reading else {
            return Err(no_such_project(text, std::iter::empty()));
        };
        let project = find_project(reading.store(), text).await?;
        let provider = match project.default_provider_id {
            Some(id) => Some(reading.store().get(id).await.map_err(read)?.name),
            None => None,
        };
        Ok((project.id, provider))
    }
}

/// Closes the engine after something was done with an agent; gives it as it is then.
async fn changed(
    engine: Engine,
    done: fusion_coordination::Result<Agent>,
) -> Result<AgentSummary, Problem> {
    engine.close().await;
    let agent = done.map_err(|error| problems::of_engine(&error))?;
    Ok(views::summary(&agent))
}

/// All that are asked for, by their names.
fn numbered(
    new: &NewAgents,
    spec: &AgentSpec,
    project: Option<ProjectId>,
) -> Result<Vec<NewAgent>, Problem> {
    let base_dir = here()?;
    let one = |name: String| NewAgent {
        name,
        spec: spec.clone(),
        project,
        metadata: Map::new(),
        base_dir: base_dir.clone(),
    };
    Ok(match new.count {
        None => vec![one(new.name.clone())],
        Some(count) => (1..=count)
            .map(|number| one(format!("{}-{number}", new.name)))
            .collect(),
    })
}

fn workspace_spec(kind: WorkspaceKind) -> WorkspaceSpec {
    match kind {
        WorkspaceKind::Directory { template } => WorkspaceSpec::Directory { template },
        WorkspaceKind::Worktree {
            repository,
            revision,
        } => WorkspaceSpec::Worktree {
            repository,
            revision,
        },
    }
}

/// The folder that a relative path of a script starts from.
pub(crate) fn here() -> Result<PathBuf, Problem> {
    std::env::current_dir().map_err(|error| {
        let text = format!("the current folder can't be used: {error}");
        Problem::new(ProblemKind::Unavailable, text)
    })
}

fn tool_groups(names: &[String]) -> Result<Vec<ToolGroup>, Problem> {
    let known = || ToolGroup::ALL.iter().map(|group| group.as_str());
    let mut groups = Vec::new();
    for name in names {
        let Some(group) = ToolGroup::from_text(name) else {
            let help = match nearest(name, known()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("the groups are: {}", known().collect::<Vec<_>>().join(", ")),
            };
            let text = format!("there is no group of tools '{name}'");
            return Err(Problem::new(ProblemKind::InvalidInput, text).with_help(help));
        };
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(groups)
}

fn states(query: &AgentQuery) -> Vec<AgentState> {
    if query.all {
        return Vec::new();
    }
    if query.states.is_empty() {
        return living();
    }
    let states = query.states.iter();
    states
        .filter_map(|state| AgentState::from_text(state))
        .collect()
}

/// Every state but the last.
pub(crate) fn living() -> Vec<AgentState> {
    let states = AgentState::ALL.iter().copied();
    states
        .filter(|state| *state != AgentState::Terminated)
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: StoreError) -> Problem {
    problems::of_store(&error)
}
