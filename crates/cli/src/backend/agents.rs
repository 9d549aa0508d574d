//! The port behind `agent`.

use std::ops::ControlFlow;

use async_trait::async_trait;
use fusion_api_types::{
    AgentDetail, AgentList, AgentLogEntry, AgentSent, AgentSummary, AgentsEnded, Problem, api,
};

use super::Progress;
use crate::args::{Moment, WorkspaceKind};

/// Agents to be spawned, as they were typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAgents {
    /// The name, or what the names begin with.
    pub name: String,
    /// How many, when names are numbered.
    pub count: Option<u32>,
    /// The provider; that of the project without it.
    pub provider: Option<String>,
    /// The model.
    pub model: String,
    /// What they can do.
    pub capabilities: Vec<String>,
    /// Names of groups of tools.
    pub tools: Vec<String>,
    /// Hosts that pages may be fetched from.
    pub hosts: Vec<String>,
    /// The system prompt.
    pub instructions: Option<String>,
    /// Model calls in one task at most.
    pub max_turns: Option<u32>,
    /// US dollars that each may spend over its life, as they were typed.
    pub max_cost: Option<String>,
    /// Name or id of the project.
    pub project: Option<String>,
    /// What they work in.
    pub workspace: WorkspaceKind,
}

/// What is changed of an agent, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentChanges {
    /// The provider.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// What it can do.
    pub capabilities: Option<Vec<String>>,
    /// Names of groups of tools.
    pub tools: Option<Vec<String>>,
    /// The system prompt.
    pub instructions: Option<String>,
    /// Model calls in one task at most.
    pub max_turns: Option<u32>,
    /// US dollars that each may spend over its life, as they were typed.
    pub max_cost: Option<String>,
}

/// Which agents are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentQuery {
    /// Names of states; without any, all but `terminated`.
    pub states: Vec<&'static str>,
    /// Also those that have ended.
    pub all: bool,
    /// Id or unique prefix of the run.
    pub run: Option<String>,
    /// Name or id of the project.
    pub project: Option<String>,
    /// At most this many.
    pub limit: u32,
}

/// Which agents are to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// Those with these names, ids or beginnings of ids.
    Named(Vec<String>),
    /// Every standing one; with names of states those that are in one of them, also as they end.
    Standing(Vec<&'static str>),
}

impl Leaving {
    /// The states that an agent must be in as it ends; none where that does not matter.
    #[must_use]
    pub fn states(&self) -> &[&'static str] {
        match self {
            Self::Named(_) => &[],
            Self::Standing(states) => states,
        }
    }

    /// Whether a standing agent in this state is to end too.
    #[must_use]
    pub fn has_state(&self, state: &str) -> bool {
        match self {
            Self::Named(_) => false,
            Self::Standing(states) => states.is_empty() || states.contains(&state),
        }
    }
}

/// How much of a log is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery {
    /// At most so many entries of before, the newest.
    pub limit: u32,
    /// Of these only what was begun since then.
    pub since: Option<Moment>,
    /// Also what comes.
    pub follow: bool,
}

/// Takes entries of a log one by one; says whether anybody wants more.
pub trait Log: Send {
    /// The next one: it is shown once it is finished.
    ///
    /// # Errors
    /// It can't be shown.
    fn entry(&mut self, entry: &AgentLogEntry) -> Result<ControlFlow<()>, Problem>;

    /// A piece of an answer that is coming, where a server tells it.
    ///
    /// # Errors
    /// It can't be shown.
    fn words(&mut self, delta: &api::Delta) -> Result<ControlFlow<()>, Problem>;

    /// Something a person should know that no entry says.
    ///
    /// # Errors
    /// It can't be shown.
    fn notice(&mut self, text: &str) -> Result<(), Problem>;
}

/// How writing to an agent ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttachEnd {
    /// The agent's name.
    pub agent: String,
    /// Runs of what was sent that did not end well.
    pub failed: Vec<String>,
    /// A signal ended it, while the agent may be at work.
    pub stopped: bool,
}

/// Looks after agents.
///
/// An agent is named by its name, its id or the unique beginning of one. One that does not exist is
/// answered with the way to find one, a name that several have with their ids.
#[async_trait]
pub trait Agents {
    /// Spawns standing agents, all or none.
    ///
    /// # Errors
    /// What is asked for can't be had, or the data directory can't be used; nothing is left behind.
    async fn spawn_agents(&self, new: &NewAgents) -> Result<AgentList, Problem>;

    /// Agents, newest first.
    ///
    /// # Errors
    /// No such run or project, or the data directory can't be read.
    async fn list_agents(&self, query: &AgentQuery) -> Result<Vec<AgentSummary>, Problem>;

    /// All about an agent.
    ///
    /// # Errors
    /// No such agent.
    async fn show_agent(&self, agent: &str) -> Result<AgentDetail, Problem>;

    /// Holds an agent; `at` is `now` or `next_step`.
    ///
    /// # Errors
    /// No such agent, or it neither waits nor works.
    async fn pause_agent(&self, agent: &str, at: &'static str) -> Result<AgentSummary, Problem>;

    /// Lets an agent go on.
    ///
    /// # Errors
    /// No such agent, or it is not paused.
    async fn resume_agent(&self, agent: &str) -> Result<AgentSummary, Problem>;

    /// Stops agents and lets them go on with what they had, one after the other.
    ///
    /// # Errors
    /// One of them does not exist, then nothing is done; or has ended, then those before it were restarted.
    async fn restart_agents(
        &self,
        agents: &[String],
        at: &'static str,
    ) -> Result<AgentList, Problem>;

    /// Ends agents. `workspace` is `keep`, `archive` or
    /// `remove`. Who can't be ended does not keep the others.
    ///
    /// # Errors
    /// No such agent: then none is ended.
    async fn terminate_agents(
        &self,
        agents: &Leaving,
        workspace: &'static str,
    ) -> Result<AgentsEnded, Problem>;

    /// Changes what an agent works with.
    ///
    /// # Errors
    /// No such agent, it has ended or belongs to a run, or what is asked for can't be had.
    async fn update_agent(
        &self,
        agent: &str,
        changes: &AgentChanges,
    ) -> Result<AgentSummary, Problem>;

    /// Shows what an agent did.
    ///
    /// # Errors
    /// No such agent.
    async fn agent_logs(
        &self,
        agent: &str,
        query: &LogQuery,
        log: &mut dyn Log,
    ) -> Result<(), Problem>;

    /// Sends a standing agent each line of stdin, and shows what it does from now on, with the newest
    /// `limit` entries of before, until stdin has ended and it has done all, or a signal comes. The
    /// agent's work is done by this very call where no server does it.
    ///
    /// # Errors
    /// No such agent, it has ended or is held, it belongs to a run, or its inbox is full. A failed
    /// task is no error.
    async fn attach_to_agent(
        &self,
        agent: &str,
        limit: u32,
        log: &mut dyn Log,
    ) -> Result<AttachEnd, Problem>;

    /// Sends an agent something to do. With `wait` it returns when that is done, and tells how it
    /// goes; the agent's work is done by this very call where no server does it.
    ///
    /// # Errors
    /// No such agent, it has ended, or its inbox is full. A failed task is no error.
    async fn send_to_agent(
        &self,
        agent: &str,
        message: &str,
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<AgentSent, Problem>;
}
