//! The browser of the tests: installed when it is missing.

use std::path::PathBuf;

use anyhow::Result;
use fusion_testkit::{INSTALL_CHROMIUM, chromium};

use crate::process::run_as_root;

/// The program; `None` where there is none and it can't be installed, outside of CI.
///
/// # Errors
/// CI has none, and it can't be installed.
pub(crate) fn program() -> Result<Option<PathBuf>> {
    if let Ok(program) = chromium() {
        return Ok(Some(program));
    }
    #[expect(clippy::disallowed_methods, reason = "CI says so by this variable")]
    let is_ci = std::env::var_os("CI").is_some();
    println!("Chromium is missing: installing it");
    match run_as_root(INSTALL_CHROMIUM).and_then(|()| chromium()) {
        Ok(program) => Ok(Some(program)),
        Err(error) if !is_ci => {
            println!("the pages are not tried in a browser: {error:#}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
