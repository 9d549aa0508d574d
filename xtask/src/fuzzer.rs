//! The fuzzer of the API: Schemathesis from the Python package index, in an environment of its own below
//! `target`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::process::{can_run, run_as_root, run_program};

/// In the environment of the tests: the program.
pub(crate) const VARIABLE: &str = "FUSION_TEST_SCHEMATHESIS";

/// The version that the API was last fuzzed with.
const VERSION: &str = "4.32.5";

/// What Debian calls the module that makes environments.
const INSTALL_PYTHON: &str = "apt-get update -q && apt-get install -qy python3-venv";

/// The program; `None` where there is no Python to run it, outside of CI.
///
/// # Errors
/// CI has none, or it can't be installed.
pub(crate) fn program(root: &Path) -> Result<Option<PathBuf>> {
    let place = root.join("target/schemathesis").join(VERSION);
    let program = place.join("bin/schemathesis");
    if can_run(&program, &["--version"]) {
        return Ok(Some(program));
    }
    #[expect(clippy::disallowed_methods, reason = "CI says so by this variable")]
    let is_ci = std::env::var_os("CI").is_some();
    if !can_make_environments() && is_ci {
        run_as_root(INSTALL_PYTHON)?;
    }
    if !can_make_environments() {
        if is_ci {
            bail!("python3 can't make virtual environments, so the API can't be fuzzed");
        }
        println!("the API is not fuzzed: python3 with the modules venv and ensurepip is missing");
        return Ok(None);
    }
    println!("Schemathesis is missing: installing it");
    let place = place.display().to_string();
    run_program("python3", &["-m", "venv", "--clear", &place])?;
    let pip = format!("{place}/bin/pip");
    let package = format!("schemathesis=={VERSION}");
    let install = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        &package,
    ];
    match run_program(&pip, &install) {
        Err(error) if !is_ci => {
            println!("the API is not fuzzed: {error:#}");
            Ok(None)
        }
        done => done.map(|()| Some(program)),
    }
}

fn can_make_environments() -> bool {
    can_run(Path::new("python3"), &["-c", "import venv, ensurepip"])
}
