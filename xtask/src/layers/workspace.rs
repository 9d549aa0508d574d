//! The workspace as cargo sees it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::read_cargo;

/// A crate of the workspace.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) name: String,
    /// Where its `Cargo.toml` stands.
    pub(super) folder: PathBuf,
    pub(super) dependencies: Vec<Dependency>,
}

/// One line of a crate's dependencies.
#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    /// The package's own name, whatever it is renamed to.
    pub(super) name: String,
    #[serde(default, deserialize_with = "kind")]
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) features: Vec<String>,
}

/// What a dependency is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// The crate itself.
    #[default]
    Normal,
    /// Its build script.
    Build,
    /// Its tests, examples and benchmarks.
    Dev,
}

/// The crates of the workspace at `root`.
///
/// # Errors
/// When cargo fails or prints something unexpected.
pub(crate) fn members(root: &Path) -> Result<Vec<Member>> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps"];
    parse(&read_cargo(root, &arguments)?)
}

/// Reads what `cargo metadata --no-deps` prints.
pub(super) fn parse(metadata: &[u8]) -> Result<Vec<Member>> {
    let metadata: Metadata =
        serde_json::from_slice(metadata).context("could not read cargo's metadata")?;
    metadata
        .packages
        .into_iter()
        .map(Member::try_from)
        .collect()
}

impl Member {
    /// Whether its `Cargo.toml` takes the workspace's lint table.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn has_workspace_lints(&self) -> Result<bool> {
        let file = self.folder.join("Cargo.toml");
        let text = fs::read_to_string(&file)
            .with_context(|| format!("could not read {}", file.display()))?;
        let manifest: Manifest =
            toml::from_str(&text).with_context(|| format!("{} is not valid", file.display()))?;
        Ok(manifest.lints.is_some_and(|lints| lints.workspace))
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

impl TryFrom<Package> for Member {
    type Error = anyhow::Error;

    fn try_from(package: Package) -> Result<Self> {
        let folder = package.manifest_path.parent();
        Ok(Self {
            folder: folder.context("a Cargo.toml without a folder")?.to_owned(),
            name: package.name,
            dependencies: package.dependencies,
        })
    }
}

#[derive(Deserialize)]
struct Manifest {
    lints: Option<Lints>,
}

#[derive(Deserialize)]
struct Lints {
    #[serde(default)]
    workspace: bool,
}

/// Cargo writes `null` for a plain dependency.
fn kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
