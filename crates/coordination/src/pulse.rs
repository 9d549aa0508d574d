//! What a process does again and again while it works, whatever the number of its runs.

use fusion_core::{Agent, AgentId, AgentState, Change, Decision, EventType, PauseAt, Severity};
use fusion_messaging::{Pattern, Subscription};
use fusion_persistence::{Batch, Repository};
use tokio::time::{Duration, Instant, Interval, MissedTickBehavior, interval_at};

use crate::agents::held;
use crate::crew::Signs;
use crate::{Coordinator, Error, Result};

/// Says that an agent was held, let go on or ended.
const STATUS: &str = "agent.*.status";

impl Coordinator {
    /// Keeps the leases of this process, and stops its workers whose agents were held elsewhere.
    /// Ends only when the store fails. One of all that ask for it does it, and another when that one is
    /// dropped.
    pub(crate) async fn pulse(&self) -> Result<()> {
        let _heart = self.heart.lock().await;
        if self.options.node.is_none() {
            return self.look_after_all().await;
        }
        tokio::select! {
            kept = self.keep_node() => kept,
            looked = self.look_after_all() => looked,
        }
    }

    async fn look_after_all(&self) -> Result<()> {
        let mut status = self.listen(STATUS).await?;
        let mut heartbeat = every(self.options.heartbeat);
        let mut samples = self.options.metrics.map(every);
        loop {
            tokio::select! {
                biased;
                _ = heartbeat.tick() => self.beat().await?,
                () = next(&mut samples) => self.take_samples().await,
                // The next heartbeat looks at all, whatever was not heard.
                Some(hint) = status.recv() => {
                    if let Some(agent) = agent_of(hint.subject.as_str()) {
                        self.look_after(agent).await?;
                    }
                }
            }
        }
    }

    /// Keeps the leases of this process, then takes back those that others let run out, and gives up
    /// messages that nobody will read. In this order: after a time without the store its own may
    /// have run out too. Asks for nothing of it where one look says that there is nothing.
    async fn beat(&self) -> Result<()> {
        let is_alone = self.options.node.is_none();
        // A host of a node looks more often, and at more.
        let looks = is_alone || !self.part.is_hosting();
        let due = if looks {
            self.look_out().await?
        } else {
            self.may_be_due()
        };
        if is_alone && (due.leased_tasks || self.crew.size() > 0) {
            self.keep_tasks().await?;
        }
        self.write_notices().await;
        self.tell_signs().await?;
        if due.dead_mail {
            self.give_up_some_mail().await?;
        }
        if due.approvals {
            self.expire_approvals().await?;
        }
        for agent in self.crew.agents() {
            self.look_after(agent).await?;
        }
        if looks && due.lost_tasks {
            self.recover().await?;
        }
        Ok(())
    }

    async fn keep_tasks(&self) -> Result<()> {
        let at_work = self.crew.size();
        let leases = self.parts.store.extend_leases(self.lease()).await?;
        if leases < u64::try_from(at_work).unwrap_or(u64::MAX) {
            self.stop_lost().await?;
        }
        Ok(())
    }

    /// Writes down who got on, and tells of who has been silent for too long.
    async fn tell_signs(&self) -> Result<()> {
        let Signs {
            fresh,
            silent,
            back,
        } = self.crew.look(self.options.unresponsive);
        let mut decision = Decision::default();
        let moment = self.moment();
        if !fresh.is_empty() {
            decision.changes.push(Change::Progress {
                agents: fresh,
                at: moment.now,
            });
        }
        let seconds = self.options.unresponsive.as_secs();
        for (id, run) in silent {
            let agent: Agent = self.parts.store.get(id).await?;
            let told = format!("{} has shown no progress for {seconds} s", agent.name);
            let event = agent.event(moment, EventType::AgentUnresponsive, Some(run), told);
            decision.events.push(event.severity(Severity::Warning));
        }
        for (id, run) in back {
            let agent: Agent = self.parts.store.get(id).await?;
            let told = format!("{} gets on again", agent.name);
            let event = agent.event(moment, EventType::AgentRecovered, Some(run), told);
            decision.events.push(event);
        }
        if decision == Decision::default() {
            return Ok(());
        }
        self.commit(Batch::free(decision)).await
    }

    /// Stops the workers whose task was taken away from them: cancelled, say, by another process.
    pub(crate) async fn stop_lost(&self) -> Result<()> {
        for id in self.crew.agents() {
            let agent = self.parts.store.get(id).await?;
            if held(&self.open_tasks(&agent).await?).is_none() {
                self.crew.stop(id, PauseAt::Now);
            }
        }
        Ok(())
    }

    /// Stops the worker of an agent that was held or ended.
    async fn look_after(&self, id: AgentId) -> Result<()> {
        if !self.crew.has(id) {
            return Ok(());
        }
        let agent = self.parts.store.get(id).await?;
        match agent.state {
            AgentState::Paused => {
                let at = agent.paused_at().unwrap_or(PauseAt::Now);
                self.crew.stop(id, at);
            }
            AgentState::Terminated | AgentState::Error => self.crew.stop(id, PauseAt::Now),
            // Claimed and not begun, or at work.
            AgentState::Spawning | AgentState::Idle | AgentState::Working => {}
        }
        Ok(())
    }

    /// Listens on the bus.
    pub(crate) async fn listen(&self, pattern: &str) -> Result<Subscription> {
        let pattern: Pattern = pattern
            .parse()
            .map_err(|error| Error::Broken(format!("{error}")))?;
        Ok(self.parts.bus.subscribe(&pattern).await)
    }
}

/// A clock that ticks for the first time after its period.
fn every(period: Duration) -> Interval {
    let mut clock = interval_at(Instant::now() + period, period);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    clock
}

/// The next tick; never, without a clock.
async fn next(clock: &mut Option<Interval>) {
    match clock {
        Some(clock) => drop(clock.tick().await),
        None => std::future::pending().await,
    }
}

/// The agent in a subject such as `agent.{id}.status`.
pub(crate) fn agent_of(subject: &str) -> Option<AgentId> {
    subject.split('.').nth(1)?.parse().ok()
}
