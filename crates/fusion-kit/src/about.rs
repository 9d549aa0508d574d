//! The work of `config`, `version`, `info` and `health`.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use fusion_api_types::{
    CheckView, DatabaseStatus, InfoView, PlacesView, Problem, ProblemKind, ServerInfo,
    ServerVersion, SettingChange, SettingView, VersionView, api,
};
use fusion_cli::{About, EditEnd, Nodes, SettingRequest, SettingsFile, Upkeep};
use fusion_persistence::{Page, Repository, WorkspaceFilter};
use serde_json::Value;

use crate::backend::LocalBackend;
use crate::problems;
use crate::remote::Remote;
use crate::wiring::{self, BusPlace};

/// Of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[async_trait]
impl About for LocalBackend {
    fn settings(&self) -> Vec<SettingView> {
        let mut settings = self.config().settings();
        for (name, flag) in [
            (
                "FUSION_KIT_DATA_DIR",
                self.chosen_data_dir().map(|dir| dir.display().to_string()),
            ),
            ("FUSION_SERVER", self.named_server().map(str::to_owned)),
        ] {
            let setting = settings.iter_mut().find(|setting| setting.name == name);
            if let (Some(setting), Some(flag)) = (setting, flag)
                && setting.value.as_ref() != Some(&flag)
            {
                setting.value = Some(flag);
                "flag".clone_into(&mut setting.origin);
            }
        }
        settings
    }

    fn change_setting(&self, request: &SettingRequest) -> Result<SettingChange, Problem> {
        self.config().change(request, &self.settings())
    }

    fn settings_file(&self, file: &SettingsFile) -> Result<PathBuf, Problem> {
        self.config().settings_file(file)
    }

    async fn edit_settings(&self, file: &SettingsFile) -> Result<EditEnd, Problem> {
        self.config().edit(file).await
    }

    async fn version(&self) -> Result<VersionView, Problem> {
        let server = match self.remote()? {
            Some(remote) => Some(server_of(&remote).await?),
            None => None,
        };
        Ok(VersionView {
            version: VERSION.to_owned(),
            server: server.map(|server| ServerVersion {
                url: server.url,
                version: server.version,
            }),
        })
    }

    async fn info(&self) -> Result<InfoView, Problem> {
        let server = match self.remote()? {
            Some(remote) => Some(server_of(&remote).await?),
            None => None,
        };
        let here = match self.named_server() {
            Some(_) => None,
            None => Some(self.places().await?),
        };
        Ok(InfoView {
            version: VERSION.to_owned(),
            here,
            server,
            nodes: self.list_nodes().await?.nodes,
        })
    }

    async fn health(&self) -> Result<api::Health, Problem> {
        self.serving()?.client().get("/health", &[]).await
    }
}

/// How a server is.
async fn server_of(remote: &Remote) -> Result<ServerInfo, Problem> {
    let client = remote.client();
    let health: api::Health = client.get("/health", &[]).await?;
    Ok(ServerInfo {
        url: client.url().to_owned(),
        version: health.version,
        status: health.status,
        database: health.database,
        bus: health.bus,
    })
}

impl LocalBackend {
    /// Where things are on this machine.
    async fn places(&self) -> Result<PlacesView, Problem> {
        let data_dir = self.data_dir()?;
        let workspaces = match self.newest_workspace().await? {
            Some(folder) => folder,
            None => wiring::workspaces_root(self.config(), &data_dir)?,
        };
        let DatabaseStatus { place, database } = self.status().await?;
        let (kind, version, schema) = match database {
            Some(found) => (Some(found.kind), Some(found.version), Some(found.schema)),
            None => (None, None, None),
        };
        Ok(PlacesView {
            data_dir: data_dir.path().display().to_string(),
            workspaces: workspaces.display().to_string(),
            database: place,
            database_kind: kind,
            database_version: version,
            schema,
            bus: BusPlace::of(self.config())?.to_string(),
        })
    }
}

impl LocalBackend {
    /// The folder that the newest workspace was made in.
    async fn newest_workspace(&self) -> Result<Option<PathBuf>, Problem> {
        let Some(reading) = self.reading().await? else {
            return Ok(None);
        };
        let every = WorkspaceFilter::default();
        let newest = reading.store().list(&every, Page::first(1)).await;
        let newest = newest.map_err(|error| problems::of_store(&error))?;
        let newest = newest.first().map(|row| Path::new(&row.root_path));
        Ok(newest.and_then(Path::parent).map(Path::to_path_buf))
    }
}

/// What the server says of itself when all is right.
const HEALTHY: &str = "healthy";

impl LocalBackend {
    /// Asks the server of the data directory how it is, and something that wants its token.
    pub(crate) async fn check_server(&self) -> CheckView {
        let (note, problem) = match self.ask_server().await {
            Ok(note) => (Some(note), None),
            Err(problem) => (None, Some(problem)),
        };
        let (fault, help) = problem.map_or((None, None), |it| (Some(it.message), it.help));
        CheckView {
            name: "server".to_owned(),
            note,
            fault,
            help,
        }
    }

    async fn ask_server(&self) -> Result<String, Problem> {
        let Some(server) = self.remote()? else {
            return Ok("none runs; start one with: fusion-kit serve".to_owned());
        };
        let client = server.client();
        let health: api::Health = client.get("/health", &[]).await?;
        let _runs: Value = client.get("/runs", &[("limit", "1".to_owned())]).await?;
        let api::Health {
            status,
            database,
            bus,
            version,
            knows: _,
        } = health;
        if status == HEALTHY {
            return Ok(format!("{} answers, version {version}", client.url()));
        }
        let text = format!("it is {status}: the database is {database}, the bus {bus}");
        Err(Problem::new(ProblemKind::Unavailable, text)
            .with_help("look into its log, and at what else is wrong here"))
    }
}
