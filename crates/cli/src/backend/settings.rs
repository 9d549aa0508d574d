//! The port behind `config show` and `health`.

use async_trait::async_trait;
use fusion_api_types::{Problem, SettingView, api};

/// Tells about this program and its server.
#[async_trait]
pub trait About {
    /// Every setting, whether it is set or not. Secrets are masked.
    fn settings(&self) -> Vec<SettingView>;

    /// How the server is that owns the data directory, or that was named.
    ///
    /// # Errors
    /// There is none, or it does not answer.
    async fn health(&self) -> Result<api::Health, Problem>;
}
