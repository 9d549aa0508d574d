//! The work of `artifact`: kept files are read beside whoever works, or asked of the server that was named.

use std::fs::File;
use std::io;
use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{ArtifactSaved, Problem, ProblemKind};
use fusion_core::error_chain;

use crate::backend::LocalBackend;
use crate::remote::Remote;
use crate::workspaces::NewFile;

#[async_trait]
impl fusion_cli::Artifacts for LocalBackend {
    async fn save_artifact(&self, sha256: &str, to: &Path) -> Result<ArtifactSaved, Problem> {
        let bytes = match self.named_remote()? {
            Some(remote) => remote.save_artifact(sha256, to).await?,
            None => self.copy_artifact(sha256, to)?,
        };
        Ok(ArtifactSaved {
            sha256: sha256.to_owned(),
            bytes,
            path: to.display().to_string(),
        })
    }
}

impl LocalBackend {
    fn copy_artifact(&self, sha256: &str, to: &Path) -> Result<u64, Problem> {
        let kept = fusion_workspaces::Artifacts::new(self.data_dir()?.artifacts());
        let found = kept
            .open(sha256)
            .map_err(|error| Problem::new(ProblemKind::Internal, error_chain(&error)))?;
        let mut from = found.ok_or_else(|| not_kept(sha256))?;
        let mut made = new_file(to)?;
        let copied = copy(&mut from, &mut made.file()?);
        copied.map_err(|error| unwritten(to, &error))?;
        made.whole()
    }
}

impl Remote {
    async fn save_artifact(&self, sha256: &str, to: &Path) -> Result<u64, Problem> {
        let path = format!("/artifacts/{sha256}");
        let mut download = match self.client().download(&path, &[]).await {
            Err(problem) if problem.kind == ProblemKind::NotFound => return Err(not_kept(sha256)),
            other => other?,
        };
        let mut made = new_file(to)?;
        while let Some(piece) = download.next().await? {
            made.write(&piece)?;
        }
        made.whole()
    }
}

fn not_kept(sha256: &str) -> Problem {
    let shown: String = sha256.chars().take(64).collect();
    let text = format!("no file with the hash '{shown}' is kept here");
    Problem::new(ProblemKind::NotFound, text)
        .with_help("see the files of a run and their hashes with: fusion-kit run show")
}

fn new_file(to: &Path) -> Result<NewFile<'_>, Problem> {
    NewFile::create(to).map_err(|error| unwritten(to, &error))
}

fn unwritten(to: &Path, error: &io::Error) -> Problem {
    let text = format!("can't write {}: {error}", to.display());
    Problem::new(ProblemKind::InvalidInput, text)
}

fn copy(from: &mut File, to: &mut File) -> io::Result<u64> {
    let bytes = io::copy(from, to)?;
    to.sync_all()?;
    Ok(bytes)
}
