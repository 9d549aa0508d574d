//! What the fake backend says of what waits for a person.

use async_trait::async_trait;
use fusion_api_types::{InboxView, Problem, api::Approval};
use fusion_cli::{AnswerRequest, Inbox};

use super::Fake;

#[async_trait]
impl Inbox for Fake {
    async fn inbox(&self) -> Result<InboxView, Problem> {
        self.report("inbox".to_owned())
    }

    async fn answer(&self, request: &AnswerRequest) -> Result<Approval, Problem> {
        self.report(format!("{request:?}"))
    }
}
