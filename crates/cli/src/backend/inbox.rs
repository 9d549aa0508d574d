//! The port behind `inbox`, `approve` and `reject`.

use async_trait::async_trait;
use fusion_api_types::{InboxView, Problem, api::Approval};

/// A person's answer, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRequest {
    /// Id or unique prefix of the approval.
    pub approval: String,
    /// Yes or no.
    pub approves: bool,
    /// What is said to it; the reason of a no.
    pub comment: Option<String>,
    /// The hash of what was seen.
    pub seen: Option<String>,
}

/// What waits for a person.
#[async_trait]
pub trait Inbox {
    /// Everything that waits for a person, the oldest first.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn inbox(&self) -> Result<InboxView, Problem>;

    /// Answers a question, also of a run that another process works on.
    ///
    /// # Errors
    /// No such question, another answer was first, or it is about something else than was seen.
    async fn answer(&self, request: &AnswerRequest) -> Result<Approval, Problem>;
}
