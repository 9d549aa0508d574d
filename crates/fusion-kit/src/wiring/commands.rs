//! How agents' commands are started and held.

use std::path::PathBuf;

use fusion_api_types::{Problem, ProblemKind};
use fusion_workspaces::{Launcher, Sandbox};

use crate::HELPER;
use crate::config::Config;
use crate::data_dir::DataDir;

/// What the operator wants to hold commands.
pub(crate) fn sandbox(config: &Config) -> Result<Sandbox, Problem> {
    match config.sandbox.as_deref() {
        None | Some("on") => Ok(Sandbox::On),
        Some("off") => Ok(Sandbox::Off),
        Some(other) => Err(Problem::new(
            ProblemKind::InvalidInput,
            format!("FUSION_KIT_SANDBOX is '{other}'"),
        )
        .with_help("write on or off, or leave it out: then it is on")),
    }
}

/// Starts commands. Wherever the records and the master key are, no command sees them.
pub(crate) fn launcher(config: &Config, data_dir: &DataDir) -> Result<Launcher, Problem> {
    let kept = [
        Some(data_dir.path().to_path_buf()),
        config.master_key_file.clone(),
    ];
    let kept: Vec<PathBuf> = kept
        .into_iter()
        .flatten()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    Ok(Launcher::new(vec!["/proc/self/exe".into(), HELPER.into()])
        .with_sandbox(sandbox(config)?)
        .hiding(kept))
}
