//! Holding agents and letting them go on, and changing what they work with.

use std::time::Duration;

use fusion_core::{Agent, AgentId, AgentState, PauseAt, RunId, Task, TaskState, run_subject};
use fusion_persistence::{Batch, Repository};
use tokio::time::{Instant, sleep, timeout_at};

use super::{AgentUpdate, held, refused, spec_of};
use crate::races::Races;
use crate::seats::LOOK;
use crate::{Coordinator, Error, Raised, Result};

/// How long a worker may take to stop before who restarts its agent is answered.
const STOPPING: Duration = Duration::from_secs(3);

impl Coordinator {
    /// Holds an agent: it takes no task. What it works on is given back, at once or when the call in
    /// flight is ended, and kept for it with its journal. Returns when the row says so; the worker
    /// stops a moment later.
    ///
    /// # Errors
    /// There is no such agent, or it neither waits for work nor works.
    pub async fn pause_agent(&self, id: AgentId, at: PauseAt) -> Result<Agent> {
        let mut races = Races::new();
        let paused = loop {
            let agent: Agent = self.parts.store.get(id).await?;
            let tasks = self.open_tasks(&agent).await?;
            let refused = refused(&agent);
            let paused = agent.pause(at, run_of(&tasks), self.moment());
            let (agent, decision) = paused.map_err(refused)?;
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                break agent;
            }
        };
        self.crew.stop(id, at);
        Ok(paused)
    }

    /// Lets a paused agent go on: with the task that it had, from its journal.
    ///
    /// # Errors
    /// There is no such agent, or it is not paused.
    pub async fn resume_agent(&self, id: AgentId) -> Result<Agent> {
        self.resume_if(id, |_| true).await
    }

    /// Lets a paused agent go on if it is as asked; gives it as it is now.
    async fn resume_if(&self, id: AgentId, is_meant: impl Fn(&Agent) -> bool) -> Result<Agent> {
        let mut races = Races::new();
        let resumed = loop {
            let agent: Agent = self.parts.store.get(id).await?;
            if !is_meant(&agent) {
                return Ok(agent);
            }
            let tasks = self.open_tasks(&agent).await?;
            let is_at_work = held(&tasks).is_some_and(|task| task.state == TaskState::Running);
            let refused = refused(&agent);
            let resumed = agent.resume(is_at_work, run_of(&tasks), self.moment());
            let (agent, decision) = resumed.map_err(refused)?;
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                break agent;
            }
        };
        self.wake_up(&resumed).await?;
        Ok(resumed)
    }

    /// Has what an agent works on given back, at once or when the call in flight is ended, and lets it go on
    /// with it, from its journal; its inbox is kept. One that is held goes on, too. That it is to go on is
    /// kept in its row: where its worker takes longer than a moment to stop, the agent is given as it is
    /// then, held, and goes on once the worker is gone, also after a death of this process.
    ///
    /// # Errors
    /// There is no such agent, it is being made or ended, or it has ended, also meanwhile.
    pub async fn restart_agent(&self, id: AgentId, at: PauseAt) -> Result<Agent> {
        let mut races = Races::new();
        let restarted = loop {
            let agent: Agent = self.parts.store.get(id).await?;
            expect_going_on(&agent)?;
            let tasks = self.open_tasks(&agent).await?;
            let is_at_work = self.is_at_work(id, &tasks);
            let refused = refused(&agent);
            let restarted = agent.restart(at, is_at_work, run_of(&tasks), self.moment());
            let (agent, decision) = restarted.map_err(refused)?;
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                break agent;
            }
        };
        if !restarted.is_restarting() {
            self.wake_up(&restarted).await?;
            return Ok(restarted);
        }
        self.crew.stop(id, at);
        let deadline = Instant::now() + STOPPING;
        timeout_at(deadline, self.crew.gone(id)).await.ok();
        // Its worker may be in another process: then the row tells when it is gone.
        loop {
            let agent = self.finish_restart(id).await?;
            expect_going_on(&agent)?;
            if !agent.is_restarting() || Instant::now() >= deadline {
                return Ok(agent);
            }
            sleep(LOOK).await;
        }
    }

    /// Lets an agent go on that is held to be restarted, once its worker is gone; gives it as it is then.
    pub(super) async fn finish_restart(&self, id: AgentId) -> Result<Agent> {
        let agent: Agent = self.parts.store.get(id).await?;
        let tasks = self.open_tasks(&agent).await?;
        if !agent.is_restarting() || self.is_at_work(id, &tasks) {
            return Ok(agent);
        }
        // Another may be quicker, and a person may hold it again.
        self.resume_if(id, Agent::is_restarting).await
    }

    /// Whether something of an agent may be under way.
    fn is_at_work(&self, id: AgentId, tasks: &[Task]) -> bool {
        held(tasks).is_some() || self.crew.has(id)
    }

    /// An agent that was held waits for work again.
    async fn wake_up(&self, agent: &Agent) -> Result<()> {
        if let Some(run) = run_of(&self.open_tasks(agent).await?) {
            self.hint_run(run);
        }
        if agent.is_standing() {
            self.take_up_mail(agent.id).await?;
        }
        Ok(())
    }

    /// Changes what a standing agent works with, from its next task on, and what it may spend over its
    /// life, from its next call on: what waits for that goes on at once. A new model is asked for first.
    /// `by` is who asked; another limit is taken down with that in the event log.
    ///
    /// # Errors
    /// There is no such agent, it belongs to a run, what is asked for can't be had, or it has ended.
    pub async fn update_agent(&self, id: AgentId, update: AgentUpdate, by: &str) -> Result<Agent> {
        let mut races = Races::new();
        loop {
            let agent = self.parts.store.get(id).await?;
            let mut changed = self.changed(agent.clone(), &update).await?;
            let (before, now) = (spec_of(&agent)?.budget, spec_of(&changed)?.budget);
            let limits = (before != now).then_some((before, now));
            let decision = changed.clone().configure(limits, by, self.moment());
            if self
                .try_to_commit(Batch::free(decision), &mut races)
                .await?
            {
                changed.version += 1;
                if limits.is_some() && !self.is_dry_run {
                    self.try_again_for(&changed).await?;
                }
                return Ok(changed);
            }
        }
    }

    /// What an agent works on goes on at once where it waits for a limit.
    async fn try_again_for(&self, agent: &Agent) -> Result<()> {
        for task in self.open_tasks(agent).await? {
            self.wake(task.run_id, true).await?;
            if task.pool.is_some() {
                self.hint_pool(&task, None);
            } else {
                self.drivers.want(task.run_id, Raised::default());
                self.hint_run(task.run_id);
            }
        }
        Ok(())
    }

    /// Says that there may be something to do for a run.
    pub(crate) fn hint_run(&self, run: RunId) {
        self.hint_free(run);
        self.hint(&run_subject(run));
    }
}

/// Refuses what ends or has ended.
fn expect_going_on(agent: &Agent) -> Result<()> {
    let name = || agent.name.clone();
    if agent.state == AgentState::Terminated {
        return Err(Error::HasEnded { agent: name() });
    }
    match agent.ending() {
        None => Ok(()),
        Some(disposal) => Err(Error::Ending {
            agent: name(),
            disposal,
        }),
    }
}

/// The run that an agent works for.
fn run_of(tasks: &[Task]) -> Option<RunId> {
    held(tasks)
        .or_else(|| tasks.first())
        .map(|task| task.run_id)
}
