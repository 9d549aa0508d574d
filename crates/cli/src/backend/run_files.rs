//! The port behind `run export` and `run import`.

use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{Problem, RunExported, RunImported};

/// Writes runs to files, and reads such files.
#[async_trait]
pub trait RunFiles {
    /// Writes a run that has ended, and all runs below it, to a file: whole, or not at all. With `force` the
    /// file takes the place of one that is there.
    ///
    /// # Errors
    /// No such run, it has not ended or is a step of another one, the file is there, or it can't be
    /// written.
    async fn export_run(&self, run: &str, to: &Path, force: bool) -> Result<RunExported, Problem>;

    /// Stores the run of a file, and the runs below it, once the whole file was checked.
    ///
    /// # Errors
    /// The file is no whole export, or something else is there under one of its ids: nothing was stored.
    async fn import_run(&self, file: &Path) -> Result<RunImported, Problem>;
}
