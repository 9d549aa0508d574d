//! Requests that only ask what would change.

use std::future::Future;

use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::{DryRun, DryRunChange};
use fusion_coordination::{Coordinator, Result as Done, WouldChange};

use crate::precondition::json;
use crate::problem::Result;
use crate::state::App;

/// Answers what an operation would change. It is handed an engine that writes nothing.
pub(crate) async fn tried<T, F>(
    app: &App,
    operation: impl FnOnce(Coordinator) -> F + Send,
) -> Result<Response>
where
    F: Future<Output = Done<T>> + Send,
{
    let changes = app.coordinator().dry_run(operation).await?;
    json(StatusCode::OK, &view(changes))
}

/// What would change, each thing once.
#[must_use]
pub fn view(changes: Vec<WouldChange>) -> DryRun {
    let mut told: Vec<DryRunChange> = Vec::new();
    for change in changes {
        let change = DryRunChange {
            kind: change.kind.as_str().to_owned(),
            id: change.id.to_string(),
            name: change.name,
            state: change.state,
            becomes: change.becomes,
        };
        if !told.contains(&change) {
            told.push(change);
        }
    }
    DryRun {
        dry_run: true,
        changes: told,
        left: Vec::new(),
    }
}
