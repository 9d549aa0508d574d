//! The work of `inbox`, `approve` and `reject`.

use async_trait::async_trait;
use fusion_api::run_views::approval;
use fusion_api_types::{InboxView, Problem, ProblemKind, api};
use fusion_cli::{AnswerRequest, Inbox};
use fusion_coordination::{Answer, Ask};
use fusion_core::{Approval, ApprovalId};
use fusion_persistence::{ApprovalFilter, Error as StoreError, Page, Reader, Repository};

use crate::backend::LocalBackend;
use crate::find::only_one;
use crate::problems;

/// Questions that a prefix is compared with: the newest ones.
const SEARCHED: u32 = 10_000;

#[async_trait]
impl Inbox for LocalBackend {
    async fn inbox(&self) -> Result<InboxView, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.inbox().await;
        }
        match self.reading().await? {
            Some(reading) => fusion_api::inbox::read(reading.store()).await.map_err(read),
            None => Ok(InboxView { items: Vec::new() }),
        }
    }

    async fn answer(&self, request: &AnswerRequest) -> Result<api::Approval, Problem> {
        if let Some(remote) = self.remote()? {
            return remote.answer(request).await;
        }
        let engine = self.steering().await?;
        let answer = Answer {
            approves: request.approves,
            comment: request.comment.clone(),
            seen: request.seen.clone(),
        };
        let answered = async {
            let id = find_approval(engine.store(), &request.approval).await?;
            let by = self.person();
            let coordinator = engine.coordinator();
            let done = coordinator.answer_approval(id, &answer, &by, Ask::default());
            done.await.map_err(|error| problems::of_engine(&error))
        };
        let answered = answered.await;
        engine.close().await;
        Ok(approval(answered?))
    }
}

async fn find_approval(store: &dyn Reader, text: &str) -> Result<ApprovalId, Problem> {
    let filter = ApprovalFilter::default();
    let all: Vec<Approval> = store
        .list(&filter, Page::first(SEARCHED))
        .await
        .map_err(read)?;
    let ids: Vec<ApprovalId> = all
        .iter()
        .map(|approval| approval.id)
        .filter(|id| id.to_string().starts_with(&text.to_lowercase()))
        .collect();
    let found = only_one(&ids, "approvals", text)?;
    found.ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        Problem::new(
            ProblemKind::NotFound,
            format!("there is no approval '{shown}'"),
        )
        .with_help("see what waits for you with: fusion-kit inbox")
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn read(error: StoreError) -> Problem {
    problems::of_store(&error)
}
