//! The browser of a person who sits at this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::{Error, Result};

/// Runs what opens a browser, a command as the shell reads it, on a file; gives its exit code once it has
/// ended, `None` when a signal ended it, and 0 where it is still there after this time: a browser may stay.
/// It runs as whoever calls, outside of any sandbox, with this environment and no other, without a terminal
/// and out of reach of its Ctrl-C.
///
/// # Errors
/// No shell can be started.
pub async fn browse(
    opener: &str,
    environment: &BTreeMap<String, String>,
    file: &Path,
    within: Duration,
) -> Result<Option<i32>> {
    let not_started = |source| Error::NotStarted {
        program: opener.to_owned(),
        source,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "this crate is what starts processes"
    )]
    let mut shell = Command::new("/bin/sh");
    // The file is an argument of its own: nothing in its name is read by the shell.
    let line = format!("{opener} \"$@\"");
    let begun = shell
        .args(["-c", &line, opener])
        .arg(file)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let mut child = begun.map_err(not_started)?;
    match timeout(within, child.wait()).await {
        Ok(ended) => Ok(ended.map_err(not_started)?.code()),
        Err(_) => Ok(Some(0)),
    }
}
