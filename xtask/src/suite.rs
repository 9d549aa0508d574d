//! `cargo xtask test`: everything that must pass, in one command.

use std::path::Path;

use anyhow::Result;

use crate::process::{cargo_can, run_cargo};

/// The runner that the suite was last run with.
const NEXTEST_VERSION: &str = "0.9.143";

/// The points at which tests kill the process are compiled in only here.
const FEATURES: &str = "fusion-kit/failpoints";

/// Runs the doc tests, then all others, so that the runner's summary is the last thing printed.
///
/// # Errors
/// When a test fails or does not compile, or the runner can't be installed.
pub(crate) fn run(root: &Path) -> Result<()> {
    if !cargo_can(root, &["nextest", "--version"]) {
        println!("cargo-nextest is missing: installing it");
        let install = [
            "install",
            "--locked",
            "cargo-nextest",
            "--version",
            NEXTEST_VERSION,
        ];
        run_cargo(root, &install)?;
    }
    run_cargo(
        root,
        &["test", "--doc", "--workspace", "--features", FEATURES],
    )?;
    run_cargo(
        root,
        &["nextest", "run", "--workspace", "--features", FEATURES],
    )
}
