//! What the fake backend says of agents.

use async_trait::async_trait;
use fusion_api_types::api::{AgentMetrics, CostReport, TopReport};
use fusion_api_types::{
    AgentDetail, AgentList, AgentLog, AgentSent, AgentSummary, AgentsEnded, Problem,
};
use fusion_cli::{
    AgentChanges, AgentMetricsArgs, AgentQuery, Agents, AttachEnd, CostArgs, Leaving, Log,
    LogQuery, Metrics, MetricsTopArgs, NewAgents, Progress,
};

use super::Fake;

impl Fake {
    /// Shows the entries of its answer.
    pub(super) fn logged(&self, question: String, log: &mut dyn Log) -> Result<(), Problem> {
        let kept: AgentLog = self.report(question)?;
        for entry in &kept.entries {
            if log.entry(entry)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Agents for Fake {
    async fn spawn_agents(&self, new: &NewAgents) -> Result<AgentList, Problem> {
        self.report(format!("{new:?}"))
    }

    async fn list_agents(&self, query: &AgentQuery) -> Result<Vec<AgentSummary>, Problem> {
        let list: AgentList = self.report(format!("{query:?}"))?;
        Ok(list.agents)
    }

    async fn show_agent(&self, agent: &str) -> Result<AgentDetail, Problem> {
        self.report(format!("show {agent}"))
    }

    async fn pause_agent(&self, agent: &str, at: &'static str) -> Result<AgentSummary, Problem> {
        self.report(format!("pause {agent} {at}"))
    }

    async fn resume_agent(&self, agent: &str) -> Result<AgentSummary, Problem> {
        self.report(format!("resume {agent}"))
    }

    async fn restart_agents(
        &self,
        agents: &[String],
        at: &'static str,
    ) -> Result<AgentList, Problem> {
        self.report(format!("restart {agents:?} {at}"))
    }

    async fn terminate_agents(
        &self,
        agents: &Leaving,
        workspace: &'static str,
    ) -> Result<AgentsEnded, Problem> {
        self.report(format!("terminate {agents:?} {workspace}"))
    }

    async fn update_agent(
        &self,
        agent: &str,
        changes: &AgentChanges,
    ) -> Result<AgentSummary, Problem> {
        self.report(format!("update {agent} {changes:?}"))
    }

    async fn agent_logs(
        &self,
        agent: &str,
        query: &LogQuery,
        log: &mut dyn Log,
    ) -> Result<(), Problem> {
        self.logged(format!("logs {agent} {query:?}"), log)
    }

    async fn attach_to_agent(
        &self,
        agent: &str,
        limit: u32,
        log: &mut dyn Log,
    ) -> Result<AttachEnd, Problem> {
        self.logged(format!("attach {agent} {limit}"), log)?;
        let mut end = AttachEnd {
            agent: agent.to_owned(),
            ..AttachEnd::default()
        };
        match agent {
            "failing" => {
                log.notice("run 1 did not end well: boom")?;
                end.failed.push("1".to_owned());
            }
            "stopped" => end.stopped = true,
            _ => {}
        }
        Ok(end)
    }

    async fn send_to_agent(
        &self,
        agent: &str,
        message: &str,
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<AgentSent, Problem> {
        let sent = self.report(format!("send {agent} {message} {wait}"))?;
        if self.run.is_some() {
            self.play(progress);
        }
        Ok(sent)
    }
}

#[async_trait]
impl Metrics for Fake {
    async fn agent_metrics(&self, asked: &AgentMetricsArgs) -> Result<AgentMetrics, Problem> {
        self.report(format!("{asked:?}"))
    }

    async fn costs(&self, asked: &CostArgs) -> Result<CostReport, Problem> {
        self.report(format!("{asked:?}"))
    }

    async fn used_most(&self, asked: &MetricsTopArgs) -> Result<TopReport, Problem> {
        self.report(format!("{asked:?}"))
    }
}
