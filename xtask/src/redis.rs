//! The Redis of the tests: installed when it is missing. Each test starts a server of its own.

use std::path::PathBuf;

use anyhow::{Context, Result};
use fusion_testkit::{INSTALL_REDIS, REDIS_BIN_VARIABLE, redis_binaries};

use crate::process::run_as_root;

/// The folder of the server's binaries, after an installation where none are there.
///
/// # Errors
/// When there are none and they can't be installed.
pub(crate) fn binaries() -> Result<PathBuf> {
    redis_binaries().or_else(|missing| {
        #[expect(clippy::disallowed_methods, reason = "a developer's own choice")]
        let is_chosen = std::env::var_os(REDIS_BIN_VARIABLE).is_some();
        if is_chosen {
            return Err(missing);
        }
        println!("Redis is missing: installing it");
        run_as_root(INSTALL_REDIS).context(missing)?;
        redis_binaries()
    })
}
