//! How agents' commands are started and held.

use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind};
use fusion_workspaces::{Launcher, Sandbox};
use secrecy::ExposeSecret;

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

/// The folder of all workspaces that is wanted: the configured one, else one below the data directory.
pub(crate) fn workspaces_root(config: &Config, data_dir: &DataDir) -> Result<PathBuf, Problem> {
    let Some(root) = &config.workspaces_root else {
        return Ok(data_dir.workspaces());
    };
    std::path::absolute(root).map_err(|error| {
        let text = format!("WORKSPACES_ROOT can't be used: {error}");
        Problem::new(ProblemKind::InvalidInput, text)
    })
}

/// Starts commands. Wherever the records and the master key are, no command sees them; the home as
/// a whole is granted to none. Variables that a workflow file grants come from where keys do.
pub(crate) fn launcher(config: &Config, data_dir: &DataDir) -> Result<Launcher, Problem> {
    let kept = [
        Some(data_dir.path().to_path_buf()),
        config.master_key_file.clone(),
    ];
    let real = |paths: &[Option<PathBuf>]| -> Vec<PathBuf> {
        let paths = paths.iter().flatten();
        paths.filter_map(|path| path.canonicalize().ok()).collect()
    };
    let variables = config.clone();
    Ok(Launcher::new(vec!["/proc/self/exe".into(), HELPER.into()])
        .with_sandbox(sandbox(config)?)
        .hiding(real(&kept))
        .withholding(real(std::slice::from_ref(&config.home)))
        .with_variables(move |name| {
            let value = variables.variable(name);
            value.map(|value| value.expose_secret().to_owned())
        }))
}

/// Refuses a folder for a person's commands that has to do with the data directory, or in which
/// the master key is, before anything in it is given to their user.
pub(crate) fn check_folder(
    folder: &Path,
    config: &Config,
    data_dir: &DataDir,
) -> Result<(), Problem> {
    let Ok(folder) = folder.canonicalize() else {
        // Whoever uses it says why it can't be used.
        return Ok(());
    };
    let data = resolved(data_dir.path());
    let refused = |why: &str| {
        let folder = folder.display();
        Problem::new(
            ProblemKind::InvalidInput,
            format!("{folder} can't be a workspace: {why}"),
        )
    };
    if folder.starts_with(&data) || data.starts_with(&folder) {
        let why = format!("the data directory is {}", data.display());
        return Err(refused(&why).with_help(
            "choose a folder that is neither in it nor around it, or another data directory \
             with --data-dir",
        ));
    }
    // A link to the key counts as the key does.
    let has_key = config.master_key_file.as_ref().is_some_and(|key| {
        let named = std::path::absolute(key).unwrap_or_else(|_| key.clone());
        let named = named.parent().map(resolved);
        named.is_some_and(|named| named.starts_with(&folder)) || resolved(key).starts_with(&folder)
    });
    if has_key {
        return Err(refused("the master key is in it").with_help(
            "choose another folder, or keep the key elsewhere and set FUSION_MASTER_KEY_FILE",
        ));
    }
    Ok(())
}

/// Without links, as far as the path exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = path
        .ancestors()
        .find_map(|known| Some((known, known.canonicalize().ok()?)));
    let whole = known.and_then(|(known, real)| {
        let rest = path.strip_prefix(known).ok()?;
        // Joined to nothing, a path would end in a slash.
        Some(real.components().chain(rest.components()).collect())
    });
    whole.unwrap_or(path)
}
