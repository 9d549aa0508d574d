//! A database of a PostgreSQL server that is made for a while.

use fusion_persistence::{Error, Result};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TryGetable};

use crate::error::{corrupt, trying};
use crate::location::ServerUrl;
use crate::{Durability, Location, postgres};

/// A new database beside the one that a URL names, on the same server. It is there until
/// [`drop_it`](Self::drop_it).
#[derive(Debug)]
pub struct Scratch {
    /// To the database that the URL names.
    admin: DatabaseConnection,
    name: String,
    location: Location,
}

impl Scratch {
    /// Makes a database. The name must be one of letters, digits and `_`.
    ///
    /// # Errors
    /// The URL is not one of a PostgreSQL server, it can't be reached, or its user may make none.
    pub async fn create(url: &str, name: &str) -> Result<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            let reason = format!("'{name}' is no name for a database");
            return Err(Error::Invalid { reason });
        }
        let Location::Server(server) = Location::from_url(url, Durability::Full)? else {
            let reason = "the URL is not that of a PostgreSQL server".to_owned();
            return Err(Error::Invalid { reason });
        };
        let admin = postgres::take(&server).await?;
        let create = format!("CREATE DATABASE {name}");
        let created = admin.execute_unprepared(&create).await;
        created.map_err(trying("make a database"))?;
        Ok(Self {
            admin,
            name: name.to_owned(),
            location: Location::Server(server.of_database(name)),
        })
    }

    /// Where it is.
    #[must_use]
    pub const fn location(&self) -> &Location {
        &self.location
    }

    /// A process of the server; its parent has all others.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn process(&self) -> Result<i32> {
        self.ask("SELECT pg_backend_pid() AS answer").await
    }

    /// Bytes that the server wrote to its log so far, for all its databases.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn written(&self) -> Result<i64> {
        self.ask("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS answer")
            .await
    }

    /// Removes it, with all connections to it.
    ///
    /// # Errors
    /// The server does not answer; then it is still there.
    pub async fn drop_it(self) -> Result<()> {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let dropped = self.admin.execute_unprepared(&drop).await;
        dropped.map_err(trying("remove a database"))?;
        self.admin.close().await.map_err(trying("close a database"))
    }

    async fn ask<T: TryGetable>(&self, sql: &str) -> Result<T> {
        let asking = Statement::from_string(DbBackend::Postgres, sql);
        let answer = self.admin.query_one_raw(asking).await;
        let row = answer.map_err(trying("ask the database"))?;
        let row = row.ok_or_else(|| corrupt("an answer of the server"))?;
        row.try_get("", "answer")
            .map_err(trying("ask the database"))
    }
}

impl ServerUrl {
    /// The same for another database of the server.
    fn of_database(&self, name: &str) -> Self {
        let url = self.as_str();
        let (place, parameters) = match url.split_once('?') {
            Some((place, parameters)) => (place, format!("?{parameters}")),
            None => (url, String::new()),
        };
        let (scheme, rest) = place.split_once("://").unwrap_or(("postgres", place));
        let host = rest.split_once('/').map_or(rest, |(host, _)| host);
        Self::new(format!("{scheme}://{host}/{name}{parameters}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::location::ServerUrl;

    #[test]
    fn the_url_of_another_database_keeps_all_else() {
        for (url, wanted) in [
            ("postgres://h", "postgres://h/other"),
            ("postgresql://u:p@h:1/d", "postgresql://u:p@h:1/other"),
            (
                "postgres://u@h/d?sslmode=disable",
                "postgres://u@h/other?sslmode=disable",
            ),
        ] {
            let other = ServerUrl::new(url.to_owned()).of_database("other");
            assert_eq!(other.as_str(), wanted);
        }
    }
}
