//! The journal of a task, kept in the store under the task's fence.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use fusion_agents::{Journal, JournalRefused, Record};
use fusion_core::{
    Agent, AgentState, Change, Decision, EntryKind, EntryState, EventType, JournalEntry, Message,
    MessageId, NewEvent, Row, Severity, Task, Timestamp, Usage, deliver,
};
use fusion_persistence::{Batch, Fence, Repository};
use serde_json::{Value, json};

use crate::races::Races;
use crate::shared::KeptWorkspace;
use crate::shared_budgets::Purse;
use crate::{Coordinator, Error, Result};

/// Writes the records of one task. The decision that began the task goes with the first.
#[derive(Debug)]
pub(crate) struct TaskJournal<'a> {
    coordinator: &'a Coordinator,
    task: &'a Task,
    /// The agent at work, as it will be once everything decided so far is written.
    agent: Mutex<Agent>,
    opening: Mutex<Option<Decision>>,
    refusal: Mutex<Option<Error>>,
    /// What else is told with the next write.
    told: Mutex<Vec<NewEvent>>,
    /// The budgets around those of the run.
    purse: Option<Arc<Purse>>,
    /// The workspace, where snapshots of it are kept.
    kept: Option<KeptWorkspace>,
    /// Whether it is another than the one that was kept.
    is_to_keep: AtomicBool,
    /// The messages that wait for the agent, as far as it looked, without their content.
    known: Mutex<BTreeMap<MessageId, Message>>,
}

impl<'a> TaskJournal<'a> {
    pub(crate) fn new(
        coordinator: &'a Coordinator,
        task: &'a Task,
        agent: &Agent,
        opening: Decision,
    ) -> Self {
        Self {
            coordinator,
            task,
            agent: Mutex::new(agent.clone()),
            opening: Mutex::new(Some(opening)),
            refusal: Mutex::new(None),
            told: Mutex::default(),
            purse: None,
            kept: None,
            is_to_keep: AtomicBool::new(false),
            known: Mutex::default(),
        }
    }

    /// The same for a task that uses up budgets which others share.
    pub(crate) fn within(self, purse: Option<Arc<Purse>>) -> Self {
        Self { purse, ..self }
    }

    /// The same for a task in whose workspace what it does is kept for other nodes. One that begins there
    /// is kept as it is first.
    pub(crate) fn keeping(self, kept: Option<KeptWorkspace>, begins: bool) -> Self {
        Self {
            is_to_keep: AtomicBool::new(begins),
            kept,
            ..self
        }
    }

    /// Whether a budget around the run stopped it last, such as that of its agent's life.
    pub(crate) fn is_refused_around(&self) -> bool {
        self.purse.as_ref().is_some_and(|purse| purse.has_refused())
    }

    /// The right by which it writes.
    pub(crate) const fn fence(&self) -> Fence {
        Fence {
            task: self.task.id,
            number: self.task.fence,
        }
    }

    /// When the agent began, also if it was cut off and went on since.
    pub(crate) fn begun_at(&self) -> Timestamp {
        self.task.started_at.unwrap_or_default()
    }

    /// The agent at work.
    pub(crate) fn agent(&self) -> Agent {
        locked(&self.agent).clone()
    }

    /// Tells an event together with the outcome that is written next.
    pub(crate) fn tell(&self, event: NewEvent) {
        locked(&self.told).push(event);
    }

    /// Keeps what must be known of messages to write that they were read.
    pub(crate) fn remember(&self, messages: Vec<Message>) {
        let known = messages.into_iter().map(|message| {
            let without_content = Message {
                payload: Value::Null,
                ..message
            };
            (without_content.id, without_content)
        });
        locked(&self.known).extend(known);
    }

    /// What the records mean for the store, after whatever has not been written yet, and with the workspace
    /// as it is after them.
    pub(crate) async fn decide(&self, records: Vec<Record>) -> Decision {
        let named = self.keep(&records).await;
        let mut decision = self.decided(records);
        decision.changes.extend(named);
        decision
    }

    /// Keeps the workspace when what is told may have made another one of it.
    async fn keep(&self, records: &[Record]) -> Option<Change> {
        let kept = self.kept.as_ref()?;
        let has_ended = |record: &Record| match record {
            Record::Begin(entry) | Record::Update(entry) => {
                entry.state != EntryState::Started && entry.may_have_written()
            }
            Record::Send(_)
            | Record::Acknowledge(_)
            | Record::Subscriptions(_)
            | Record::Anew(_) => false,
        };
        let is_first = self.is_to_keep.swap(false, Ordering::Relaxed);
        if !is_first && !records.iter().any(has_ended) {
            return None;
        }
        Some(kept.keep().await)
    }

    fn decided(&self, records: Vec<Record>) -> Decision {
        let mut decision = self.take_opening().unwrap_or_default();
        decision.events.append(&mut locked(&self.told));
        for record in records {
            match record {
                Record::Begin(entry) => {
                    let change = Change::BeginEntry(entry.clone());
                    self.decide_entry(&entry, change, &mut decision);
                }
                Record::Update(entry) => {
                    let change = Change::UpdateEntry(entry.clone());
                    self.decide_entry(&entry, change, &mut decision);
                }
                Record::Send(sending) => decision.merge(*sending),
                Record::Acknowledge(read) => decision.merge(self.delivered(&read)),
                Record::Subscriptions(patterns) => decision.changes.push(self.listen(patterns)),
                Record::Anew(why) => decision.events.push(self.anew(&why)),
            }
        }
        decision
    }

    fn decide_entry(&self, entry: &JournalEntry, change: Change, decision: &mut Decision) {
        decision.changes.push(change);
        if entry.state != EntryState::Started {
            decision.changes.extend(self.booking(entry.usage));
        }
        match entry.kind {
            EntryKind::Tool | EntryKind::Check => decision.events.push(self.tool_event(entry)),
            // A turn is in the journal alone; that messages were read is told of each of them.
            EntryKind::Turn | EntryKind::Inbox => {}
        }
    }

    fn anew(&self, why: &str) -> NewEvent {
        let told = format!("{} begins anew: {why}", self.task.name);
        let event = self
            .task
            .event(self.coordinator.moment(), EventType::TaskRetried, told);
        event
            .severity(Severity::Warning)
            .data(json!({ "task_id": self.task.id, "step": self.task.name, "reason": why }))
    }

    fn delivered(&self, read: &[MessageId]) -> Decision {
        let mut known = locked(&self.known);
        let messages: Vec<Message> = read.iter().filter_map(|id| known.remove(id)).collect();
        deliver(&locked(&self.agent), &messages, self.coordinator.moment())
    }

    fn listen(&self, patterns: Vec<String>) -> Change {
        let mut agent = locked(&self.agent);
        agent.message_subscriptions = patterns;
        agent.updated_at = self.coordinator.moment().now;
        let change = Change::update(agent.clone());
        agent.version += 1;
        change
    }

    /// Commits records under the task's fence. That somebody changed the agent's row meanwhile is no
    /// obstacle, unless the work has not begun and the agent may not begin it any more.
    ///
    /// # Errors
    /// [`Error::Held`] in that case; else as a commit.
    pub(crate) async fn write(&self, records: Vec<Record>) -> Result<()> {
        let mut decision = self.decide(records).await;
        let mut races = Races::new();
        loop {
            // Only what is about the agent can meet another writer.
            let again = agent_in(&mut decision).is_some();
            let spare = again.then(|| decision.clone());
            let batch = Batch::fenced(self.fence(), decision);
            decision = match (self.coordinator.commit_work(batch).await, spare) {
                (Err(error), Some(spare)) if error.is_conflict() => {
                    races.after(error).await?;
                    spare
                }
                (other, _) => {
                    if other.is_ok() {
                        self.coordinator.crew.got_on(self.agent().id);
                    }
                    return other;
                }
            };
            self.rebase(&mut decision).await?;
        }
    }

    /// Reads the agent's row again: what was decided about it is decided anew.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn look_again(&self) -> Result<()> {
        let id = self.agent().id;
        *locked(&self.agent) = self.coordinator.parts.store.get(id).await?;
        Ok(())
    }

    /// Puts a decision about the agent on the row as it is now.
    async fn rebase(&self, decision: &mut Decision) -> Result<()> {
        let moment = self.coordinator.moment();
        let id = self.agent().id;
        let mut now = self.coordinator.parts.store.get(id).await?;
        let begins = begins_the_task(decision);
        let Some(wanted) = agent_in(decision) else {
            return Ok(());
        };
        if begins {
            if now.state != AgentState::Idle {
                return Err(Error::Held { agent: now.name });
            }
            now.transition(AgentState::Working, moment.now)?;
            now.last_heartbeat = Some(moment.now);
        }
        now.message_subscriptions
            .clone_from(&wanted.message_subscriptions);
        *wanted = now.clone();
        now.version += 1;
        *locked(&self.agent) = now;
        Ok(())
    }

    /// Whether the decision that began the task is still to be written.
    pub(crate) fn is_unopened(&self) -> bool {
        locked(&self.opening).is_some()
    }

    /// Keeps the reason of a refusal for [`refusal`](Self::refusal).
    pub(crate) fn refuse(&self, error: Error) -> JournalRefused {
        *locked(&self.refusal) = Some(error);
        JournalRefused
    }

    /// Adds what a turn used to its run and its task, and gives up the room that was held for it.
    pub(crate) fn booking(&self, usage: Usage) -> Vec<Change> {
        let settle = self.purse.as_ref().and_then(|purse| purse.settling(usage));
        if usage == Usage::default() {
            return settle.into_iter().collect();
        }
        let agent = self.agent();
        let meters = self.coordinator.crew.meters();
        meters.asked(agent.id, &agent.provider, usage);
        let book = Change::BookUsage {
            run_id: self.task.run_id,
            task_id: self.task.id,
            usage,
        };
        std::iter::once(book).chain(settle).collect()
    }

    /// Why the last write was refused.
    pub(crate) fn refusal(&self) -> Error {
        let refusal = locked(&self.refusal).take();
        refusal.unwrap_or_else(|| {
            Error::Broken("a journal refused a write and did not say why".to_owned())
        })
    }

    /// Drops the decision that began the task; says whether it was still unwritten.
    pub(crate) fn discard_opening(&self) -> bool {
        self.take_opening().is_some()
    }

    fn take_opening(&self) -> Option<Decision> {
        locked(&self.opening).take()
    }

    fn tool_event(&self, entry: &JournalEntry) -> NewEvent {
        let moment = self.coordinator.moment();
        let (event_type, told) = match entry.state {
            EntryState::Started => (EventType::ToolCalled, "called"),
            EntryState::Finished => (EventType::ToolFinished, "finished"),
            EntryState::Unknown => (EventType::ToolFinished, cut_off(entry)),
        };
        let outcome = |field: &str| {
            entry
                .outcome
                .as_ref()
                .and_then(|outcome| outcome.get(field))
                .cloned()
        };
        let ok = outcome("ok")
            .or_else(|| outcome("passed"))
            .unwrap_or(Value::Null);
        let duration_ms = entry
            .finished_at
            .map(|end| (end - entry.started_at).num_milliseconds());
        let severity = if ok == Value::Bool(false) || entry.state == EntryState::Unknown {
            Severity::Warning
        } else {
            Severity::Info
        };
        self.task
            .event(moment, event_type, format!("{} {told} in {}", entry.name, self.task.name))
            .severity(severity)
            .data(json!({
                "task_id": self.task.id, "step": self.task.name, "entry_id": entry.id, "seq": entry.seq,
                "tool": entry.name, "ok": ok, "exit_code": outcome("exit_code"), "duration_ms": duration_ms,
                "put_back": outcome("put_back"),
            }))
    }
}

#[async_trait]
impl Journal for TaskJournal<'_> {
    async fn record(&self, records: Vec<Record>) -> std::result::Result<(), JournalRefused> {
        // What is written is done next: not by a process that may have lost its leases meanwhile.
        let written = self.write(records).await;
        let still = match written {
            Ok(()) => self.coordinator.make_sure(self.fence()).await,
            refused => refused,
        };
        still.map_err(|error| self.refuse(error))
    }
}

/// What is told of an effect whose outcome was lost.
fn cut_off(entry: &JournalEntry) -> &'static str {
    let outcome = entry.outcome.as_ref();
    let says = |field: &str| outcome.is_some_and(|outcome| outcome.get(field).is_some());
    if says("put_back") {
        "was cut off: its outcome is unknown, and the workspace was put back as it was before"
    } else if says("not_put_back") {
        "was cut off: its outcome is unknown, and the workspace could not be put back"
    } else {
        "was cut off: its outcome is unknown"
    }
}

/// What a decision writes into the row of the agent at work.
fn agent_in(decision: &mut Decision) -> Option<&mut Agent> {
    decision.changes.iter_mut().find_map(|change| {
        if let Change::Update(Row::Agent(agent)) = change {
            Some(&mut **agent)
        } else {
            None
        }
    })
}

fn begins_the_task(decision: &Decision) -> bool {
    let writes_it = |change: &Change| matches!(change, Change::Update(Row::Task(_)));
    decision.changes.iter().any(writes_it)
}

/// Every change under these locks is done in one step, so a poisoned one holds whole values.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
