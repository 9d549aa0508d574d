//! How an agent is made ready, held, let go on and ended.

use serde_json::{Value, json};

use crate::audit::life_limited;
use crate::transition::text_enum;
use crate::{
    Agent, AgentState, Budget, Change, Decision, Disposal, EventId, EventType, IllegalTransition,
    Moment, NewEvent, RunId, Severity, Workspace,
};

text_enum! {
    /// When a pause takes effect on an agent at work.
    PauseAt {
        /// The call in flight is cut off, as by a crash.
        Now = "now",
        /// The call in flight is ended, and no further one is begun.
        NextStep = "next_step",
    }
}

/// In the metadata: how a paused agent is held.
const PAUSED: &str = "paused";

/// In the metadata: a paused agent goes on by itself once its worker is gone.
const RESTARTING: &str = "restarting";

/// In the metadata: what becomes of the workspace of an agent that is being ended.
const ENDING: &str = "ending";

impl Agent {
    /// Whether it lives outside of runs.
    #[must_use]
    pub const fn is_standing(&self) -> bool {
        self.run_id.is_none()
    }

    /// How it is held, while it is paused.
    #[must_use]
    pub fn paused_at(&self) -> Option<PauseAt> {
        PauseAt::from_text(self.metadata.get(PAUSED)?.as_str()?)
    }

    /// What becomes of its workspace, once it was told to end.
    #[must_use]
    pub fn ending(&self) -> Option<Disposal> {
        Disposal::from_text(self.metadata.get(ENDING)?.as_str()?)
    }

    /// Whether it goes on by itself, once nothing of what it was at is under way.
    #[must_use]
    pub fn is_restarting(&self) -> bool {
        let mark = self.metadata.get(RESTARTING).and_then(Value::as_str);
        self.state == AgentState::Paused && mark.and_then(PauseAt::from_text).is_some()
    }

    /// An event about this agent, published under `agent.{id}.status`. `run` is the one that it works
    /// for, when it works for one.
    #[must_use]
    pub fn event(
        &self,
        moment: Moment<'_>,
        event_type: EventType,
        run: Option<RunId>,
        message: String,
    ) -> NewEvent {
        NewEvent {
            id: EventId::from_uuid(moment.ids.uuid()),
            timestamp: moment.now,
            event_type,
            severity: Severity::Info,
            source_agent_id: Some(self.id),
            source_component: "coordination".to_owned(),
            run_id: run.or(self.run_id),
            data: json!({ "agent_id": self.id, "name": self.name, "state": self.state }),
            message,
            message_queue_topic: Some(format!("agent.{}.status", self.id)),
        }
    }

    /// Its workspace exists: it is ready for a task.
    ///
    /// # Errors
    /// It is not spawning.
    pub fn ready(
        mut self,
        mut workspace: Workspace,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        self.transition(AgentState::Idle, moment.now)?;
        self.last_heartbeat = Some(moment.now);
        workspace.initialized = true;
        let told = format!("{} is ready", self.name);
        let event = self
            .event(moment, EventType::AgentSpawned, None, told)
            .data(json!({ "agent_id": self.id, "workspace": workspace.root_path }));
        Ok(Decision::default()
            .with(Change::update(self))
            .with(Change::update(workspace))
            .telling(event))
    }

    /// It could not be made ready, and nothing of it is left but its row. The store knows no shorter
    /// way than two moves.
    ///
    /// # Errors
    /// It is not spawning.
    pub fn give_up(
        mut self,
        mut workspace: Workspace,
        why: &str,
        moment: Moment<'_>,
    ) -> Result<Decision, IllegalTransition> {
        self.transition(AgentState::Error, moment.now)?;
        let broken = self.clone();
        self.version += 1;
        self.transition(AgentState::Terminated, moment.now)?;
        workspace.process_uid = None;
        workspace.initialization_error = Some(why.to_owned());
        let told = format!("{} could not be spawned: {why}", self.name);
        let event = self
            .event(moment, EventType::AgentTerminated, None, told)
            .severity(Severity::Error);
        Ok(Decision::default()
            .with(Change::update(broken))
            .with(Change::update(self))
            .with(Change::update(workspace))
            .telling(event))
    }

    /// Holds it: it takes no task, and what it works on is given back at `at` and kept for it. One that is
    /// restarted stays held. `run` is the one that it works for.
    ///
    /// # Errors
    /// It neither waits for work nor works, nor is restarted.
    pub fn pause(
        mut self,
        at: PauseAt,
        run: Option<RunId>,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        if self.is_restarting() {
            self.updated_at = moment.now;
            self.mark(RESTARTING, None);
        } else {
            self.transition(AgentState::Paused, moment.now)?;
        }
        self.mark(PAUSED, Some(at.as_str()));
        let told = format!("{} is paused", self.name);
        let event = self.event(moment, EventType::AgentPaused, run, told);
        Ok(self.written(event))
    }

    /// Has what it works on given back, as a pause does, and lets it go on: in one step where nothing of it
    /// is under way, else it is held until its worker is gone, and then to be resumed.
    ///
    /// # Errors
    /// It is being made or ended, or has ended.
    pub fn restart(
        mut self,
        at: PauseAt,
        is_at_work: bool,
        run: Option<RunId>,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        if self.ending().is_some() {
            return Err(IllegalTransition::refused(self.state, AgentState::Idle));
        }
        let mut decision = Decision::default();
        let is_held = match self.state {
            AgentState::Paused => !is_at_work,
            AgentState::Error => true,
            AgentState::Spawning
            | AgentState::Idle
            | AgentState::Working
            | AgentState::Terminated => {
                self.transition(AgentState::Paused, moment.now)?;
                false
            }
        };
        if !is_held {
            self.updated_at = moment.now;
            self.mark(PAUSED, Some(at.as_str()));
            self.mark(RESTARTING, Some(at.as_str()));
            let told = format!("{} is restarted", self.name);
            let event = self.event(moment, EventType::AgentPaused, run, told);
            let (held, first) = self.written(event);
            self = held;
            decision.merge(first);
        }
        if is_at_work && self.state == AgentState::Paused {
            return Ok((self, decision));
        }
        self.transition(AgentState::Idle, moment.now)?;
        self.go_on();
        let told = format!("{} goes on after a restart", self.name);
        let event = self.event(moment, EventType::AgentResumed, run, told);
        let (agent, second) = self.written(event);
        decision.merge(second);
        Ok((agent, decision))
    }

    /// Lets it go on. `is_at_work` says that a worker has not given its task back yet.
    ///
    /// # Errors
    /// It is not paused, or is being ended.
    pub fn resume(
        mut self,
        is_at_work: bool,
        run: Option<RunId>,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        let to = if is_at_work {
            AgentState::Working
        } else {
            AgentState::Idle
        };
        // What waits for work or works goes on already; both moves exist for other reasons.
        if self.state != AgentState::Paused || self.ending().is_some() {
            return Err(IllegalTransition::refused(self.state, to));
        }
        self.transition(to, moment.now)?;
        self.go_on();
        let told = format!("{} goes on", self.name);
        let event = self.event(moment, EventType::AgentResumed, run, told);
        Ok(self.written(event))
    }

    /// Changes what it works with from its next task on, and what it may spend over its life from its next
    /// call on: before and from now on, where that changes. `by` is who asked.
    #[must_use]
    pub fn configure(
        mut self,
        limits: Option<(Budget, Budget)>,
        by: &str,
        moment: Moment<'_>,
    ) -> Decision {
        self.updated_at = moment.now;
        let told = limits.map(|limits| life_limited(by, &self, limits, moment));
        let decision = Decision::default().with(Change::update(self));
        told.into_iter().fold(decision, Decision::telling)
    }

    /// It is told to end, and is held until its workspace is dealt with.
    ///
    /// # Errors
    /// It is spawning or has ended.
    pub fn begin_ending(
        mut self,
        disposal: Disposal,
        moment: Moment<'_>,
    ) -> Result<(Self, Change), IllegalTransition> {
        match self.state {
            // These take no task either way.
            AgentState::Paused | AgentState::Error => self.updated_at = moment.now,
            AgentState::Idle
            | AgentState::Working
            | AgentState::Spawning
            | AgentState::Terminated => self.transition(AgentState::Paused, moment.now)?,
        }
        self.go_on();
        self.mark(ENDING, Some(disposal.as_str()));
        let change = Change::update(self.clone());
        self.version += 1;
        Ok((self, change))
    }

    /// It has ended for good, and this became of its workspace.
    ///
    /// # Errors
    /// It is spawning or has ended.
    pub fn terminate(
        mut self,
        disposal: Disposal,
        run: Option<RunId>,
        moment: Moment<'_>,
    ) -> Result<(Self, Decision), IllegalTransition> {
        self.transition(AgentState::Terminated, moment.now)?;
        self.go_on();
        let kept = disposal == Disposal::Keep;
        self.mark(ENDING, (!kept).then_some(disposal.as_str()));
        let told = format!("{} ended", self.name);
        let event = self
            .event(moment, EventType::AgentTerminated, run, told)
            .data(json!({ "agent_id": self.id, "name": self.name, "workspace": disposal }));
        Ok(self.written(event))
    }

    /// A worker that holds its task is done with it: what was put to work waits again, what is held
    /// stays held.
    pub(crate) fn put_down(mut self, moment: Moment<'_>) -> Option<Change> {
        if self.state != AgentState::Working {
            return None;
        }
        // The move exists.
        self.transition(AgentState::Idle, moment.now).ok()?;
        self.last_heartbeat = Some(moment.now);
        Some(Change::update(self))
    }

    /// It is at work on nothing: what it worked on was cancelled, and its worker is gone. `None` unless it is
    /// working.
    #[must_use]
    pub fn rest(self, moment: Moment<'_>) -> Option<Decision> {
        let told = format!("{} is idle again: its task was taken away", self.name);
        let mut event = self.event(moment, EventType::AgentRecovered, None, told);
        let Some(Change::Update(crate::Row::Agent(agent))) = self.put_down(moment) else {
            return None;
        };
        event.data = json!({ "agent_id": agent.id, "name": agent.name, "state": agent.state });
        let change = Change::update(*agent);
        Some(Decision::default().with(change).telling(event))
    }

    /// Nothing holds it any more.
    fn go_on(&mut self) {
        self.mark(PAUSED, None);
        self.mark(RESTARTING, None);
    }

    fn mark(&mut self, name: &str, value: Option<&str>) {
        let Value::Object(metadata) = &mut self.metadata else {
            return;
        };
        match value {
            Some(value) => metadata.insert(name.to_owned(), json!(value)),
            None => metadata.remove(name),
        };
    }

    /// As it will be once this is committed, and what to commit.
    fn written(mut self, event: NewEvent) -> (Self, Decision) {
        let decision = Decision::default()
            .with(Change::update(self.clone()))
            .telling(event);
        self.version += 1;
        (self, decision)
    }
}
