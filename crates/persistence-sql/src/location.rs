//! Where the database is, and which one: the scheme of its URL decides.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use fusion_persistence::{Error, Result};
use sea_orm::sqlx::postgres::PgConnectOptions;

/// What an acknowledged commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process, of the machine and of its power: `synchronous=FULL`.
    Full,
    /// A crash of the process; the last commits may be lost with the power: `synchronous=NORMAL`.
    Normal,
}

/// The URL of a server, with its password: shown without it.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    pub(crate) const fn new(url: String) -> Self {
        Self(url)
    }

    /// The URL as it was given, with its password: for another program, not to be shown.
    #[must_use]
    pub fn with_password(&self) -> &str {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("postgres", ""));
        let (place, _) = rest.split_once('?').unwrap_or((rest, ""));
        match place.rsplit_once('@') {
            Some((user, host)) => {
                let (user, _) = user.split_once(':').unwrap_or((user, ""));
                write!(f, "{scheme}://{user}:***@{host}")
            }
            None => write!(f, "{scheme}://{place}"),
        }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file; made when it is missing. One process at a time may open it so.
    File(PathBuf, Durability),
    /// SQLite in memory only; gone with the process.
    Memory,
    /// A database of a PostgreSQL server. Many processes may write to it.
    Server(ServerUrl),
}

impl Location {
    /// The file of a SQLite database.
    pub(crate) fn file(&self) -> Option<Arc<Path>> {
        match self {
            Self::File(path, _) => Some(Arc::from(path.as_path())),
            Self::Memory | Self::Server(_) => None,
        }
    }

    /// Reads a URL: `sqlite:PATH`, `sqlite://PATH`, `postgres://...` or `postgresql://...`.
    ///
    /// # Errors
    /// It is another one. The error does not show it: it may hold a password.
    pub fn from_url(url: &str, durability: Durability) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The parser's own error is not passed on: it shows the URL.
            return match PgConnectOptions::from_str(url) {
                Ok(_) => Ok(Self::Server(ServerUrl(url.to_owned()))),
                Err(_) => Err(no_url()),
            };
        }
        let path = url
            .strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .filter(|path| {
                !path.is_empty() && !path.contains('?') && !path.starts_with(":memory:")
            });
        path.map(|path| Self::File(PathBuf::from(path), durability))
            .ok_or_else(no_url)
    }
}

fn no_url() -> Error {
    Error::Invalid {
        reason: "the URL of the database is not one of sqlite:PATH and postgres://USER:PASSWORD@HOST:PORT/DATABASE \
                 (in a password, write %40 for @, %3A for : and %2F for /)"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Durability, Location};

    fn read(url: &str) -> Option<Location> {
        Location::from_url(url, Durability::Full).ok()
    }

    #[test]
    fn the_scheme_of_the_url_picks_the_database() {
        let file = |path: &str| Some(Location::File(PathBuf::from(path), Durability::Full));
        assert_eq!(read("sqlite:data/fusion.db"), file("data/fusion.db"));
        assert_eq!(read("sqlite:///var/fusion.db"), file("/var/fusion.db"));
        assert!(matches!(
            read("postgresql://h/d"),
            Some(Location::Server(_))
        ));
        for other in [
            "",
            "mysql://h/d",
            "sqlite:",
            "sqlite::memory:",
            "/data/fusion.db",
            "sqlite:a?mode=ro",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_password() {
        let server = read("postgres://me:p%40ss@db.example:5432/fusion?password=again");
        assert_eq!(
            format!("{server:?}"),
            "Some(Server(postgres://me:***@db.example:5432/fusion))"
        );
        let refused = Location::from_url("mysql://u:secret@h/d", Durability::Full).unwrap_err();
        assert!(!refused.to_string().contains("secret"));
    }
}
