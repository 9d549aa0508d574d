//! The project's own commands: `cargo xtask layers`, `docs`, `test`, `chaos` and `postgres`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command for developers: what it finds goes to the terminal"
)]

mod browser;
mod docs;
mod fuzzer;
mod layers;
mod local_model;
mod postgres;
mod process;
mod redis;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
cargo xtask layers               check the crates against layers.toml, the lint table and the size of files
cargo xtask docs                 check what the documents say of files, tests and settings
cargo xtask test                 run every test that must pass, with a PostgreSQL of its own, a Redis,
                                 a fuzzer of the API where Python is there,
                                 and the real model of ../shared/local-llm where it is there
cargo xtask test -- ARGUMENTS    run `cargo nextest run ARGUMENTS` with a PostgreSQL of its own
cargo xtask chaos                the storms of kills, stops and restarts in full size: hours
cargo xtask postgres             start a PostgreSQL for tests, print its variables and wait for Ctrl-C";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["layers"] => check_layers(),
        ["docs"] => check_docs(),
        ["test"] => suite::run(&root(), &[]),
        ["test", "--", narrowing @ ..] => suite::run(&root(), narrowing),
        ["chaos"] => suite::chaos(&root()),
        ["postgres"] => postgres::serve(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check_layers() -> Result<()> {
    let root = root();
    let table = layers::Table::read(&root.join("layers.toml"))?;
    let members = layers::members(&root)?;
    let faults = layers::faults(&table, &members)?;
    for fault in &faults {
        eprintln!("{fault}");
    }
    anyhow::ensure!(faults.is_empty(), "{} faults in the layers", faults.len());
    println!("layers: {} crates in order", members.len());
    Ok(())
}

fn check_docs() -> Result<()> {
    let faults = docs::faults(&root())?;
    for fault in &faults {
        eprintln!("{fault}");
    }
    anyhow::ensure!(
        faults.is_empty(),
        "{} faults in the documents",
        faults.len()
    );
    println!("docs: in order");
    Ok(())
}

/// The workspace's folder: the one that holds xtask's.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
