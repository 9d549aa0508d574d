//! Backups: a SQLite file with everything in it, whichever database it comes from.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fusion_persistence::{Error, Result};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};
use tempfile::{NamedTempFile, TempPath};

use super::tables::Rows;
use super::{door, tables};
use crate::error::trying;
use crate::events::index;
use crate::location::Location;
use crate::migrations::{bring_up_to_date, schema_state};
use crate::sqlite;

const ACTION: &str = "write the backup";

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Rows of each table.
    pub rows: Rows,
    /// The size of the file.
    pub bytes: u64,
}

/// Writes everything in a database to a new SQLite file, readable by its owner only, while the
/// processes that work with the database go on. The file has the state of one moment, in which
/// everything is that was acknowledged before the call; it has the newest schema, also when the
/// database is a SQLite file with an older one. Credentials in it are sealed as in the database:
/// who restores them elsewhere needs the master key too.
///
/// # Errors
/// `Invalid` when `file` exists, which is left as it is; `NotFound` when there is no database;
/// `Unusable` when a newer program wrote the database, or it is of a server and has an older schema;
/// else the database or the disk fails. Then there is no file.
pub async fn backup(location: &Location, file: &Path) -> Result<Backup> {
    let draft = Draft::beside(file)?;
    let Some(source) = door::look(location).await? else {
        return Err(door::none_there(location));
    };
    let schema = schema_state(&source).await?;
    if schema.applied.is_empty() {
        return Err(door::none_there(location));
    }
    let rows = if source.get_database_backend() == DbBackend::Sqlite {
        copy_pages(&source, draft.path()).await?;
        let copy = sqlite::open_unknown(draft.path()).await?;
        let transaction = copy.begin().await.map_err(trying(ACTION))?;
        bring_up_to_date(&transaction, None).await?;
        let rows = tables::count(&transaction).await?;
        transaction.commit().await.map_err(trying(ACTION))?;
        copy.close().await.map_err(trying(ACTION))?;
        rows
    } else if schema.missing.is_empty() {
        copy_rows(&source, draft.path()).await?
    } else {
        return Err(Error::Unusable {
            reason: "the database is of an older fusion-kit: `fusion-kit db migrate` brings it up to date"
                .to_owned(),
        });
    };
    source.close().await.map_err(trying(ACTION))?;
    let bytes = draft.publish().await?;
    Ok(Backup { rows, bytes })
}

/// Copies a SQLite file at one moment, its WAL included, while others write to it. The target is
/// empty.
pub(super) async fn copy_pages(source: &DatabaseConnection, target: &Path) -> Result<()> {
    let target = target.to_str().ok_or_else(|| Error::Invalid {
        reason: format!("the path {} is not text", target.display()),
    })?;
    let copy = Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO $1", [target.into()]);
    source
        .execute_raw(copy)
        .await
        .map(|_| ())
        .map_err(trying(ACTION))
}

async fn copy_rows(source: &DatabaseConnection, target: &Path) -> Result<Rows> {
    let copy = sqlite::open_unknown(target).await?;
    let to = copy.begin().await.map_err(trying(ACTION))?;
    bring_up_to_date(&to, None).await?;
    tables::empty(&to).await?;
    let from = door::snapshot(source).await?;
    let rows = tables::copy(&from, &to).await?;
    index::forget(&to).await?;
    from.rollback().await.map_err(trying(ACTION))?;
    to.commit().await.map_err(trying(ACTION))?;
    copy.close().await.map_err(trying(ACTION))?;
    Ok(rows)
}

/// A file under a name of its own until it is whole; removed when it never is.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    path: TempPath,
    target: PathBuf,
}

impl Draft {
    /// An empty file, readable by its owner only, in the folder of `target`.
    pub(super) fn beside(target: &Path) -> Result<Self> {
        let failed = |error| not_written(target, error);
        let target = std::path::absolute(target).map_err(failed)?;
        if target.symlink_metadata().is_ok() {
            return Err(in_the_way(&target));
        }
        Self::for_copy(&target)
    }

    /// The same for a file that is there already: the draft is never published.
    pub(super) fn for_copy(target: &Path) -> Result<Self> {
        let failed = |error| not_written(target, error);
        let target = std::path::absolute(target).map_err(failed)?;
        let folder = target.parent().unwrap_or_else(|| Path::new("/"));
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let (file, path) = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(".part")
            .tempfile_in(folder)
            .map_err(failed)?
            .into_parts();
        Ok(Self { file, path, target })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file durable and gives it its name, unless there is a file of that name.
    async fn publish(self) -> Result<u64> {
        tokio::task::spawn_blocking(|| self.publish_blocking())
            .await
            .map_err(|error| Error::Failed {
                action: ACTION,
                source: Box::new(error),
            })?
    }

    fn publish_blocking(self) -> Result<u64> {
        let Self { file, path, target } = self;
        let failed = |error| not_written(&target, error);
        file.sync_all().map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        NamedTempFile::from_parts(file, path)
            .persist_noclobber(&target)
            .map_err(|kept| {
                if kept.error.kind() == ErrorKind::AlreadyExists {
                    in_the_way(&target)
                } else {
                    not_written(&target, kept.error)
                }
            })?;
        let folder = target.parent().unwrap_or_else(|| Path::new("/"));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        Ok(bytes)
    }
}

fn in_the_way(target: &Path) -> Error {
    Error::Invalid {
        reason: format!(
            "there is a file {} already: nothing is overwritten, choose another name",
            target.display()
        ),
    }
}

fn not_written(target: &Path, error: std::io::Error) -> Error {
    if error.kind() == ErrorKind::StorageFull {
        return Error::DiskFull {
            source: Box::new(error),
        };
    }
    Error::Unusable {
        reason: format!(
            "the file {} can't be written ({error}): check its folder, or choose another",
            target.display()
        ),
    }
}
