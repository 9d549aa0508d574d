//! The journal of a task: every model turn, tool call and check, and the messages read on the way,
//! in order.
//!
//! An entry is written twice: its intent before the effect is started, its outcome after. What has
//! no effect of its own, [`EntryKind::Inbox`], is written once, with its outcome.
//! A crash leaves at most one entry per task without outcome; its [`EffectClass`] says
//! what recovery may do with it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transition::text_enum;
use crate::{JournalEntryId, RunId, TaskId, Timestamp, Usage};

text_enum! {
    /// What an entry records.
    EntryKind {
        /// One call of the model.
        Turn = "turn",
        /// One call of a tool.
        Tool = "tool",
        /// The `verify` commands of a step, run on its finished work.
        Check = "check",
        /// Messages that arrived and were put before the model.
        Inbox = "inbox",
    }
}

text_enum! {
    /// How far an entry has come.
    EntryState {
        /// The intent is on disk; the effect may have happened.
        Started = "started",
        /// The outcome is on disk.
        Finished = "finished",
        /// A crash came between; the effect may have happened and is not repeated.
        Unknown = "unknown",
    }
}

text_enum! {
    /// What a repeat of an effect would do (see `docs/recovery.md`).
    EffectClass {
        /// Changes nothing: repeat freely.
        Read = "read",
        /// A model call: repeat, at the price of the lost turn.
        ModelTurn = "model_turn",
        /// Writes a given content to a given place in the workspace: a repeat ends the same.
        ConfinedWrite = "confined_write",
        /// Is committed in one piece with its outcome, so that without an outcome it did not happen:
        /// repeat freely.
        Committed = "committed",
        /// May do anything: never repeated by itself, reported as unknown.
        Once = "once",
    }
}

impl EffectClass {
    /// Whether recovery may run the effect again when its outcome was lost.
    #[must_use]
    pub const fn may_repeat(self) -> bool {
        match self {
            Self::Read | Self::ModelTurn | Self::ConfinedWrite | Self::Committed => true,
            Self::Once => false,
        }
    }
}

/// One effect of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// Names the entry; also the idempotency key of its effect.
    pub id: JournalEntryId,
    /// The task it belongs to.
    pub task_id: TaskId,
    /// The run that the task belongs to.
    pub run_id: RunId,
    /// Place in the task's journal: 1, 2, 3, without gaps.
    pub seq: u32,
    /// What it records.
    pub kind: EntryKind,
    /// The model, the tool, `verify` or `messages`.
    pub name: String,
    /// What a repeat would do.
    pub effect: EffectClass,
    /// How far it has come.
    pub state: EntryState,
    /// The intent: arguments of a tool call, size of a turn's context.
    pub request: Value,
    /// The outcome, once there is one.
    pub outcome: Option<Value>,
    /// Tokens and money, for turns.
    pub usage: Usage,
    /// How often the effect was started: above 1 after a crash.
    pub attempts: u32,
    /// When the intent was written.
    pub started_at: Timestamp,
    /// When the outcome was written.
    pub finished_at: Option<Timestamp>,
}

/// How the outcome of a turn begins, as JSON text, whose cost nobody knows.
pub const WITHOUT_PRICE: &str = r#"{"answer":{"cost_source":"unknown","#;

/// The command of a step that is one, in its journal.
pub const COMMAND_ENTRY: &str = "run";

impl JournalEntry {
    /// Whether the workspace may be another one after it than before: a check runs commands too, and so
    /// does a step with `run` that may be repeated.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        match self.kind {
            EntryKind::Turn | EntryKind::Inbox => false,
            EntryKind::Check => true,
            EntryKind::Tool => match self.effect {
                EffectClass::ConfinedWrite | EffectClass::Once => true,
                EffectClass::Read => self.name == COMMAND_ENTRY,
                EffectClass::ModelTurn | EffectClass::Committed => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn entry(kind: EntryKind, effect: EffectClass, name: &str) -> JournalEntry {
        JournalEntry {
            id: JournalEntryId::from_uuid(Uuid::nil()),
            task_id: TaskId::from_uuid(Uuid::nil()),
            run_id: RunId::from_uuid(Uuid::nil()),
            seq: 1,
            kind,
            name: name.to_owned(),
            effect,
            state: EntryState::Finished,
            request: Value::Null,
            outcome: None,
            usage: Usage::default(),
            attempts: 1,
            started_at: DateTime::UNIX_EPOCH,
            finished_at: None,
        }
    }

    #[test]
    fn a_workspace_may_be_another_one_after_writes_commands_and_checks_only() {
        use EffectClass::{Committed, ConfinedWrite, ModelTurn, Once, Read};
        let wrote = [
            entry(EntryKind::Tool, ConfinedWrite, "write_file"),
            entry(EntryKind::Tool, Once, "run_command"),
            entry(EntryKind::Tool, Read, COMMAND_ENTRY),
            entry(EntryKind::Check, Read, "verify"),
        ];
        let did_not = [
            entry(EntryKind::Tool, Read, "read_file"),
            entry(EntryKind::Tool, Committed, "send_message"),
            entry(EntryKind::Turn, ModelTurn, "m"),
            entry(EntryKind::Inbox, Committed, "messages"),
        ];
        assert_eq!(wrote.map(|entry| entry.may_have_written()), [true; 4]);
        assert_eq!(did_not.map(|entry| entry.may_have_written()), [false; 4]);
    }
}
