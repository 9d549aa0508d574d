//! What the fake backend says of the database.

use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{
    BackupReport, DatabaseStatus, MigrationReport, Problem, RekeyReport, RestoreReport,
    VacuumReport, VerifyReport,
};
use fusion_cli::{Depth, RestoreRequest, Upkeep};

use super::Fake;

#[async_trait]
impl Upkeep for Fake {
    async fn migrate(&self) -> Result<MigrationReport, Problem> {
        self.report("migrate".to_owned())
    }

    async fn status(&self) -> Result<DatabaseStatus, Problem> {
        self.report("status".to_owned())
    }

    async fn vacuum(&self) -> Result<VacuumReport, Problem> {
        self.report("vacuum".to_owned())
    }

    async fn backup(&self, file: &Path) -> Result<BackupReport, Problem> {
        self.report(format!("backup {}", file.display()))
    }

    async fn restore(&self, request: &RestoreRequest) -> Result<RestoreReport, Problem> {
        let RestoreRequest {
            file,
            replace,
            dry_run,
        } = request;
        self.report(format!("restore {} {replace} {dry_run}", file.display()))
    }

    async fn rekey(&self, retire: bool) -> Result<RekeyReport, Problem> {
        self.report(format!("rekey {retire}"))
    }

    async fn verify(&self, depth: Depth) -> Result<VerifyReport, Problem> {
        self.report(format!("verify {depth:?}"))
    }

    async fn mend(&self) -> Result<Vec<String>, Problem> {
        self.ask("mend".to_owned())?;
        Ok(vec!["/d/token is closed".to_owned()])
    }
}
