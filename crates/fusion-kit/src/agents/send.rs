//! Sending an agent something to do, and waiting until it is done.

use std::time::Duration;

use fusion_api_types::{AgentSent, Problem, ProblemKind, RunDetail};
use fusion_cli::{Backend, Progress};
use fusion_coordination::{Raised, Sent};
use fusion_core::{Agent, AgentState, DeliveryStatus, Run, RunId, Task, TaskState};
use fusion_persistence::{MessageReader, Page, Repository, TaskFilter};
use fusion_persistence_sql::Location;

use super::find::find_agent;
use super::read;
use crate::backend::{Driving, LocalBackend};
use crate::problems;
use crate::wiring::{self, Engine};

/// Open tasks of an agent that are looked at.
const OPEN: u32 = 1_000;

/// How often it is looked whether another process has done it.
const LOOK: Duration = Duration::from_millis(100);

impl LocalBackend {
    pub(super) async fn send_on(
        &self,
        engine: &Engine,
        (agent, message): (&str, &str),
        wait: bool,
        progress: &mut dyn Progress,
    ) -> Result<AgentSent, Problem> {
        let agent = find_agent(engine.store(), &self.data_dir()?, agent).await?;
        if wait {
            self.tell_sandbox(progress)?;
        }
        let sent = engine
            .coordinator()
            .send_to_agent(agent.id, message.into())
            .await
            .map_err(|error| problems::of_engine(&error))?;
        let result = if wait {
            Some(self.result_of(engine, &agent, sent, progress).await?)
        } else {
            None
        };
        let now: Agent = engine.store().get(agent.id).await.map_err(read)?;
        Ok(AgentSent {
            message: sent.message.to_string(),
            agent: agent.id.to_string(),
            name: agent.name,
            state: now.state.as_str().to_owned(),
            run: sent.run.as_ref().map(RunId::to_string),
            result,
        })
    }

    /// Works on what the agent has to do until the message is done.
    async fn result_of(
        &self,
        engine: &Engine,
        agent: &Agent,
        sent: Sent,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        let data_dir = self.data_dir()?;
        let location = wiring::location(self.config(), &data_dir)?;
        let mut run = sent.run;
        loop {
            if let Some(run) = run {
                let driving = Driving {
                    engine,
                    data_dir: &data_dir,
                    run,
                    raised: Raised::default(),
                };
                return self.drive(driving, progress).await;
            }
            let now: Agent = engine.store().get(agent.id).await.map_err(read)?;
            if !matches!(now.state, AgentState::Idle | AgentState::Working) {
                let text = format!("{} is {}: it reads the message later", now.name, now.state);
                let resume = data_dir.command(&format!("agent resume {}", now.name));
                return Err(Problem::new(ProblemKind::Conflict, text)
                    .with_help(format!("let it go on with: {resume}")));
            }
            match open_run(engine, &now).await? {
                // Another process may be at work on it.
                Some(before) if matches!(location, Location::Server(_)) => {
                    tokio::time::sleep(LOOK).await;
                    let run: Run = engine.store().get(before).await.map_err(read)?;
                    if run.state.is_final() && self.was_read(engine, sent).await? {
                        return self.show_run(Some(&before.to_string())).await;
                    }
                }
                Some(before) => {
                    let driving = Driving {
                        engine,
                        data_dir: &data_dir,
                        run: before,
                        raised: Raised::default(),
                    };
                    let ended = self.drive(driving, progress).await?;
                    if !ended.summary.is_final() || self.was_read(engine, sent).await? {
                        return Ok(ended);
                    }
                }
                None => {}
            }
            run = self.next_run(engine, &now, sent).await?;
        }
    }

    /// Whether the agent read the message in a turn of something that it did already.
    async fn was_read(&self, engine: &Engine, sent: Sent) -> Result<bool, Problem> {
        let deliveries = engine.store().deliveries(sent.message).await;
        let deliveries = deliveries.map_err(read)?;
        Ok(deliveries
            .iter()
            .any(|delivery| delivery.status == DeliveryStatus::Delivered))
    }

    /// The run for the message, once it is its turn.
    async fn next_run(
        &self,
        engine: &Engine,
        agent: &Agent,
        sent: Sent,
    ) -> Result<Option<RunId>, Problem> {
        let coordinator = engine.coordinator();
        let next = async {
            coordinator.take_up_mail(agent.id).await?;
            coordinator.run_for(agent.id, sent.message).await
        };
        next.await.map_err(|error| problems::of_engine(&error))
    }
}

/// The run that an agent has to end first.
pub(super) async fn open_run(engine: &Engine, agent: &Agent) -> Result<Option<RunId>, Problem> {
    let filter = TaskFilter {
        states: vec![TaskState::Queued, TaskState::Assigned, TaskState::Running],
        agent: Some(agent.id),
        ..TaskFilter::default()
    };
    let open: Vec<Task> = engine
        .store()
        .list(&filter, Page::first(OPEN))
        .await
        .map_err(read)?;
    // What it is given as a task of its own is not driven.
    let driven = open.iter().find(|task| task.pool.is_none());
    Ok(driven.map(|task| task.run_id))
}
