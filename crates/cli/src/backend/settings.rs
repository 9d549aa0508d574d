//! The port behind `config` and `health`.

use std::path::PathBuf;

use async_trait::async_trait;
use fusion_api_types::{InfoView, Problem, SettingChange, SettingView, VersionView, api};

/// A file of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsFile {
    /// `.env` of the current folder.
    Folder,
    /// The user's own.
    User,
    /// The same, and in it the profile of this name.
    Profile(String),
}

/// A setting to set or to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRequest {
    /// Its variable, or its key in the user's file.
    pub name: String,
    /// What it is to be; `None` takes it away.
    pub value: Option<String>,
    /// Where.
    pub file: SettingsFile,
    /// Nothing is changed: it is only said what would be.
    pub dry_run: bool,
}

/// How an editor on a file of settings ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditEnd {
    /// What was written is in force.
    Changed,
    /// Nothing else was written.
    Same,
    /// The editor did not end well, and had changed nothing.
    Failed,
}

/// Tells about this program and its server.
#[async_trait]
pub trait About {
    /// Every setting, whether it is set or not. Secrets are masked.
    fn settings(&self) -> Vec<SettingView>;

    /// Changes a file of settings of this machine.
    ///
    /// # Errors
    /// There is no such setting there, its value is not right, or the file can't be read or written; nothing
    /// was changed.
    fn change_setting(&self, request: &SettingRequest) -> Result<SettingChange, Problem>;

    /// Where a file of settings is.
    ///
    /// # Errors
    /// The user has none.
    fn settings_file(&self, file: &SettingsFile) -> Result<PathBuf, Problem>;

    /// Opens a file of settings in the editor of whoever calls, and waits for its end.
    ///
    /// # Errors
    /// There is no editor, the file can't be used, or what was written is not right; then it is kept, and
    /// the file is as it was.
    async fn edit_settings(&self, file: &SettingsFile) -> Result<EditEnd, Problem>;

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
