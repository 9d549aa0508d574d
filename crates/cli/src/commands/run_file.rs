//! `run export` and `run import`.

use fusion_api_types::{Problem, RunExported, RunImported};

use super::db::answer;
use crate::args::{RunExportArgs, RunImportArgs};
use crate::backend::Backend;
use crate::exit::Exit;
use crate::session::Session;
use crate::text::{clean_line, count};

/// `run export`.
pub(crate) async fn export(
    export: &RunExportArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let written = backend
        .export_run(&export.run, &export.file, export.force)
        .await?;
    answer(&written, exported, session)
}

/// `run import`.
pub(crate) async fn import(
    import: &RunImportArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let stored = backend.import_run(&import.file).await?;
    answer(&stored, imported, session)
}

fn exported(written: &RunExported, _: &Session<'_>) -> String {
    let (run, file) = (clean_line(&written.run_id), clean_line(&written.file));
    let below = match written.runs.saturating_sub(1) {
        0 => String::new(),
        below => format!(" and {} below it", count(below, "run")),
    };
    let mut text = format!("wrote run {run}{below} to {file}\n");
    for gone in &written.missing {
        text += &format!(
            "not in it, for it is gone: the kept file {}\n",
            clean_line(gone)
        );
    }
    text
}

fn imported(stored: &RunImported, session: &Session<'_>) -> String {
    let id = clean_line(&stored.run.id);
    let below = match stored.runs.saturating_sub(1) {
        0 => String::new(),
        below => format!(" and {} below it", count(below, "run")),
    };
    let name = clean_line(&stored.run.workflow);
    let told = if stored.already {
        format!("run {id} of {name} is here already; nothing was stored\n")
    } else {
        format!("imported run {id} of {name}{below}\n")
    };
    let show = session.command(&format!("run show {id}"));
    format!("{told}look at it with: {show}\n")
}
