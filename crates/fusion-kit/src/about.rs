//! The work of `config show` and `health`.

use async_trait::async_trait;
use fusion_api_types::{CheckView, Problem, ProblemKind, SettingView, api};
use fusion_cli::About;
use serde_json::Value;

use crate::backend::LocalBackend;

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

    async fn health(&self) -> Result<api::Health, Problem> {
        self.serving()?.client().get("/health", &[]).await
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
        } = health;
        if status == HEALTHY {
            return Ok(format!("{} answers, version {version}", client.url()));
        }
        let text = format!("it is {status}: the database is {database}, the bus {bus}");
        Err(Problem::new(ProblemKind::Unavailable, text)
            .with_help("look into its log, and at what else is wrong here"))
    }
}
