//! What the fake backend says of runs that go into files and come out of them.

use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{Problem, RunExported, RunImported};
use fusion_cli::RunFiles;

use super::Fake;

#[async_trait]
impl RunFiles for Fake {
    async fn export_run(&self, run: &str, to: &Path, force: bool) -> Result<RunExported, Problem> {
        self.report(format!("export {run} to {} {force}", to.display()))
    }

    async fn import_run(&self, file: &Path) -> Result<RunImported, Problem> {
        self.report(format!("import {}", file.display()))
    }
}
