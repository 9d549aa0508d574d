//! The store of a project, written by a test itself while no process of the project lives.

use std::ops::Deref;

use fusion_persistence_sql::{Durability, Location, SqlStore};
use tokio_util::task::TaskTracker;

use crate::support::Project;

/// The database file of a project.
pub(crate) fn file(project: &Project) -> Location {
    Location::File(project.data_dir().join("fusion.db"), Durability::Full)
}

/// A store that this process may write to.
pub(crate) struct OwnStore {
    store: SqlStore,
    writing: TaskTracker,
}

impl OwnStore {
    /// Of a project on SQLite.
    pub(crate) async fn of(project: &Project) -> Self {
        Self::at(&file(project)).await
    }

    pub(crate) async fn at(location: &Location) -> Self {
        let writing = TaskTracker::new();
        let store = SqlStore::open(location, &writing).await.unwrap();
        Self { store, writing }
    }

    /// Returns when another process may write: its writer gives the file up after all that it was given is done.
    pub(crate) async fn close(self) {
        self.store.close().await.unwrap();
        self.writing.close();
        self.writing.wait().await;
    }
}

impl Deref for OwnStore {
    type Target = SqlStore;

    fn deref(&self) -> &SqlStore {
        &self.store
    }
}
