//! The work of `run export` and `run import`.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fusion_api::run_views::imported;
use fusion_api_types::{Problem, ProblemKind, RunExported, RunImported};
use fusion_cli::RunFiles;
use fusion_coordination::{Ask, Error, Manifest, Origin, RunFile, RunFileFault, looked_through};
use fusion_core::{Clock as _, RunId};
use fusion_persistence::Error as StoreError;
use fusion_workspaces::{ARTIFACT_LIMIT, Artifacts};
use tempfile::NamedTempFile;

use crate::about::VERSION;
use crate::backend::LocalBackend;
use crate::find::{find, no_runs};
use crate::problems;
use crate::remote::Remote;
use crate::system::SystemClock;
use crate::wiring;

#[async_trait]
impl RunFiles for LocalBackend {
    async fn export_run(&self, run: &str, to: &Path, force: bool) -> Result<RunExported, Problem> {
        let draft = Draft::beside(to, force)?;
        match self.named_remote()? {
            Some(remote) => remote.export_run(run, &draft).await?,
            None => self.write_run(run, &draft).await?,
        }
        draft.finished().await
    }

    async fn import_run(&self, file: &Path) -> Result<RunImported, Problem> {
        let open = || File::open(file).map_err(|error| unread(file, &error));
        if let Some(remote) = self.remote()? {
            return remote.client().upload("/runs/import", open()?).await;
        }
        let from = open()?;
        let data_dir = self.data_dir()?;
        let registry = self.registry_of(&[]);
        let engine = self.engine_or_beside(&data_dir, registry).await?;
        let coordinator = engine.coordinator();
        match coordinator.import_run(from, |_| Ask::default()).await {
            Ok(import) => {
                engine.close().await;
                Ok(imported(&import))
            }
            // It may be stored all the same.
            Err(error @ Error::Store(StoreError::OutcomeUnknown)) => {
                engine.close().await;
                Err(problems::of_engine(&error))
            }
            Err(error) => {
                engine.undo().await;
                Err(problems::of_engine(&error))
            }
        }
    }
}

impl LocalBackend {
    async fn write_run(&self, run: &str, draft: &Draft<'_>) -> Result<(), Problem> {
        let reading = self.reading().await?.ok_or_else(no_runs)?;
        let found = find(reading.store(), reading.data_dir(), Some(run)).await?;
        let origin = Origin {
            machine: wiring::machine(self.config())?,
            program: VERSION.to_owned(),
        };
        let kept = Artifacts::new(reading.data_dir().artifacts());
        let at = (&origin, SystemClock.now());
        let file = RunFile::collect(reading.store(), &kept, found.id, at, &draft.folder).await;
        let file = file.map_err(|error| problems::of_engine(&error))?;
        let to = draft.file()?;
        let written = tokio::task::spawn_blocking(move || file.write(BufWriter::new(to)));
        let written = written.await.map_err(io::Error::other).and_then(|it| it);
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::FileTooLarge {
                let what = format!("a file of more than {} MiB", ARTIFACT_LIMIT >> 20);
                return problems::of_engine(&RunFileFault::TooLarge { what }.into());
            }
            draft.failed(&error)
        })
    }
}

impl Remote {
    async fn export_run(&self, run: &str, draft: &Draft<'_>) -> Result<(), Problem> {
        let id = self.run_id(Some(run), &[]).await?;
        let path = format!("/runs/{id}/export");
        let mut download = self.client().download(&path, &[]).await?;
        let mut to = draft.file()?;
        while let Some(piece) = download.next().await? {
            to.write_all(&piece).map_err(|error| draft.failed(&error))?;
        }
        Ok(())
    }
}

/// A file beside the one that is to be made, which goes again unless it gets that one's name.
struct Draft<'a> {
    to: &'a Path,
    folder: PathBuf,
    file: NamedTempFile,
    force: bool,
}

impl<'a> Draft<'a> {
    fn beside(to: &'a Path, force: bool) -> Result<Self, Problem> {
        if !force && to.symlink_metadata().is_ok() {
            return Err(is_there(to));
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new(".")).to_path_buf();
        let file = NamedTempFile::new_in(&folder).map_err(|error| unwritten(to, &error))?;
        Ok(Self {
            to,
            folder,
            file,
            force,
        })
    }

    /// The same file, to write on another thread.
    fn file(&self) -> Result<File, Problem> {
        let file = self.file.as_file().try_clone();
        file.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Problem {
        unwritten(self.to, error)
    }

    /// It is whole and on the disk: it gets its name.
    async fn finished(self) -> Result<RunExported, Problem> {
        let written = self.file()?;
        let checked = tokio::task::spawn_blocking(move || {
            written.sync_all()?;
            looked_through(&written, SystemClock.now())
        });
        let checked = checked.await.map_err(|error| {
            let text = format!("a check broke off: {error}");
            Problem::new(ProblemKind::Internal, text)
        })?;
        let (manifest, sha256, bytes) =
            checked.map_err(|fault| problems::of_engine(&Error::from(fault)))?;
        let placed = if self.force {
            self.file.persist(self.to)
        } else {
            self.file.persist_noclobber(self.to)
        };
        placed.map_err(|error| {
            if error.error.kind() == io::ErrorKind::AlreadyExists {
                is_there(self.to)
            } else {
                unwritten(self.to, &error.error)
            }
        })?;
        sync(&self.folder).map_err(|error| unwritten(self.to, &error))?;
        Ok(told(manifest, self.to, (sha256, bytes)))
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn told(manifest: Manifest, to: &Path, (sha256, bytes): (String, u64)) -> RunExported {
    let run: RunId = manifest.run;
    RunExported {
        run_id: run.to_string(),
        runs: manifest.runs,
        file: to.display().to_string(),
        bytes,
        sha256,
        missing: manifest.missing,
    }
}

fn is_there(to: &Path) -> Problem {
    let text = format!("{} is there already", to.display());
    Problem::new(ProblemKind::Conflict, text)
        .with_help("name another, or put the new one in its place with --force")
}

fn unwritten(to: &Path, error: &io::Error) -> Problem {
    let text = format!("{} can't be written: {error}", to.display());
    Problem::new(ProblemKind::Unavailable, text)
}

fn unread(file: &Path, error: &io::Error) -> Problem {
    let kind = if error.kind() == io::ErrorKind::NotFound {
        ProblemKind::NotFound
    } else {
        ProblemKind::InvalidInput
    };
    Problem::new(kind, format!("can't read {}: {error}", file.display()))
}
