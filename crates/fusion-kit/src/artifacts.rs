//! The work of `artifact`: kept files are read beside whoever works.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{ArtifactSaved, Problem, ProblemKind};
use fusion_core::error_chain;

use crate::backend::LocalBackend;

#[async_trait]
impl fusion_cli::Artifacts for LocalBackend {
    async fn save_artifact(&self, sha256: &str, to: &Path) -> Result<ArtifactSaved, Problem> {
        let kept = fusion_workspaces::Artifacts::new(self.data_dir()?.artifacts());
        let found = kept
            .open(sha256)
            .map_err(|error| Problem::new(ProblemKind::Internal, error_chain(&error)))?;
        let Some(mut from) = found else {
            let shown: String = sha256.chars().take(64).collect();
            return Err(Problem::new(
                ProblemKind::NotFound,
                format!("no file with the hash '{shown}' is kept here"),
            )
            .with_help("see the files of a run and their hashes with: fusion-kit run show"));
        };
        let bytes = copy(&mut from, to).map_err(|error| {
            let text = format!("can't write {}: {error}", to.display());
            Problem::new(ProblemKind::InvalidInput, text)
        })?;
        Ok(ArtifactSaved {
            sha256: sha256.to_owned(),
            bytes,
            path: to.display().to_string(),
        })
    }
}

fn copy(from: &mut File, to: &Path) -> io::Result<u64> {
    let mut copy = OpenOptions::new().write(true).create_new(true).open(to)?;
    let bytes = io::copy(from, &mut copy)?;
    copy.sync_all()?;
    Ok(bytes)
}
