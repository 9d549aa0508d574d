//! The work of `config show` and `health`.

use async_trait::async_trait;
use fusion_api_types::{Problem, SettingView, api};
use fusion_cli::About;

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
