//! Approvals: questions to a person that hold a task.

mod rules;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transition::{StateMachine, text_enum};
use crate::{AgentId, ApprovalId, RunId, TaskId, Timestamp};

pub use rules::Question;

text_enum! {
    /// How an approval stands.
    ApprovalState {
        /// Nobody has answered yet.
        Pending = "pending",
        /// A person said yes.
        Approved = "approved",
        /// A person said no.
        Rejected = "rejected",
        /// Nobody answered in time.
        Expired = "expired",
    }
}

impl StateMachine for ApprovalState {
    const ENTITY: &'static str = "approval";
    const STATES: &'static [Self] = Self::ALL;

    fn name(self) -> &'static str {
        self.as_str()
    }

    fn allows(self, to: Self) -> bool {
        // The first answer stands.
        self == Self::Pending && to != Self::Pending
    }
}

/// A question to a person. The first answer stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// Names the approval.
    pub id: ApprovalId,
    /// The task that waits for it.
    pub task_id: TaskId,
    /// The run that the task belongs to.
    pub run_id: Option<RunId>,
    /// What is asked.
    pub question: String,
    /// What is approved beside the question: the step with its prompt or its command.
    #[serde(default)]
    pub subject: Value,
    /// SHA-256 of what is approved, in hex: an answer holds for exactly that.
    pub subject_hash: String,
    /// The agent whose work it is about, which may not answer.
    pub requested_by: Option<AgentId>,
    /// How it stands.
    pub state: ApprovalState,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// After this it expires; `None` waits for ever.
    pub expires_at: Option<Timestamp>,
    /// When it was answered or expired.
    pub resolved_at: Option<Timestamp>,
    /// Who answered.
    pub resolved_by: Option<String>,
    /// What they said to it.
    pub comment: Option<String>,
    /// Row version; a commit that read an older one is refused.
    pub version: u64,
}

#[cfg(test)]
mod tests {
    use super::ApprovalState::{self, Approved, Expired, Pending, Rejected};
    use crate::transition::StateMachine;

    #[test]
    fn the_first_answer_stands() {
        let allowed: Vec<(ApprovalState, ApprovalState)> = ApprovalState::ALL
            .iter()
            .flat_map(|from| ApprovalState::ALL.iter().map(move |to| (*from, *to)))
            .filter(|(from, to)| from.allows(*to))
            .collect();
        assert_eq!(
            allowed,
            [(Pending, Approved), (Pending, Rejected), (Pending, Expired)]
        );
    }
}
