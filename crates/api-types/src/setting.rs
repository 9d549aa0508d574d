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
