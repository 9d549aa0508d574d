//! `db`: the schema, copies of the database, the master key.

use fusion_api_types::Problem;
use serde::Serialize;

use crate::args::{BackupArgs, DbCommand, RekeyArgs, RestoreArgs};
use crate::backend::{Backend, RestoreRequest};
use crate::exit::Exit;
use crate::report::database;
use crate::session::Session;

/// `db`.
pub(crate) async fn db(
    command: &DbCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        DbCommand::Migrate => migrate(backend, session).await,
        DbCommand::Status => status(backend, session).await,
        DbCommand::Backup(arguments) => backup(arguments, backend, session).await,
        DbCommand::Restore(arguments) => restore(arguments, backend, session).await,
        DbCommand::Vacuum => answer(&backend.vacuum().await?, database::vacuum, session),
        DbCommand::Rekey(arguments) => rekey(arguments, backend, session).await,
    }
}

/// `db migrate`.
async fn migrate(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    answer(&backend.migrate().await?, database::migration, session)
}

/// `db status`.
async fn status(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    answer(&backend.status().await?, database::status, session)
}

/// `db backup`.
async fn backup(
    backup: &BackupArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let report = backend.backup(&backup.file).await?;
    answer(&report, database::backup, session)
}

/// `db restore`.
async fn restore(
    restore: &RestoreArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = RestoreRequest {
        file: restore.file.clone(),
        replace: restore.replace,
        dry_run: restore.dry_run,
    };
    let report = backend.restore(&request).await?;
    answer(&report, database::restore, session)
}

/// `db rekey`.
async fn rekey(
    rekey: &RekeyArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let report = backend.rekey(rekey.retire).await?;
    answer(&report, database::rekey, session)
}

/// Prints a list in the form that was asked for.
pub(super) fn answer_rows<T: Serialize>(
    list: &T,
    rows: &[impl Serialize],
    text: impl Fn(&T, &Session<'_>) -> String,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    if session.is_machine() {
        session.print_rows(list, rows)?;
    } else {
        session.print(&text(list, session))?;
    }
    Ok(Exit::Done)
}

/// Prints a report in the form that was asked for.
pub(super) fn answer<T: Serialize>(
    report: &T,
    text: impl Fn(&T, &Session<'_>) -> String,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    if session.is_machine() {
        session.print_json(report)?;
    } else {
        session.print(&text(report, session))?;
    }
    Ok(Exit::Done)
}
