//! Where an agent is written to, and what became of what it was sent.

use async_trait::async_trait;
use fusion_api_types::{AgentSummary, Problem, RunDetail};
use fusion_core::{
    Agent, AgentId, Delivery, DeliveryStatus, MessageId, Run, RunId, Task, Timestamp,
};
use fusion_persistence::{MessageReader, Page, Repository, TaskFilter};
use tokio::sync::mpsc;

use crate::agents::find::parsed;
use crate::agents::read;
use crate::agents::send::open_run;
use crate::problems;
use crate::remote::Remote;
use crate::wiring::Engine;

/// Tasks of an agent, the newest, among which that is looked for in which it read a message.
pub(crate) const TASKS: u32 = 100;

/// What became of a message.
pub(super) enum Became {
    /// It waits, or is worked on.
    Open,
    /// Its run ended; why, where it did not end well.
    Ended { run: String, why: Option<String> },
}

/// What an agent is at.
pub(super) enum Course {
    Rests,
    Works,
    /// It begins nothing until somebody lets it.
    Held(String),
    /// It has ended.
    Over,
}

/// Where an agent is written to.
#[async_trait]
pub(super) trait Desk: Send + Sync {
    /// Sends a text; gives the id of the message.
    async fn send(&self, text: &str) -> Result<String, Problem>;

    async fn became(&self, message: &str) -> Result<Became, Problem>;

    async fn course(&self) -> Result<Course, Problem>;
}

/// An agent of this process's store.
pub(super) struct OfEngine<'a> {
    pub(super) engine: &'a Engine,
    pub(super) agent: AgentId,
    pub(super) begun: mpsc::UnboundedSender<RunId>,
}

#[async_trait]
impl Desk for OfEngine<'_> {
    async fn send(&self, text: &str) -> Result<String, Problem> {
        let sent = self.engine.coordinator();
        let sent = sent.send_to_agent(self.agent, text.into()).await;
        let sent = sent.map_err(|error| problems::of_engine(&error))?;
        if let Some(run) = sent.run {
            // Who worked on it has ended with a problem, which is told.
            self.begun.send(run).ok();
        }
        Ok(sent.message.to_string())
    }

    async fn became(&self, message: &str) -> Result<Became, Problem> {
        let message: MessageId = parsed(message)?;
        let coordinator = self.engine.coordinator();
        let run = coordinator.run_for(self.agent, message).await;
        let run = run.map_err(|error| problems::of_engine(&error))?;
        let run = match run {
            Some(run) => run,
            None => match self.read_in(message).await? {
                Ok(run) => run,
                Err(became) => return Ok(became),
            },
        };
        let run: Run = self.engine.store().get(run).await.map_err(read)?;
        if !run.state.is_final() {
            return Ok(Became::Open);
        }
        let error = run.error_message;
        Ok(ended(run.id.to_string(), run.state.as_str(), error))
    }

    async fn course(&self) -> Result<Course, Problem> {
        let agent: Agent = self.engine.store().get(self.agent).await.map_err(read)?;
        if let Some(course) = out_of_work(agent.state.as_str()) {
            return Ok(course);
        }
        let has_run = open_run(self.engine, &agent).await?.is_some();
        let inbox = self.engine.store().inbox(self.agent, 0, 1).await;
        let has_mail = !inbox.map_err(read)?.is_empty();
        Ok(if has_run || has_mail {
            Course::Works
        } else {
            Course::Rests
        })
    }
}

impl OfEngine<'_> {
    /// The run in a turn of which the agent read a message; `Err` where there is none.
    async fn read_in(&self, message: MessageId) -> Result<Result<RunId, Became>, Problem> {
        let store = self.engine.store();
        let deliveries = store.deliveries(message).await.map_err(read)?;
        let is = |status| move |it: &&Delivery| it.status == status;
        if deliveries.iter().any(|it| is(DeliveryStatus::Pending)(&it)) {
            return Ok(Err(Became::Open));
        }
        let filter = TaskFilter {
            agent: Some(self.agent),
            ..TaskFilter::default()
        };
        let tasks: Vec<Task> = store
            .list(&filter, Page::first(TASKS))
            .await
            .map_err(read)?;
        let tasks = tasks.into_iter().map(|task| (task.started_at, task.run_id));
        let mut delivered = deliveries.iter().filter(is(DeliveryStatus::Delivered));
        let read_at = delivered.find_map(|it| it.settled_at);
        let run = read_at.and_then(|read_at| at_work(tasks, read_at));
        // Nobody reads it any more.
        Ok(run.ok_or(Became::Ended {
            run: String::new(),
            why: None,
        }))
    }
}

/// The run that an agent was at work on at a time: of its tasks, that which had begun last.
pub(crate) fn at_work<R>(
    tasks: impl Iterator<Item = (Option<Timestamp>, R)>,
    time: Timestamp,
) -> Option<R> {
    let begun = tasks.filter_map(|(began, run)| Some((began?, run)));
    let before = begun.filter(|(began, _)| *began <= time);
    before.max_by_key(|(began, _)| *began).map(|(_, run)| run)
}

/// An agent of a server.
pub(super) struct OfServer {
    pub(super) remote: Remote,
    pub(super) agent: AgentSummary,
}

#[async_trait]
impl Desk for OfServer {
    async fn send(&self, text: &str) -> Result<String, Problem> {
        let sent = self.remote.send_to_agent(&self.agent, text).await?;
        Ok(sent.message)
    }

    async fn became(&self, message: &str) -> Result<Became, Problem> {
        let Some(run) = self.remote.work_on(&self.agent, message).await?.run else {
            return Ok(Became::Open);
        };
        let run: RunDetail = self.remote.show_run(Some(&run)).await?;
        let summary = run.summary;
        if !summary.is_final() {
            return Ok(Became::Open);
        }
        Ok(ended(summary.id, &summary.state, summary.error))
    }

    async fn course(&self) -> Result<Course, Problem> {
        let state = self.remote.agent(&self.agent.id).await?.state;
        Ok(out_of_work(&state).unwrap_or(match state.as_str() {
            "idle" => Course::Rests,
            _ => Course::Works,
        }))
    }
}

fn ended(run: String, state: &str, error: Option<String>) -> Became {
    let why = (state != "completed").then(|| error.unwrap_or_else(|| format!("it was {state}")));
    Became::Ended { run, why }
}

/// What an agent is at that neither waits for work nor works.
fn out_of_work(state: &str) -> Option<Course> {
    match state {
        "terminated" => Some(Course::Over),
        "paused" | "error" => Some(Course::Held(state.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::at_work;
    use chrono::DateTime;

    #[test]
    fn a_message_was_read_in_the_run_that_was_at_work_then_and_in_no_later_one() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        // The newest first; what waits was not begun.
        let tasks = [
            (None, "waits"),
            (Some(at(30)), "newest"),
            (Some(at(10)), "second"),
            (Some(at(20)), "third"),
        ];
        let read = [9, 10, 19, 20, 29, 30].map(|time| at_work(tasks.into_iter(), at(time)));
        let wanted = [
            None,
            Some("second"),
            Some("second"),
            Some("third"),
            Some("third"),
            Some("newest"),
        ];
        assert_eq!(read, wanted);
    }
}
