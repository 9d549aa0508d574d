//! What waits for a person on a server.

use fusion_api_types::{InboxView, Problem, api};
use fusion_cli::AnswerRequest;

use super::Remote;

impl Remote {
    pub(crate) async fn inbox(&self) -> Result<InboxView, Problem> {
        self.client.get("/inbox", &[]).await
    }

    pub(crate) async fn answer(&self, request: &AnswerRequest) -> Result<api::Approval, Problem> {
        let text = &request.approval;
        let id = self.id("/approvals", "approvals", text).await?;
        if request.approves {
            let body = api::ApproveRequest {
                comment: request.comment.clone(),
                subject_hash: request.seen.clone(),
            };
            let path = format!("/approvals/{id}/approve");
            return self.client.post(&path, &body).await;
        }
        let body = api::RejectRequest {
            reason: request.comment.clone().unwrap_or_default(),
            subject_hash: request.seen.clone(),
        };
        let path = format!("/approvals/{id}/reject");
        self.client.post(&path, &body).await
    }
}
