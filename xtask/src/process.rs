//! Starting cargo, and what installs programs.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What cargo tells a program that it runs about the package of that program. Build scripts look at the
/// same names (that of ring does): another cargo would take what is there for a change, and build all that
/// needs ring again.
const OF_PACKAGE: [&str; 2] = ["CARGO_PKG_", "CARGO_MANIFEST_"];

/// The same cargo that runs this, or the one in the path.
#[expect(
    clippy::disallowed_methods,
    reason = "a developer's command starts cargo; nothing of an agent runs here"
)]
fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if OF_PACKAGE.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
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

/// Runs cargo with this terminal and these variables. Ctrl-C and SIGTERM end cargo, and this returns
/// after it: what cargo works with can then be put away.
///
/// # Errors
/// When it can't be started or does not succeed.
pub(crate) fn run_cargo_to_its_end(
    root: &Path,
    arguments: &[&str],
    variables: Vec<(&'static str, OsString)>,
) -> Result<()> {
    let line = arguments.join(" ");
    let mut signals =
        Signals::new([SIGCHLD, SIGINT, SIGTERM]).context("could not listen for signals")?;
    let mut child = cargo(root, arguments)
        .envs(variables)
        .spawn()
        .with_context(|| format!("could not start cargo {line}"))?;
    let status = wait(&mut child, &mut signals)?;
    ensure!(status.success(), "cargo {line} failed: {status}");
    Ok(())
}

/// The terminal sends Ctrl-C to cargo as well; SIGTERM is passed on.
fn wait(child: &mut Child, signals: &mut Signals) -> Result<ExitStatus> {
    for signal in signals.forever() {
        if let Some(status) = child.try_wait().context("could not wait for cargo")? {
            return Ok(status);
        }
        if signal == SIGTERM {
            kill_process(Pid::from_child(child), Signal::TERM).context("could not end cargo")?;
        }
    }
    child.wait().context("could not wait for cargo")
}

/// Runs a line of shell as root, if need be through sudo without a question.
///
/// # Errors
/// When it can't be started or does not succeed.
#[expect(
    clippy::disallowed_methods,
    reason = "a developer's command installs a program; nothing of an agent runs here"
)]
pub(crate) fn run_as_root(line: &str) -> Result<()> {
    let shell = ["DEBIAN_FRONTEND=noninteractive", "sh", "-c", line];
    let mut command = if geteuid().is_root() {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "env"]);
        sudo
    };
    let status = command
        .args(shell)
        .status()
        .with_context(|| format!("could not run `{line}` as root"))?;
    ensure!(status.success(), "`{line}` failed as root: {status}");
    Ok(())
}

/// Runs a program with this terminal.
///
/// # Errors
/// When it can't be started or does not succeed.
#[expect(
    clippy::disallowed_methods,
    reason = "a developer's command installs a program; nothing of an agent runs here"
)]
pub(crate) fn run_program(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("could not start {program}"))?;
    let line = arguments.join(" ");
    ensure!(status.success(), "{program} {line} failed: {status}");
    Ok(())
}

/// Whether a program can do this; says nothing.
#[expect(
    clippy::disallowed_methods,
    reason = "a developer's command looks for a program; nothing of an agent runs here"
)]
pub(crate) fn can_run(program: &Path, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a script of bash prints for this command. It is ended with all it began when it takes longer.
///
/// # Errors
/// When it can't be started, does not succeed, or takes too long.
#[expect(
    clippy::disallowed_methods,
    reason = "a developer's command starts what tests need; nothing of an agent runs here"
)]
pub(crate) fn read_script(
    script: &Path,
    command: &str,
    (name, value): (&str, u16),
    limit: Duration,
) -> Result<String> {
    let output = Command::new("timeout")
        .arg(limit.as_secs().to_string())
        .arg("bash")
        .args([script, Path::new(command)])
        .env(name, value.to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start {}", script.display()))?;
    let status = output.status;
    ensure!(status.success(), "{} {command}: {status}", script.display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
