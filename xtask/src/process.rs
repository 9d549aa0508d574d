//! Starting cargo.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The same cargo that runs this, or the one in the path.
#[expect(
    clippy::disallowed_methods,
    reason = "a developer's command starts cargo; nothing of an agent runs here"
)]
fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root);
    command
}

/// Runs cargo with this terminal.
///
/// # Errors
/// When it can't be started or does not succeed.
pub(crate) fn run_cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    let line = arguments.join(" ");
    let status = cargo(root, arguments)
        .status()
        .with_context(|| format!("could not start cargo {line}"))?;
    ensure!(status.success(), "cargo {line} failed: {status}");
    Ok(())
}

/// What cargo prints.
///
/// # Errors
/// When it can't be started or does not succeed.
pub(crate) fn read_cargo(root: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let line = arguments.join(" ");
    let output = cargo(root, arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start cargo {line}"))?;
    ensure!(
        output.status.success(),
        "cargo {line} failed: {}",
        output.status
    );
    Ok(output.stdout)
}

/// Whether cargo can do this; says nothing.
pub(crate) fn cargo_can(root: &Path, arguments: &[&str]) -> bool {
    cargo(root, arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
