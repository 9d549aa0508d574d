//! Databases of both kinds, for tests that work on whole databases.

use fusion_persistence::Result;
use fusion_persistence_sql::{Durability, Location, SqlStore};
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

/// A place for one database, empty at first, and for files beside it.
pub(crate) struct Place {
    pub(crate) location: Location,
    pub(crate) dir: TempDir,
    url: String,
}

impl Place {
    pub(crate) fn file() -> Self {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite:{}", dir.path().join("fusion.db").display());
        let location = Location::from_url(&url, Durability::Full).unwrap();
        Self { location, dir, url }
    }

    pub(crate) async fn server() -> Self {
        let url = crate::postgres::empty_database().await;
        let location = Location::from_url(&url, Durability::Full).unwrap();
        let dir = TempDir::new().unwrap();
        Self { location, dir, url }
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.location, Location::File(..))
    }

    /// A connection past the store. It makes the file when there is none.
    pub(crate) async fn raw(&self) -> DatabaseConnection {
        let create = if self.is_file() { "?mode=rwc" } else { "" };
        crate::raw::connect(format!("{}{create}", self.url)).await
    }

    /// Runs statements past the store, without regard to references.
    pub(crate) async fn damage(&self, sql: &str) {
        let raw = self.raw().await;
        let off = if self.is_file() {
            "PRAGMA foreign_keys = OFF"
        } else {
            "SET session_replication_role = replica"
        };
        raw.execute_unprepared(&format!("{off}; {sql}"))
            .await
            .unwrap();
        raw.close().await.unwrap();
    }

    /// The names of the files in the folder, without those that SQLite keeps beside a database.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| !name.contains(".db-"));
        names.sort();
        names
    }

    pub(crate) async fn open(&self) -> Result<Open> {
        let tracker = TaskTracker::new();
        let store = SqlStore::open(&self.location, &tracker).await?;
        Ok(Open { store, tracker })
    }
}

/// An open store, and its writer.
pub(crate) struct Open {
    pub(crate) store: SqlStore,
    tracker: TaskTracker,
}

impl Open {
    /// Returns once the database is given up.
    pub(crate) async fn close(self) {
        self.store.close().await.unwrap();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// The rows of a query.
pub(crate) async fn rows<T: FromQueryResult>(raw: &DatabaseConnection, sql: &str) -> Vec<T> {
    let query = Statement::from_string(raw.get_database_backend(), sql);
    let rows = raw.query_all_raw(query).await.unwrap();
    rows.iter()
        .map(|row| T::from_query_result(row, "").unwrap())
        .collect()
}
