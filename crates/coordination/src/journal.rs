//! The journal of a task, kept in the store under the task's fence.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use fusion_agents::{Journal, JournalRefused, Record};
use fusion_core::{
    Change, Decision, EntryKind, EntryState, EventType, JournalEntry, Severity, Task, Usage,
};
use fusion_persistence::{Batch, Fence};
use serde_json::{Value, json};

use crate::{Coordinator, Error};

/// Writes the records of one task. The decision that began the task goes with the first.
#[derive(Debug)]
pub(crate) struct TaskJournal<'a> {
    coordinator: &'a Coordinator,
    task: &'a Task,
    fence: Fence,
    opening: Mutex<Option<Decision>>,
    refusal: Mutex<Option<Error>>,
}

impl<'a> TaskJournal<'a> {
    pub(crate) fn new(
        coordinator: &'a Coordinator,
        task: &'a Task,
        fence: Fence,
        opening: Decision,
    ) -> Self {
        Self {
            coordinator,
            task,
            fence,
            opening: Mutex::new(Some(opening)),
            refusal: Mutex::new(None),
        }
    }

    /// What the records mean for the store, after whatever has not been written yet.
    pub(crate) fn decide(&self, records: Vec<Record>) -> Decision {
        let mut decision = self.take_opening().unwrap_or_default();
        for record in records {
            let (entry, change) = match record {
                Record::Begin(entry) => (entry.clone(), Change::BeginEntry(entry)),
                Record::Update(entry) => (entry.clone(), Change::UpdateEntry(entry)),
            };
            decision.changes.push(change);
            if entry.state != EntryState::Started {
                decision.changes.extend(self.booking(entry.usage));
            }
            if entry.kind != EntryKind::Turn {
                decision = decision.telling(self.tool_event(&entry));
            }
        }
        decision
    }

    /// Adds what a turn used to its run and its task.
    pub(crate) fn booking(&self, usage: Usage) -> Option<Change> {
        (usage != Usage::default()).then_some(Change::BookUsage {
            run_id: self.task.run_id,
            task_id: self.task.id,
            usage,
        })
    }

    /// Why the last write was refused.
    pub(crate) fn refusal(&self) -> Error {
        let refusal = self
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        refusal.unwrap_or_else(|| {
            Error::Broken("a journal refused a write and did not say why".to_owned())
        })
    }

    /// Drops the decision that began the task; says whether it was still unwritten.
    pub(crate) fn discard_opening(&self) -> bool {
        self.take_opening().is_some()
    }

    fn take_opening(&self) -> Option<Decision> {
        // A poisoned lock still holds the decision: nothing can be half done inside it.
        self.opening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn tool_event(&self, entry: &JournalEntry) -> fusion_core::NewEvent {
        let moment = self.coordinator.moment();
        let (event_type, told) = match entry.state {
            EntryState::Started => (EventType::ToolCalled, "called"),
            EntryState::Finished => (EventType::ToolFinished, "finished"),
            EntryState::Unknown => (
                EventType::ToolFinished,
                "was cut off: its outcome is unknown",
            ),
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
            }))
    }
}

#[async_trait]
impl Journal for TaskJournal<'_> {
    async fn record(&self, records: Vec<Record>) -> Result<(), JournalRefused> {
        let batch = Batch::fenced(self.fence, self.decide(records));
        self.coordinator.commit(batch).await.map_err(|error| {
            *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            JournalRefused
        })
    }
}
