//! `cargo xtask test`: everything that must pass, in one command.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;
use fusion_testkit::Postgres;

use crate::browser;
use crate::fuzzer;
use crate::local_model::{self, LocalModel};
use crate::postgres;
use crate::process::{cargo_can, run_cargo, run_cargo_to_its_end};
use crate::redis;

/// The runner that the suite was last run with.
const NEXTEST_VERSION: &str = "0.9.143";

/// The points at which tests kill the process are compiled in only here.
const FEATURES: &str = "fusion-kit/failpoints";

/// Runs the doc tests, then all others, so that the runner's summary is the last thing printed.
/// With arguments for the runner, which narrow its work, it leaves out the doc tests and the real
/// model.
///
/// # Errors
/// When a test fails or does not compile, or the runner, PostgreSQL or Redis can't be installed.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    run_with(root, arguments, Vec::new())
}

/// The storms: several servers, and the store alone.
const STORMS: &str = "test(/^nodes::/) or test(/^storm::/)";

/// Runs the storms in full size, one after the other.
///
/// # Errors
/// As [`run`].
pub(crate) fn chaos(root: &Path) -> Result<()> {
    let arguments = [
        "-E",
        STORMS,
        "--test-threads",
        "1",
        "--no-capture",
        "--profile",
        "chaos",
        "--run-ignored",
        "all",
    ];
    let full = ["FUSION_CHAOS", "FUSION_STORM"].map(|name| (name, OsString::from("full")));
    run_with(root, &arguments, full.to_vec())
}

fn run_with(root: &Path, arguments: &[&str], further: Vec<(&'static str, OsString)>) -> Result<()> {
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
    let binaries = postgres::binaries()?;
    let redis_binaries = redis::binaries()?;
    let is_whole = arguments.is_empty();
    if is_whole {
        let doc_tests = ["test", "--doc", "--workspace", "--features", FEATURES];
        run_cargo(root, &doc_tests)?;
    }
    let mut tests = vec!["nextest", "run", "--workspace", "--features", FEATURES];
    tests.extend(arguments);
    let server = Postgres::start(&binaries)?;
    let mut variables = postgres::variables(&server, binaries).to_vec();
    variables.extend(further);
    variables.push((fusion_testkit::REDIS_BIN_VARIABLE, redis_binaries.into()));
    if let Some(program) = fuzzer::program(root)? {
        variables.push((fuzzer::VARIABLE, program.into()));
    }
    if let Some(program) = browser::program()? {
        variables.push((fusion_testkit::CHROMIUM_VARIABLE, program.into()));
    }
    let model = is_whole.then(|| LocalModel::start(root)).flatten();
    if let Some(model) = &model {
        variables.push((local_model::VARIABLE, model.base_url().into()));
    }
    run_cargo_to_its_end(root, &tests, variables)
}
