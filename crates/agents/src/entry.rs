//! What the runtime keeps inside a journal entry.

use fusion_core::{
    EffectClass, EntryKind, EntryState, IdSource, JournalEntry, JournalEntryId, MessageId, RunId,
    TaskId, Timestamp, Usage,
};
use fusion_providers::{ToolCall, Turn};
use fusion_workspaces::PutBack;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Incoming, Record, TaskBrief};

/// The outcome of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TurnOutcome {
    /// The model answered.
    Answer(Turn),
    /// It did not, after all retries.
    Error {
        /// What the provider said.
        message: String,
        /// The way out.
        help: Option<String>,
    },
}

/// What is known of a turn that is under way; it stands where the outcome will.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TurnUnderWay {
    /// The provider's names of answers that were begun and whose cost is not booked.
    pub(crate) generations: Vec<String>,
}

impl TurnUnderWay {
    /// What an entry without an outcome says.
    pub(crate) fn of(entry: &JournalEntry) -> Self {
        let known = entry.outcome.clone();
        known
            .and_then(|known| serde_json::from_value(known).ok())
            .unwrap_or_default()
    }

    /// As it stands in the entry.
    pub(crate) fn into_outcome(self) -> Option<Value> {
        (!self.generations.is_empty()).then(|| json!(self))
    }
}

/// The outcome of a tool call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ToolOutcome {
    /// What the model gets to read.
    pub(crate) content: String,
    /// Whether the tool did what was asked.
    pub(crate) ok: bool,
    /// Exit code, for commands that ended by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i32>,
    /// The message that it sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent: Option<MessageId>,
    /// The messages that it read, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) read: Vec<MessageId>,
    /// A command ran that nothing held: the operator switched the sandbox off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unsandboxed: bool,
    /// Why it could not have been undone, had the program been stopped meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) no_snapshot: Option<Box<str>>,
    /// What is committed with it, or it was not done.
    #[serde(skip)]
    pub(crate) with: Vec<Record>,
}

impl ToolOutcome {
    /// A call that did what was asked, as its text says.
    pub(crate) const fn done(content: String) -> Self {
        Self::new(content, true)
    }

    /// A call that did not; its text says why.
    pub(crate) const fn refused(content: String) -> Self {
        Self::new(content, false)
    }

    const fn new(content: String, ok: bool) -> Self {
        Self {
            content,
            ok,
            exit_code: None,
            unsandboxed: false,
            no_snapshot: None,
            sent: None,
            read: Vec::new(),
            with: Vec::new(),
        }
    }
}

/// What is known of an effect whose outcome a crash took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostOutcome {
    /// It was undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) put_back: Option<PutBack>,
    /// It could not be undone, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_put_back: Option<String>,
}

impl LostOutcome {
    /// What an entry of unknown outcome says.
    pub(crate) fn of(entry: &JournalEntry) -> Self {
        let known = entry.outcome.clone();
        known
            .and_then(|known| serde_json::from_value(known).ok())
            .unwrap_or_default()
    }

    /// As it stands in the entry.
    pub(crate) fn into_outcome(self) -> Option<Value> {
        (self != Self::default()).then(|| json!(self))
    }
}

/// Messages that were put before the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InboxOutcome {
    /// As the model read them.
    pub(crate) messages: Vec<Incoming>,
}

/// The outcome of the `verify` commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckOutcome {
    /// Whether every command passed.
    pub(crate) passed: bool,
    /// The first command that did not, and its output.
    pub(crate) report: String,
}

/// How much is put before the model at a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TurnSize {
    pub(crate) messages: usize,
    /// Bytes of the messages.
    pub(crate) context_bytes: usize,
    /// Bytes of everything that is sent: the system prompt and the tools too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent_bytes: Option<u64>,
    /// Bytes of messages that were left out because they do not fit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) left_out_bytes: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(bytes: &usize) -> bool {
    *bytes == 0
}

/// The parts of an entry that differ from effect to effect.
pub(crate) struct Intent {
    pub(crate) kind: EntryKind,
    pub(crate) name: String,
    pub(crate) effect: EffectClass,
    pub(crate) request: Value,
}

impl Intent {
    pub(crate) fn turn(brief: &TaskBrief, request: &TurnSize) -> Self {
        Self {
            kind: EntryKind::Turn,
            name: brief.model.clone(),
            effect: EffectClass::ModelTurn,
            request: json!(request),
        }
    }

    pub(crate) fn tool(call: &ToolCall, effect: EffectClass) -> Self {
        Self {
            kind: EntryKind::Tool,
            name: call.name.clone(),
            effect,
            request: json!({ "call_id": call.id, "arguments": call.arguments }),
        }
    }

    /// A check may run again: that is what `verify` commands are for.
    pub(crate) fn check(commands: &[String]) -> Self {
        Self {
            kind: EntryKind::Check,
            name: "verify".to_owned(),
            effect: EffectClass::Read,
            request: json!({ "commands": commands }),
        }
    }

    /// Messages that are about to be put before the model.
    pub(crate) fn inbox(messages: &[Incoming]) -> Self {
        Self {
            kind: EntryKind::Inbox,
            name: "messages".to_owned(),
            effect: EffectClass::Committed,
            request: json!({ "messages": messages.len() }),
        }
    }

    pub(crate) fn begin(
        self,
        (task_id, run_id): (TaskId, RunId),
        seq: u32,
        ids: &dyn IdSource,
        now: Timestamp,
    ) -> JournalEntry {
        JournalEntry {
            id: JournalEntryId::from_uuid(ids.uuid()),
            task_id,
            run_id,
            seq,
            kind: self.kind,
            name: self.name,
            effect: self.effect,
            state: EntryState::Started,
            request: self.request,
            outcome: None,
            usage: Usage::default(),
            attempts: 1,
            started_at: now,
            finished_at: None,
        }
    }
}
