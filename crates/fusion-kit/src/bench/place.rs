//! Where a row is measured: a folder, a database and settings of its own, gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::{BenchModel, BenchStore};
use fusion_core::IdSource as _;
use fusion_persistence_sql::{Durability, Location, Scratch};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use secrecy::{ExposeSecret, SecretString};

use super::meter::{Meter, Others};
use super::{Cost, Plan, WARM_UP, workflows};
use crate::backend::LocalBackend;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::files::{File, read_file};
use crate::problems;
use crate::system::SystemIds;
use crate::wiring::Engine;

/// User ids of the agents where the program runs as root: as many as agents are measured.
const UIDS: &str = "2000000-3999999";

/// A place.
pub(super) struct Place {
    folder: PathBuf,
    backend: LocalBackend,
    scratch: Option<Scratch>,
    location: Location,
    /// The workflow of the row.
    pub(super) file: File,
}

impl Place {
    pub(super) async fn new(backend: &LocalBackend, plan: Plan) -> Result<Self, Problem> {
        let config = config(backend.config(), plan)?;
        let id = SystemIds::new().uuid().simple();
        let name = format!("fusion_bench_{id}");
        let folder = match backend.chosen_data_dir() {
            Some(folder) => std::path::absolute(folder).map_err(|error| of_folder(&error))?,
            None => std::env::temp_dir(),
        };
        let folder = folder.join(&name);
        fs::create_dir_all(&folder).map_err(|error| of_folder(&error))?;
        // No agent runs commands here, and the kernel's books of a process are its own to read then.
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::Dumpable) {
            tracing::warn!(%error, "what is written to disks may not be told");
        }
        let made = Self::furnish(backend, plan, config, (&folder, &name)).await;
        if made.is_err() {
            fs::remove_dir_all(&folder).ok();
        }
        made
    }

    async fn furnish(
        backend: &LocalBackend,
        plan: Plan,
        config: Config,
        (folder, name): (&Path, &str),
    ) -> Result<Self, Problem> {
        fs::write(
            folder.join("bench.yaml"),
            workflows::workflow(plan.row, plan.llm),
        )
        .map_err(|error| of_folder(&error))?;
        fs::write(
            folder.join(workflows::SCRIPT),
            workflows::script(plan.row, plan.number + WARM_UP),
        )
        .map_err(|error| of_folder(&error))?;
        let file = read_file(&folder.join("bench.yaml"))?;
        let data = folder.join("data");
        let database = data.join("fusion.db");
        let scratch = match plan.store {
            BenchStore::Postgres => Some(scratch(backend.config(), name).await?),
            BenchStore::Memory | BenchStore::Sqlite | BenchStore::SqliteFull => None,
        };
        let location = match (&scratch, plan.store) {
            (Some(scratch), _) => scratch.location().clone(),
            (None, BenchStore::Memory) => Location::Memory,
            (None, BenchStore::Sqlite) => Location::File(database, Durability::Normal),
            (None, BenchStore::SqliteFull | BenchStore::Postgres) => {
                Location::File(database, Durability::Full)
            }
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            backend: LocalBackend::new(config, Some(data), None),
            scratch,
            location,
            file,
        })
    }

    /// The settings of this place.
    pub(super) const fn config(&self) -> &Config {
        self.backend.config()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of its database, where that is not a file of the data directory.
    pub(super) fn database_url(&self) -> Option<String> {
        match &self.location {
            Location::Server(url) => Some(url.with_password().to_owned()),
            Location::File(..) | Location::Memory => None,
        }
    }

    /// Opens an engine on it, with the providers that it asks.
    pub(super) async fn open(&self) -> Result<(Engine, Arc<fusion_providers::Registry>), Problem> {
        let registry = self.backend.registry_of(&[]);
        let data_dir: DataDir = self.backend.data_dir()?;
        let engine = self
            .backend
            .engine_at(&data_dir, self.location.clone(), Arc::clone(&registry))
            .await?;
        Ok((engine, registry))
    }

    /// Begins to count. `server` is a process of this program that is measured too.
    pub(super) async fn start(&self, server: Option<i32>) -> Result<Counting<'_>, Problem> {
        let postgres = match &self.scratch {
            Some(scratch) => Some(
                scratch
                    .process()
                    .await
                    .map_err(|error| problems::of_store(&error))?,
            ),
            None => None,
        };
        let others = match (postgres, server) {
            (None, None) => Others::Nobody,
            (Some(postgres), None) => Others::Postgres(postgres),
            (None, Some(server)) => Others::Server(server),
            (Some(postgres), Some(server)) => Others::Both { postgres, server },
        };
        self.count(others).await
    }

    /// Begins to count what processes cost that this one starts and waits for.
    pub(super) async fn start_of_children(&self) -> Result<Counting<'_>, Problem> {
        self.count(Others::Children).await
    }

    async fn count(&self, others: Others) -> Result<Counting<'_>, Problem> {
        let logged = self.logged().await?;
        Ok(Counting {
            place: self,
            logged,
            meter: Meter::start(others),
        })
    }

    async fn logged(&self) -> Result<Option<i64>, Problem> {
        match &self.scratch {
            Some(scratch) => scratch
                .written()
                .await
                .map(Some)
                .map_err(|error| problems::of_store(&error)),
            None => Ok(None),
        }
    }

    /// Takes everything away.
    pub(super) async fn remove(self) -> Result<(), Problem> {
        if let Some(scratch) = self.scratch {
            scratch
                .drop_it()
                .await
                .map_err(|error| problems::of_store(&error))?;
        }
        fs::remove_dir_all(&self.folder).map_err(|error| of_folder(&error))
    }
}

/// A stretch that is being measured.
pub(super) struct Counting<'a> {
    place: &'a Place,
    logged: Option<i64>,
    meter: Meter,
}

impl Counting<'_> {
    pub(super) async fn stop(self) -> Result<Cost, Problem> {
        let now = self.place.logged().await?;
        let logged = now.zip(self.logged).map(|(now, before)| now - before);
        let logged = logged.map(|bytes| u64::try_from(bytes).unwrap_or_default());
        Ok(self.meter.stop(logged))
    }
}

/// Settings that are those of anybody, but for what is measured.
fn config(of_user: &Config, plan: Plan) -> Result<Config, Problem> {
    let base_url = match plan.llm {
        BenchModel::None => None,
        BenchModel::Raw => Some(mock(of_user)?),
    };
    let mut config = of_user.clone();
    config.base_url = base_url;
    config.base_url_key = None;
    config.database_url = None;
    config.redis_url = None;
    config.server_url = None;
    config.agents_at_once = Some("100000".to_owned());
    config.agent_uids = rustix::process::geteuid()
        .is_root()
        .then(|| UIDS.to_owned());
    Ok(config)
}

/// The base URL of the server that answers: paths of the protocol begin with `/v1`.
fn mock(config: &Config) -> Result<String, Problem> {
    let url = config.mock_url.as_deref().ok_or_else(|| {
        Problem::new(ProblemKind::InvalidInput, "MOCK_URL is not set").with_help(
            "set it to a chat completions server, such as that of `cargo run --release -p fusion-benches \
             --bin mock`, or take --llm none",
        )
    })?;
    let url = url.trim_end_matches('/');
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    Ok(if host.contains('/') {
        url.to_owned()
    } else {
        format!("{url}/v1")
    })
}

async fn scratch(config: &Config, name: &str) -> Result<Scratch, Problem> {
    let url: &SecretString = config.pg_url.as_ref().ok_or_else(|| {
        Problem::new(ProblemKind::InvalidInput, "PG_URL is not set")
            .with_help("set it to a PostgreSQL server whose user may make databases")
    })?;
    let made = Scratch::create(url.expose_secret(), name).await;
    made.map_err(|error| problems::of_store(&error))
}

fn of_folder(error: &std::io::Error) -> Problem {
    Problem::new(
        ProblemKind::Unavailable,
        format!("the folder to measure in can't be used: {error}"),
    )
}
