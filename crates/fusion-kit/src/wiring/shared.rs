//! Where snapshots of workspaces are kept for other nodes, and what seals them.

use std::io;
use std::path::absolute;
use std::sync::Arc;

use fusion_api_types::{Problem, ProblemKind};
use fusion_secrets::{Error, Place, Vault};
use fusion_workspaces::{Prepared, Seal, SharedFolder};

use super::node::NodeSettings;
use super::undo;
use crate::config::Config;
use crate::master_key::KeySource;
use crate::problems;

/// What stands where a sealed value names its table.
const SNAPSHOTS: &str = "workspace_snapshots";

/// The shared folder beside the workspaces, which are taken away again where it can't be used.
pub(super) fn beside(
    prepared: Prepared,
    config: &Config,
    settings: &NodeSettings,
) -> Result<(Option<SharedFolder>, Prepared), Problem> {
    match folder(config, settings) {
        Ok(shared) => Ok((shared, prepared)),
        Err(problem) => {
            undo(prepared);
            Err(problem)
        }
    }
}

/// The shared folder, for a process that shares its store; it is proven that it can be written to.
fn folder(config: &Config, settings: &NodeSettings) -> Result<Option<SharedFolder>, Problem> {
    let shares = settings.node.is_some();
    let Some(root) = config.node.shared_dir.as_ref().filter(|_| shares) else {
        return Ok(None);
    };
    let root = absolute(root).map_err(|error| {
        let text = format!("FUSION_SHARED_DIR can't be used: {error}");
        Problem::new(ProblemKind::InvalidInput, text)
    })?;
    let vault = KeySource::of(config)?.vault_or_new()?;
    let shared = SharedFolder::new(&root, Arc::new(Sealing(vault)));
    shared.preflight().map_err(|error| {
        problems::of_workspaces(&error)
            .with_help("FUSION_SHARED_DIR names a folder that every node can write to")
    })?;
    Ok(Some(shared))
}

/// Seals with the master key, which all nodes have.
#[derive(Debug)]
struct Sealing(Vault);

impl Seal for Sealing {
    fn name_of(&self, content: &[u8]) -> String {
        self.0.name_of(content)
    }

    fn seal(&self, owner: &str, name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
        let sealed = self.0.seal_piece(place(owner, name), content);
        sealed.map_err(io::Error::other)
    }

    fn open(&self, owner: &str, name: &str, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let opened = self.0.open_piece(place(owner, name), sealed);
        opened.map_err(|error| {
            if let Error::Damaged { .. } = error {
                return io::Error::other("its bytes were changed");
            }
            if let Error::WrongKey { sealed_with, .. } = error {
                let what = format!("it is sealed with the key {sealed_with}, which is not at hand");
                return io::Error::other(what);
            }
            io::Error::other(error)
        })
    }
}

const fn place<'a>(owner: &'a str, name: &'a str) -> Place<'a> {
    Place {
        table: SNAPSHOTS,
        row: owner,
        field: name,
    }
}
