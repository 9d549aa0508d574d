//! Settings of the program.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingView {
    /// The environment variable, or the flag.
    pub name: String,
    /// What is in force, masked where it is a secret; `null` where it is not set.
    pub value: Option<String>,
    /// Where it comes from: `flag`, `environment`, `profile NAME`, `file` (`.env`), `user file` or `default` (it
    /// is not set).
    pub origin: String,
}

/// The answer to a look at the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingList {
    /// By name.
    pub settings: Vec<SettingView>,
}

/// What was changed in a file of settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingChange {
    /// The environment variable, or the key of a profile that has none.
    pub name: String,
    /// The file.
    pub file: String,
    /// What the file is called among origins: `file` (`.env`), `user file` or `profile NAME`.
    pub origin: String,
    /// What stood there, masked where it is a secret; `null` where nothing did.
    pub was: Option<String>,
    /// What stands there now; `null` where nothing does.
    pub value: Option<String>,
    /// What counts before the file and says otherwise: `flag`, `environment` or `profile NAME`.
    pub overridden_by: Option<String>,
    /// Nothing was changed: it was only said what would be.
    pub dry_run: bool,
}
