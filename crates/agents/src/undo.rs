//! Undoes commands whose outcome was lost: a snapshot before each, put back when nobody knows how it
//! ended.

use std::sync::Arc;

use fusion_core::{JournalEntryId, error_chain};
use fusion_workspaces::{PutBack, Snapshot, Taken, WorkspaceDir};

use crate::entry::LostOutcome;

/// The snapshots of a workspace in which nobody else is at work.
#[derive(Debug, Clone)]
pub struct Undo {
    /// The workspace.
    pub workspace: Arc<WorkspaceDir>,
    /// What it was like before.
    pub snapshot: Arc<Snapshot>,
    /// It was just restored as it was before the effect that was under way.
    pub restored: Option<PutBack>,
}

impl Undo {
    /// Takes a snapshot before an effect; says why there is none.
    pub(crate) async fn prepare(&self, entry: JournalEntryId) -> Option<String> {
        let name = entry.to_string();
        let taken = self
            .blocking(
                move |undo| match undo.snapshot.take(&undo.workspace, &name) {
                    Ok(Taken::Whole(_)) => None,
                    Ok(Taken::Left(why)) => Some(why),
                    Err(error) => Some(error_chain(&error)),
                },
            )
            .await;
        taken.unwrap_or_else(Some)
    }

    /// Undoes an effect whose outcome was lost; says what came of that.
    pub(crate) async fn undo(&self, entry: JournalEntryId) -> LostOutcome {
        if let Some(restored) = &self.restored {
            return LostOutcome {
                put_back: Some(restored.clone()),
                not_put_back: None,
            };
        }
        let name = entry.to_string();
        let undone = self
            .blocking(move |undo| undo.snapshot.put_back(&undo.workspace, &name))
            .await;
        let failed = |why: String| LostOutcome {
            put_back: None,
            not_put_back: Some(why),
        };
        match undone {
            Ok(Ok(put_back)) => LostOutcome {
                put_back,
                not_put_back: None,
            },
            Ok(Err(error)) => failed(error_chain(&error)),
            Err(why) => failed(why),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, String> {
        let undo = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&undo)).await;
        done.map_err(|error| error.to_string())
    }
}

/// What is told of a workspace that was put back.
pub(crate) fn told(put_back: &PutBack) -> String {
    let moved = put_back
        .moved_to
        .as_ref()
        .map(|folder| format!(" What was changed or new there was moved to {folder}."));
    format!(
        "The workspace was put back as it was before, but for .agent and logs.{}",
        moved.unwrap_or_default()
    )
}
