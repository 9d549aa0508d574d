//! How steps end, told to the agents that subscribed to it.

use std::collections::BTreeMap;

use fusion_core::{Agent, AgentId, AgentState, Audience, Decision, Draft, NewEvent, error_chain};
use fusion_messaging::{Pattern, Subject};
use fusion_persistence::{Batch, Listeners};
use serde_json::json;

use crate::finish::WithRun;
use crate::plan::Plan;
use crate::races::Races;
use crate::worker::Job;
use crate::{Coordinator, Error, Result};

/// What still fits into an inbox that was found full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// How the step itself ended.
    ForTheEnd,
    /// Nothing.
    None,
}

impl Coordinator {
    /// Commits how a task ended, and in the same commit a message for those of the run's other agents
    /// that listen to it. They are read only where somebody listens. Whoever subscribes at the same
    /// moment, also in another process, comes after the end in the log or is told of it: the commit
    /// says who was overlooked.
    pub(crate) async fn commit_end(&self, job: &Job<'_>, decision: Decision) -> Result<()> {
        let plan = job.plan;
        self.crew.got_on(job.agent.id);
        let decision = plan.ended(decision, self.moment())?;
        if !plan.has_listeners() {
            match self.commit_unheard_end(job, &decision).await {
                Err(Error::Store(fusion_persistence::Error::Heard { .. })) => {
                    plan.expect_listeners();
                }
                other => return other,
            }
        }
        let mut races = Races::new();
        loop {
            match self.commit_heard_end(job, &decision).await {
                Err(error @ Error::Store(fusion_persistence::Error::Heard { .. })) => {
                    races.after(error).await?;
                }
                other => return other,
            }
        }
    }

    /// Commits how a task ended where nobody listens: with the end of its run, when it is the last.
    async fn commit_unheard_end(&self, job: &Job<'_>, decision: &Decision) -> Result<()> {
        let run = job.plan.run.id;
        if let Some(WithRun { decision, ended }) = self.with_run(job, decision).await? {
            let whole = Batch::fenced(job.fence, decision).unheard_in(run);
            match self.commit_work(whole).await {
                // Somebody has a word in it meanwhile.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
                Ok(()) => return self.discard_all_shared(&ended).await,
            }
        }
        let alone = Batch::fenced(job.fence, decision.clone()).unheard_in(run);
        self.commit_and_follow(job, alone).await
    }

    /// An agent with a full inbox misses how a step ended: nobody can hold a step up. One that has no
    /// room for all that the end brings with it (what is cancelled) hears of the end alone.
    async fn commit_heard_end(&self, job: &Job<'_>, decision: &Decision) -> Result<()> {
        let fence = job.fence;
        let (listeners, others) = self.listeners(job.plan, job.agent.id).await?;
        fail::fail_point!("coordination::listeners_read");
        let mut room = BTreeMap::new();
        loop {
            let mut whole = decision.clone();
            for event in &decision.events {
                let is_own = event.data.get("task_id") == Some(&json!(fence.task));
                if let Some(told) = self.told(event, is_own, &others, &room) {
                    whole.merge(told);
                }
            }
            let batch = Batch::fenced(fence, whole).heard_by(listeners.clone());
            match self.commit_and_follow(job, batch).await {
                Err(Error::Store(fusion_persistence::Error::InboxFull { agent, .. }))
                    if room.get(&agent) != Some(&Room::None) =>
                {
                    let less = match room.get(&agent) {
                        None => Room::ForTheEnd,
                        Some(_) => Room::None,
                    };
                    room.insert(agent, less);
                    tracing::warn!(agent.id = %agent, "events were not told: the inbox is full");
                }
                other => return other,
            }
        }
    }

    /// Who listens in the run now, and its agents but for one that have not ended.
    async fn listeners(&self, plan: &Plan, own: AgentId) -> Result<(Listeners, Vec<Agent>)> {
        let run = plan.run.id;
        let agents = self.parts.store.agents_of_run(run).await?;
        let listeners = Listeners::among(run, agents.iter().map(|(agent, _)| agent));
        let others = agents.into_iter().map(|(agent, _)| agent);
        let others = others
            .filter(|agent| agent.id != own && agent.state != AgentState::Terminated)
            .collect();
        Ok((listeners, others))
    }

    /// The message that tells of an event, when somebody listens to it, or to the events of the run.
    fn told(
        &self,
        event: &NewEvent,
        is_own: bool,
        others: &[Agent],
        room: &BTreeMap<AgentId, Room>,
    ) -> Option<Decision> {
        let topic = event.message_queue_topic.as_deref()?;
        let (_, state) = event.event_type.as_str().split_once("task.")?;
        let of_run = event.run_id.map(|run| format!("workflow.{run}.events"));
        let topics = [Some(topic), of_run.as_deref()];
        let subjects: Vec<Subject> = topics.iter().flatten().flat_map(|it| it.parse()).collect();
        let names = |pattern: &String| {
            let pattern = pattern.parse::<Pattern>();
            pattern.is_ok_and(|pattern| subjects.iter().any(|subject| pattern.matches(subject)))
        };
        let listeners: Vec<AgentId> = others
            .iter()
            .filter(|agent| agent.message_subscriptions.iter().any(names))
            .map(|agent| agent.id)
            .filter(|id| match room.get(id) {
                None => true,
                Some(Room::ForTheEnd) => is_own,
                Some(Room::None) => false,
            })
            .collect();
        if listeners.is_empty() {
            return None;
        }
        let step = event.data.get("step").and_then(|step| step.as_str());
        // Without the reason of a failure: that may be words of a model.
        let text = format!("The step '{}' is {state}.", step.unwrap_or_default());
        let draft = Draft {
            sender: None,
            run_id: event.run_id,
            audience: Audience::Listeners(listeners),
            topic: topic.to_owned(),
            message_type: event.event_type.as_str().to_owned(),
            payload: text.into(),
            reply_to: None,
            expiry_at: None,
        };
        match draft.send(self.options.messages, self.moment()) {
            Ok((_, mut sending)) => {
                for sent in &mut sending.events {
                    sent.message = format!("who listens was told: {}", event.message);
                }
                Some(sending)
            }
            Err(fault) => {
                tracing::warn!(error = error_chain(&fault), topic, "an event was not told");
                None
            }
        }
    }
}
