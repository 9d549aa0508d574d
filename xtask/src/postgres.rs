//! The PostgreSQL of the tests: installed when it is missing, and served to a developer.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use fusion_testkit::{BIN_VARIABLE, INSTALL, Postgres, URL_VARIABLE, postgres_binaries};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::process::run_as_root;

/// The folder of the server's binaries, after an installation where none are there.
///
/// # Errors
/// When there are none and they can't be installed.
pub(crate) fn binaries() -> Result<PathBuf> {
    postgres_binaries().or_else(|missing| {
        #[expect(clippy::disallowed_methods, reason = "a developer's own choice")]
        let is_chosen = std::env::var_os(BIN_VARIABLE).is_some();
        if is_chosen {
            return Err(missing);
        }
        println!("PostgreSQL is missing: installing it");
        run_as_root(INSTALL).context(missing)?;
        postgres_binaries()
    })
}

/// What the tests are told of a server.
pub(crate) fn variables(server: &Postgres, binaries: PathBuf) -> [(&'static str, OsString); 2] {
    [
        (URL_VARIABLE, server.url().into()),
        (BIN_VARIABLE, binaries.into()),
    ]
}

/// Starts a server, prints its variables as lines for a shell, and stops it at Ctrl-C.
///
/// # Errors
/// When it can't be installed or started.
pub(crate) fn serve() -> Result<()> {
    let binaries = binaries()?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("could not listen for Ctrl-C")?;
    let server = Postgres::start(&binaries)?;
    for (name, value) in variables(&server, binaries) {
        println!("export {name}='{}'", value.display());
    }
    std::io::stdout().flush()?;
    eprintln!("PostgreSQL runs; Ctrl-C stops it and removes its data");
    signals.forever().next();
    Ok(())
}
