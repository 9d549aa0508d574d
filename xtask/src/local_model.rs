//! The real small model of the tests, where the folder beside this one has it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::read_script;

/// Holds the base URL of the model's server.
pub(crate) const VARIABLE: &str = "FUSION_TEST_LOCAL_MODEL";

/// What sets the model up, starts and stops it, from the root of the repository.
const SCRIPT: &str = "../shared/local-llm/serve.sh";

/// Enough to fetch half a gigabyte and start.
const LIMIT: Duration = Duration::from_secs(180);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct LocalModel {
    script: PathBuf,
    port: u16,
    base_url: String,
}

impl LocalModel {
    /// Starts it; says why when there is none, and that is no failure.
    pub(crate) fn start(root: &Path) -> Option<Self> {
        let script = root.join(SCRIPT);
        if !script.is_file() {
            eprintln!("no real model: {SCRIPT} is not there; its tests will be skipped");
            return None;
        }
        eprintln!("starting the real model of the tests");
        match Self::start_by(script, LIMIT) {
            Ok(model) => {
                eprintln!("the real model answers at {}", model.base_url);
                Some(model)
            }
            Err(error) => {
                eprintln!("no real model: {error:#}; its tests will be skipped");
                None
            }
        }
    }

    fn start_by(script: PathBuf, limit: Duration) -> Result<Self> {
        // Free now, and nobody else is told of it.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .context("no port on 127.0.0.1 can be had")?
            .port();
        let mut model = Self {
            script,
            port,
            base_url: String::new(),
        };
        let printed = model.call("start", limit)?;
        let url = printed.lines().last().unwrap_or_default().trim();
        ensure!(url.starts_with("http://127.0.0.1:"), "it printed '{url}'");
        url.clone_into(&mut model.base_url);
        Ok(model)
    }

    fn call(&self, command: &str, limit: Duration) -> Result<String> {
        read_script(&self.script, command, ("PORT", self.port), limit)
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }
}

impl Drop for LocalModel {
    fn drop(&mut self) {
        if let Err(error) = self.call("stop", Duration::from_secs(30)) {
            eprintln!("the real model could not be stopped: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::LocalModel;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A script that keeps what it was asked for and then does this.
    fn started(folder: &Path, does: &str, limit: Duration) -> anyhow::Result<LocalModel> {
        let script = folder.join("serve.sh");
        let calls = folder.join("calls");
        let text = format!("echo \"$1\" >> '{}'\n{does}\n", calls.display());
        fs::write(&script, text).unwrap();
        LocalModel::start_by(script, limit)
    }

    #[test]
    fn a_model_runs_at_the_address_that_its_script_prints_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let model = started(folder.path(), "echo \"http://127.0.0.1:$PORT/v1\"", LIMIT).unwrap();
        let expected = format!("http://127.0.0.1:{}/v1", model.port);
        assert_eq!(model.base_url(), expected);
        drop(model);
        let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
        assert_eq!(calls, "start\nstop\n");
    }

    #[test]
    fn a_model_that_can_t_be_had_in_time_is_an_error_and_what_began_is_stopped() {
        for (does, limit) in [
            ("exit 1", LIMIT),
            ("echo elsewhere", LIMIT),
            ("[ \"$1\" = stop ] || sleep 60", Duration::from_secs(1)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            started(folder.path(), does, limit).unwrap_err();
            let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
            assert_eq!(calls, "start\nstop\n", "{does}");
        }
    }
}
