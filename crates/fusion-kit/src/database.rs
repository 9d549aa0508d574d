//! Looking after the database: its state, its copies, its keys.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use fusion_api_types::{
    BackupReport, CheckView, DatabaseStatus, DatabaseView, MigrationReport, Problem, RekeyReport,
    RestoreReport, SchemaView, VacuumReport, VerifyReport,
};
use fusion_cli::{Depth, RestoreRequest, Upkeep};
use fusion_core::ProviderConfig;
use fusion_persistence::Error as StoreError;
use fusion_persistence_sql::maintenance::{self, Check, Vacuumed};
use fusion_persistence_sql::{Location, SchemaState, SqlStore};
use tokio_util::task::TaskTracker;

use crate::backend::LocalBackend;
use crate::data_dir::DataDir;
use crate::master_key::{self, KeySource, Rekeyed};
use crate::system::SystemIds;
use crate::wiring::BusPlace;
use crate::{problems, wiring};

#[async_trait]
impl Upkeep for LocalBackend {
    async fn migrate(&self) -> Result<MigrationReport, Problem> {
        let place = self.place()?;
        let migrated = place
            .alone(maintenance::migrate(&place.location))
            .await?
            .map_err(|error| place.problem(&error))?;
        Ok(MigrationReport {
            place: place.name(),
            applied_now: migrated.applied_now,
            schema: schema_view(migrated.schema, Vec::new()),
        })
    }

    async fn status(&self) -> Result<DatabaseStatus, Problem> {
        let place = self.place()?;
        let found = maintenance::status(&place.location)
            .await
            .map_err(|error| place.problem(&error))?;
        Ok(DatabaseStatus {
            place: place.name(),
            database: found.map(database_view),
        })
    }

    async fn vacuum(&self) -> Result<VacuumReport, Problem> {
        let place = self.place()?;
        let vacuum = Box::pin(maintenance::vacuum(&place.location));
        let done = match &place.location {
            // It works on while rows are written.
            Location::Server(_) => vacuum.await,
            Location::File(..) | Location::Memory => place.alone(vacuum).await?,
        };
        let Vacuumed { before, after } = done.map_err(|error| place.problem(&error))?;
        Ok(VacuumReport {
            place: place.name(),
            before_bytes: before,
            after_bytes: after,
        })
    }

    async fn backup(&self, file: &Path) -> Result<BackupReport, Problem> {
        let place = self.place()?;
        let written = maintenance::backup(&place.location, file)
            .await
            .map_err(|error| place.problem(&error))?;
        Ok(BackupReport {
            place: place.name(),
            file: file.display().to_string(),
            bytes: written.bytes,
            rows: by_name(written.rows),
        })
    }

    async fn restore(&self, request: &RestoreRequest) -> Result<RestoreReport, Problem> {
        let place = self.place()?;
        let RestoreRequest {
            file,
            replace,
            dry_run,
        } = request;
        let (file, replace) = (file.as_path(), *replace);
        let restored = if *dry_run {
            let trying = maintenance::try_restore(&place.location, file, replace);
            place.alone(Box::pin(trying)).await?
        } else {
            let restoring = maintenance::restore(&place.location, file, replace);
            place.alone(Box::pin(restoring)).await?
        };
        let restored = restored.map_err(|error| {
            let problem = place.problem(&error);
            if matches!(error, StoreError::Invalid { .. }) && !replace {
                problem.with_help(place.how_to_replace(file))
            } else {
                problem
            }
        })?;
        Ok(RestoreReport {
            place: place.name(),
            file: file.display().to_string(),
            dry_run: *dry_run,
            rows: by_name(restored.rows),
            replaced: by_name(restored.replaced),
            upgraded: restored.upgraded,
        })
    }

    async fn rekey(&self, retire: bool) -> Result<RekeyReport, Problem> {
        let place = self.place()?;
        let source = KeySource::of(self.config())?;
        let key_place = source.place();
        let rekeyed = place
            .alone(Box::pin(rekey(&place, source, retire)))
            .await??;
        Ok(RekeyReport {
            place: place.name(),
            sealed_anew: rekeyed.sealed_anew,
            key: rekeyed.key.map(|key| key.to_string()),
            key_place,
            older_keys_kept: rekeyed.older_kept,
        })
    }

    async fn mend(&self) -> Result<Vec<String>, Problem> {
        self.mend_here().await
    }

    async fn verify(&self, depth: Depth) -> Result<VerifyReport, Problem> {
        let place = self.place()?;
        let mut checks = place.check().await;
        checks.push(self.check_data_dir()?);
        let stored = place.stored().await;
        checks.push(match KeySource::of(self.config()) {
            Ok(source) => source.check(stored.as_deref()),
            Err(problem) => fault("master key", &problem),
        });
        checks.push(match BusPlace::of(self.config()) {
            Ok(bus) => bus.check(&SystemIds::new()).await,
            Err(problem) => fault("bus", &problem),
        });
        checks.extend(wiring::check_shared(self.config(), &place.location).await);
        checks.push(self.check_sandbox().await);
        checks.push(self.check_server().await);
        for row in stored.iter().flatten().filter(|row| row.enabled) {
            checks.push(self.check_provider(row, depth).await);
        }
        if depth == Depth::Deep {
            for row in stored.iter().flatten().filter(|row| row.enabled) {
                checks.push(self.try_provider(row).await);
            }
            checks.push(self.try_workflow().await);
        }
        Ok(VerifyReport {
            ok: checks.iter().all(|check| check.fault.is_none()),
            place: place.name(),
            mended: Vec::new(),
            checks,
        })
    }
}

impl LocalBackend {
    pub(crate) fn place(&self) -> Result<Place, Problem> {
        let data_dir = self.data_dir()?;
        Ok(Place {
            location: wiring::location(self.config(), &data_dir)?,
            data_dir,
        })
    }
}

/// Where the database is, and the data directory of its runs.
pub(crate) struct Place {
    location: Location,
    data_dir: DataDir,
}

impl Place {
    pub(crate) const fn location(&self) -> &Location {
        &self.location
    }

    /// For a person; without a password.
    fn name(&self) -> String {
        match &self.location {
            Location::File(path, _) => path.display().to_string(),
            Location::Memory => "memory".to_owned(),
            Location::Server(url) => url.to_string(),
        }
    }

    /// Works on the database as the owner of the data directory, when it can be had.
    pub(crate) async fn alone<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<Result<T, E>, Problem> {
        let owned = self.data_dir.own().await?;
        let done = work.await;
        // What was made in vain goes away again: the database is elsewhere, or was not made.
        if done.is_ok() && self.data_dir.exists() {
            drop(owned);
        } else {
            owned.undo();
        }
        Ok(done)
    }

    fn how_to_replace(&self, file: &Path) -> String {
        let file = fusion_cli::shell_word(&file.to_string_lossy());
        let restore = self
            .data_dir
            .command(&format!("db restore {file} --replace"));
        format!("to lose what is in the database now: {restore}")
    }

    fn problem(&self, error: &StoreError) -> Problem {
        let problem = problems::of_store(error);
        if is_no_database(error) {
            problem.with_help(format!(
                "it is made when a run starts, or with: {}",
                self.data_dir.command("db migrate")
            ))
        } else {
            problem
        }
    }

    /// What is right and wrong with the database.
    async fn check(&self) -> Vec<CheckView> {
        match maintenance::check(&self.location).await {
            Ok(checks) => checks.into_iter().map(check_view).collect(),
            Err(error) if is_no_database(&error) => vec![CheckView {
                name: "database".to_owned(),
                note: Some("none yet; it is made when a run starts".to_owned()),
                fault: None,
                help: None,
            }],
            Err(error) => vec![fault("database", &self.problem(&error))],
        }
    }

    /// The providers of the database; `None` when they can't be read.
    async fn stored(&self) -> Option<Vec<ProviderConfig>> {
        let Some(store) = SqlStore::open_to_read(&self.location).await.ok()? else {
            return Some(Vec::new());
        };
        let stored = master_key::stored(&store).await.ok();
        store.close().await.ok();
        stored
    }
}

fn is_no_database(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::NotFound {
            entity: "database",
            ..
        }
    )
}

async fn rekey(place: &Place, source: KeySource, retire: bool) -> Result<Rekeyed, Problem> {
    let found = maintenance::status(&place.location).await;
    if found.map_err(|error| place.problem(&error))?.is_none() {
        return Err(place.problem(&StoreError::NotFound {
            entity: "database",
            id: place.name(),
        }));
    }
    let writing = TaskTracker::new();
    let store = SqlStore::open(&place.location, &writing)
        .await
        .map_err(|error| place.problem(&error))?;
    let rekeyed = source.rekey(&store, retire).await;
    wiring::close(store, &writing).await;
    rekeyed
}

fn database_view(found: maintenance::DatabaseStatus) -> DatabaseView {
    DatabaseView {
        kind: found.kind.as_str().to_owned(),
        version: found.version,
        size_bytes: found.size_bytes,
        schema: schema_view(found.schema, found.newer),
        rows: by_name(found.rows),
        last_event: found.last_event,
        oldest_event: found.oldest_event,
    }
}

fn schema_view(state: SchemaState, newer: Vec<String>) -> SchemaView {
    SchemaView {
        applied: state.applied,
        missing: state.missing,
        newer,
    }
}

fn by_name(rows: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    let named = rows.into_iter();
    named.map(|(name, rows)| (name.to_owned(), rows)).collect()
}

fn check_view(check: Check) -> CheckView {
    CheckView {
        name: check.name.to_owned(),
        note: None,
        fault: check.fault,
        help: check.help,
    }
}

fn fault(name: &str, problem: &Problem) -> CheckView {
    CheckView {
        name: name.to_owned(),
        note: None,
        fault: Some(problem.message.clone()),
        help: problem.help.clone(),
    }
}
