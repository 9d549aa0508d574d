//! `inbox`, `approve`, `reject`.

use fusion_api_types::Problem;

use super::db::{answer, answer_rows};
use crate::args::{ApproveArgs, RejectArgs};
use crate::backend::{AnswerRequest, Backend};
use crate::exit::Exit;
use crate::report::inbox as report;
use crate::session::Session;

/// `inbox`.
pub(crate) async fn inbox(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let inbox = backend.inbox().await?;
    if inbox.items.is_empty() && !session.is_machine() {
        session.tell("nothing waits for you\n");
        return Ok(Exit::Done);
    }
    answer_rows(&inbox, &inbox.items, report::list, session)
}

/// `approve`.
pub(crate) async fn approve(
    approve: &ApproveArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = AnswerRequest {
        approval: approve.approval.clone(),
        approves: true,
        comment: approve.comment.clone(),
        seen: approve.hash.clone(),
    };
    answer(&backend.answer(&request).await?, report::answered, session)
}

/// `reject`.
pub(crate) async fn reject(
    reject: &RejectArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = AnswerRequest {
        approval: reject.approval.clone(),
        approves: false,
        comment: Some(reject.reason.clone()),
        seen: reject.hash.clone(),
    };
    answer(&backend.answer(&request).await?, report::answered, session)
}
