//! Where PostgreSQL, Redis and a browser are: the server that all tests share, and the binaries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// Holds the URL of the server that all tests of a run share.
pub const URL_VARIABLE: &str = "FUSION_TEST_POSTGRES_URL";

/// Holds the folder of the server's binaries.
pub const BIN_VARIABLE: &str = "FUSION_TEST_POSTGRES_BIN";

/// Installs PostgreSQL on Debian and its relatives, as root.
pub const INSTALL: &str = "apt-get update && apt-get install -y --no-install-recommends postgresql";

/// Holds the folder of the binaries of Redis.
pub const REDIS_BIN_VARIABLE: &str = "FUSION_TEST_REDIS_BIN";

/// Installs Redis on Debian and its relatives, as root. The package may start a server of its own,
/// which the tests leave alone.
pub const INSTALL_REDIS: &str =
    "apt-get update && apt-get install -y --no-install-recommends redis-server";

/// Holds the path of the browser.
pub const CHROMIUM_VARIABLE: &str = "FUSION_TEST_CHROMIUM";

/// Installs the browser on Debian and its relatives, as root.
pub const INSTALL_CHROMIUM: &str =
    "apt-get update && apt-get install -y --no-install-recommends chromium";

/// Where packages put the browser.
const BROWSERS: [&str; 3] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
];

/// Where packages and people put Redis.
const REDIS_FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];

/// Where Debian has a folder for each major version.
const MAJORS: &str = "/usr/lib/postgresql";

/// The oldest major version that the product works with.
const OLDEST: u32 = 15;

/// The URL of the server that all tests share: a superuser's, to a database that tests leave empty.
///
/// # Errors
/// When no such server was started.
#[expect(clippy::disallowed_methods, reason = "xtask hands it to the tests")]
pub fn shared_postgres() -> Result<String> {
    std::env::var(URL_VARIABLE).with_context(|| {
        format!(
            "{URL_VARIABLE} is not set: run the tests with `cargo xtask test`, \
             or set what `cargo xtask postgres` prints"
        )
    })
}

/// The folder of the server's binaries: what `FUSION_TEST_POSTGRES_BIN` says, else the newest
/// version that is installed.
///
/// # Errors
/// When there is no version that the product works with; the message tells how to get one.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask and developers hand it to the tests"
)]
pub fn postgres_binaries() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(BIN_VARIABLE).map(PathBuf::from) {
        ensure!(
            has_server(&folder),
            "{BIN_VARIABLE} says {}, where no PostgreSQL server is",
            folder.display()
        );
        return Ok(folder);
    }
    let Some(folder) = newest(Path::new(MAJORS)) else {
        bail!(
            "there is no PostgreSQL {OLDEST} or newer in {MAJORS}: run `{INSTALL}` as root, \
             or set {BIN_VARIABLE} to the folder of its binaries"
        );
    };
    Ok(folder)
}

/// The folder of `redis-server` (6 or newer) and `redis-benchmark`: what `FUSION_TEST_REDIS_BIN` says,
/// else where packages put them.
///
/// # Errors
/// When there is none; the message tells how to get it.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask and developers hand it to the tests"
)]
pub fn redis_binaries() -> Result<PathBuf> {
    let has_redis = |folder: &Path| folder.join("redis-server").is_file();
    if let Some(folder) = std::env::var_os(REDIS_BIN_VARIABLE).map(PathBuf::from) {
        ensure!(
            has_redis(&folder),
            "{REDIS_BIN_VARIABLE} says {}, where no redis-server is",
            folder.display()
        );
        return Ok(folder);
    }
    let mut folders = REDIS_FOLDERS.map(PathBuf::from).into_iter();
    let Some(folder) = folders.find(|folder| has_redis(folder)) else {
        bail!(
            "there is no redis-server in {}: run `{INSTALL_REDIS}` as root, \
             or set {REDIS_BIN_VARIABLE} to the folder of its binaries",
            REDIS_FOLDERS.join(" or ")
        );
    };
    Ok(folder)
}

/// A browser: what `FUSION_TEST_CHROMIUM` says, else where packages put it.
///
/// # Errors
/// When there is none; the message tells how to get it.
#[expect(
    clippy::disallowed_methods,
    reason = "xtask and developers hand it to the tests"
)]
pub fn chromium() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os(CHROMIUM_VARIABLE).map(PathBuf::from) {
        ensure!(
            program.is_file(),
            "{CHROMIUM_VARIABLE} says {}, which is no file",
            program.display()
        );
        return Ok(program);
    }
    let mut browsers = BROWSERS.map(PathBuf::from).into_iter();
    browsers.find(|program| program.is_file()).with_context(|| {
        format!(
            "there is no {}: run `{INSTALL_CHROMIUM}` as root, or set {CHROMIUM_VARIABLE}",
            BROWSERS.join(" or ")
        )
    })
}

fn newest(majors: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(majors).ok()?.filter_map(Result::ok);
    let (_, folder) = entries
        .filter_map(|entry| {
            let major: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .filter(|(major, folder)| *major >= OLDEST && has_server(folder))
        .max()?;
    Some(folder)
}

fn has_server(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::newest;

    fn install(majors: &Path, major: &str, programs: &[&str]) {
        let folder = majors.join(major).join("bin");
        fs::create_dir_all(&folder).unwrap();
        for program in programs {
            fs::write(folder.join(program), "").unwrap();
        }
    }

    #[test]
    fn the_newest_server_that_is_new_enough_is_taken() {
        let majors = tempfile::tempdir().unwrap();
        let server = ["initdb", "postgres"];
        assert_eq!(newest(majors.path()), None);
        install(majors.path(), "14", &server);
        assert_eq!(newest(majors.path()), None, "14 is too old");
        install(majors.path(), "16", &server);
        install(majors.path(), "9", &server);
        install(majors.path(), "17", &["psql"]);
        assert_eq!(newest(majors.path()), Some(majors.path().join("16/bin")));
    }
}
