//! Where a task stands in the course of its step: among its items, rounds and attempts.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::transition::text_enum;
use crate::{
    AgentId, EventType, Moment, NewEvent, OnFailure, RunId, Severity, Task, TaskId, Timestamp,
};

/// What a task has behind it, and what it is of its step. What a step without `foreach`, `repeat`,
/// `retry` and `on_failure` has is the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Course {
    /// What becomes of the tasks that need it when it does not end well.
    #[serde(skip_serializing_if = "OnFailure::is_fail")]
    pub on_failure: OnFailure,
    /// The entry of a list that it is done for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<Item>,
    /// How many items it was fanned out into; it ends when they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<u32>,
    /// Rounds that ended.
    #[serde(skip_serializing_if = "is_zero")]
    pub rounds: u32,
    /// The outputs of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<Value>,
    /// Attempts of this round that failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// Why the last of them failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Who got stuck in it and gave it to another, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub handed_on: Vec<AgentId>,
    /// A person was asked, because who was at it got stuck.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_help_asked: bool,
    /// The last journal entry before this attempt: those up to it belong to earlier ones.
    #[serde(skip_serializing_if = "is_zero")]
    pub journal_from: u32,
    /// How it came to its workspace again after that was lost, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered>,
    /// The run that its work is, of this attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<RunId>,
    /// The run of an attempt before that failed: this one goes on from it where it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child_before: Option<RunId>,
    /// How often it was begun anew: for another round or attempt, not after a crash.
    #[serde(skip_serializing_if = "is_zero")]
    pub renewals: u32,
}

impl Course {
    pub(super) fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

text_enum! {
    /// How a task goes on whose workspace is not where it works now.
    Recovery {
        /// In the workspace as a snapshot has it, after its last recorded entry.
        Restored = "restored",
        /// From its beginning, in a new workspace.
        BegunAgain = "begun_again",
    }
}

/// A task came to its workspace again after that was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// How.
    pub how: Recovery,
    /// What the node is called where that was.
    pub node: String,
    /// When.
    pub at: Timestamp,
    /// Of what, or why not from a snapshot.
    pub detail: String,
}

impl Task {
    /// Notes how it came to its workspace again. One that is begun again leaves its journal up to `last`
    /// behind; a round or an attempt of its step that is not.
    pub fn recover(&mut self, recovered: Recovered, last: u32) {
        if recovered.how == Recovery::BegunAgain {
            self.course.journal_from = last;
        }
        self.course.recovered = Some(recovered);
    }

    /// What is told of it; the decision that it begins is to have it.
    #[must_use]
    pub fn told_of_recovery(
        &self,
        recovered: &Recovered,
        agent: &str,
        moment: Moment<'_>,
    ) -> NewEvent {
        let Recovered {
            how, node, detail, ..
        } = recovered;
        let told = match how {
            Recovery::Restored => {
                format!("the workspace of {agent} was restored on {node}: {detail}")
            }
            Recovery::BegunAgain => format!(
                "{} begins again on {node}, in a new workspace of {agent}: {detail}",
                self.name
            ),
        };
        let event = self.event(moment, EventType::AgentRecovered, told);
        event.severity(Severity::Warning).data(json!({
            "task_id": self.id, "step": self.name, "how": how, "node": node, "detail": detail,
        }))
    }
}

/// One entry of the list that a step is done for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The task that was fanned out.
    pub fan_out: TaskId,
    /// Its place in the list, from 0.
    pub index: u32,
    /// The entry.
    pub value: Value,
    /// Only some of the items may be at work at once: the end of one lets the next one begin.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}
