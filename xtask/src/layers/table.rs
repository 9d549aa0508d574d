//! `layers.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Who may depend on whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// Crate to tier.
    pub(super) tiers: BTreeMap<String, u32>,
    /// Crate from outside to the crates of ours that may know it.
    pub(super) technologies: BTreeMap<String, Vec<String>>,
}

impl Table {
    /// Reads the file.
    ///
    /// # Errors
    /// When it can't be read or is no such table.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .with_context(|| format!("could not read {}", file.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not valid", file.display()))
    }
}
