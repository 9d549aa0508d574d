//! Agents of a server: the same commands, done by it.

use std::time::Duration;

use fusion_api_types::api::{AgentAction, AgentConfig};
use fusion_api_types::{
    AgentList, AgentSent, AgentSummary, AgentsEnded, Problem, ProblemKind, RunDetail,
};
use fusion_cli::{AgentChanges, Leaving, Progress};
use futures::future::try_join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::find::{find_agent, no_agents};
use super::{here, views};
use crate::backend::LocalBackend;
use crate::remote::Remote;
use crate::signals::stop_on_signal;

/// How often it is looked whether the server has begun what an agent was sent.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) fn pause(at: &str) -> AgentAction {
    AgentAction {
        action: "pause".to_owned(),
        at: Some(at.to_owned()),
        config: None,
    }
}

pub(super) fn resume() -> AgentAction {
    AgentAction {
        action: "resume".to_owned(),
        at: None,
        config: None,
    }
}

pub(super) fn restart(at: &str) -> AgentAction {
    AgentAction {
        action: "restart".to_owned(),
        at: Some(at.to_owned()),
        config: None,
    }
}

/// A relative path of a script begins at the folder of this command, as it does without a server.
pub(super) fn update(changes: &AgentChanges) -> Result<AgentAction, Problem> {
    let base_dir = match changes.model {
        Some(_) => Some(here()?.display().to_string()),
        None => None,
    };
    Ok(AgentAction {
        action: "update_config".to_owned(),
        at: None,
        config: Some(AgentConfig {
            provider: changes.provider.clone(),
            model_name: changes.model.clone(),
            capabilities: changes.capabilities.clone(),
            instructions: changes.instructions.clone(),
            tools: changes.tools.clone(),
            max_turns: changes.max_turns,
            max_cost_usd: changes.max_cost.clone(),
            base_dir,
            metadata: None,
        }),
    })
}

impl LocalBackend {
    /// The agent that a command means. Where the data is on this machine it is looked for there, so
    /// that what is said of one that is not there is the same with a server and without.
    pub(crate) async fn agent_of(
        &self,
        remote: &Remote,
        text: &str,
    ) -> Result<AgentSummary, Problem> {
        if self.named_server().is_some() {
            return remote.find_agent(text).await;
        }
        let reading = self.reading().await?.ok_or_else(no_agents)?;
        let found = find_agent(reading.store(), reading.data_dir(), text).await?;
        Ok(views::summary(&found))
    }

    pub(super) async fn restart_through(
        &self,
        remote: &Remote,
        names: &[String],
        at: &str,
    ) -> Result<AgentList, Problem> {
        let mut agents = Vec::new();
        for name in names {
            agents.push(self.agent_of(remote, name).await?);
        }
        // Each may wait a moment for a worker.
        let action = &restart(at);
        let restarted = agents
            .iter()
            .map(|agent| remote.act_on_agent(agent, action));
        let agents = try_join_all(restarted).await?;
        Ok(AgentList { agents })
    }

    pub(super) async fn terminate_through(
        &self,
        remote: &Remote,
        leaving: &Leaving,
        workspace: &str,
    ) -> Result<AgentsEnded, Problem> {
        let agents = self.leavers_through(remote, leaving).await?;
        remote
            .terminate_agents(&agents, workspace, leaving.states())
            .await
    }

    /// The agents that are to end.
    pub(crate) async fn leavers_through(
        &self,
        remote: &Remote,
        leaving: &Leaving,
    ) -> Result<Vec<AgentSummary>, Problem> {
        let mut agents = Vec::new();
        match leaving {
            Leaving::Named(names) => {
                for name in names {
                    agents.push(self.agent_of(remote, name).await?);
                }
            }
            Leaving::Standing(_) => {
                agents = remote.standing_agents().await?;
                agents.retain(|agent| leaving.has_state(&agent.state));
            }
        }
        Ok(agents)
    }

    pub(super) async fn send_through(
        &self,
        remote: &Remote,
        (agent, message): (&str, &str),
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<AgentSent, Problem> {
        let agent = self.agent_of(remote, agent).await?;
        let sent = remote.send_to_agent(&agent, message).await?;
        let result = if wait {
            let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
            let signals = TaskTracker::new();
            signals.spawn(stop_on_signal(stop.clone(), ended.clone()));
            let done = self
                .result_through(remote, (&agent, &sent.message), progress, &stop)
                .await;
            ended.cancel();
            Some(done?)
        } else {
            None
        };
        let now = remote.agent(&agent.id).await?;
        Ok(AgentSent {
            state: now.state,
            result,
            ..sent
        })
    }

    /// Watches the run in which the agent does what it was sent, or reads it.
    async fn result_through(
        &self,
        remote: &Remote,
        (agent, message): (&AgentSummary, &str),
        progress: &mut dyn Progress,
        stop: &CancellationToken,
    ) -> Result<RunDetail, Problem> {
        loop {
            let look = remote.work_on(agent, message).await?;
            if let Some(run) = look.run {
                return remote.watch(&run, progress, stop).await;
            }
            if !matches!(look.state.as_str(), "idle" | "working") {
                let text = format!(
                    "{} is {}: it reads the message later",
                    agent.name, look.state
                );
                let resume = match self.named_server() {
                    Some(url) => format!("fusion-kit agent resume {} --server {url}", agent.name),
                    None => self
                        .data_dir()?
                        .command(&format!("agent resume {}", agent.name)),
                };
                return Err(Problem::new(ProblemKind::Conflict, text)
                    .with_help(format!("let it go on with: {resume}")));
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = stop.cancelled() => {
                    let text = format!("{} has not begun with it: it does it later", agent.name);
                    return Err(Problem::new(ProblemKind::Timeout, text));
                }
            }
        }
    }
}
