//! The port behind `config show` and `health`.

use async_trait::async_trait;
use fusion_api_types::{InfoView, Problem, SettingView, VersionView, api};

/// Tells about this program and its server.
#[async_trait]
pub trait About {
    /// Every setting, whether it is set or not. Secrets are masked.
    fn settings(&self) -> Vec<SettingView>;

    /// The version of this program, and of the server that is asked or owns the data directory.
    ///
    /// # Errors
    /// There is one, and it does not answer.
    async fn version(&self) -> Result<VersionView, Problem>;

    /// Where everything is.
    ///
    /// # Errors
    /// The settings are wrong, or the database or the server can't be reached.
    async fn info(&self) -> Result<InfoView, Problem>;

    /// How the server is that owns the data directory, or that was named.
    ///
    /// # Errors
    /// There is none, or it does not answer.
    async fn health(&self) -> Result<api::Health, Problem>;
}
