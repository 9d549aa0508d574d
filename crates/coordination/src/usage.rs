//! What agents' workspaces take of the disk, in their records.

use std::sync::Arc;

use fusion_core::{Change, Decision, Workspace, error_chain};
use fusion_persistence::{Batch, Repository};
use fusion_workspaces::WorkspaceDir;

use crate::coordinator::off_runtime;
use crate::worker::Job;
use crate::{Coordinator, Result};

impl Coordinator {
    /// Measures the workspace of a job and writes what came of it into its record. What can't be
    /// measured, and a record that somebody else changes at the same time, are passed over.
    pub(crate) async fn note_usage(
        &self,
        job: &Job<'_>,
        dir: Option<&Arc<WorkspaceDir>>,
    ) -> Result<()> {
        let Some(dir) = dir.cloned() else {
            return Ok(());
        };
        let usage = match off_runtime(move || dir.measure()).await? {
            Ok(usage) => usage,
            Err(error) => {
                tracing::warn!(error = %error_chain(&error), "a workspace is not measured");
                return Ok(());
            }
        };
        let known = job.plan.workspace(job.agent.id)?;
        let record: Workspace = self.parts.store.get(known.id).await?;
        if (record.size_bytes, record.file_count) == (usage.bytes, usage.files) {
            return Ok(());
        }
        let mut decision = Decision::default();
        decision.changes.push(Change::update(Workspace {
            size_bytes: usage.bytes,
            file_count: usage.files,
            ..record
        }));
        match self.commit(Batch::free(decision)).await {
            Err(error) if error.is_conflict() => Ok(()),
            outcome => outcome,
        }
    }
}
