//! The contract of the store on SQLite, and what only a file can show.

#[cfg(test)]
mod file {
    use fusion_persistence_sql::{Durability, Location, SqlStore};
    use tempfile::TempDir;
    use tokio_util::task::TaskTracker;

    pub(crate) struct OnFile {
        pub(crate) store: SqlStore,
        pub(crate) dir: TempDir,
    }

    pub(crate) async fn open(dir: TempDir) -> Result<OnFile, fusion_persistence::Error> {
        let location = Location::File(dir.path().join("fusion.db"), Durability::Full);
        let store = SqlStore::open(&location, &TaskTracker::new()).await?;
        Ok(OnFile { store, dir })
    }

    async fn fresh() -> OnFile {
        open(TempDir::new().unwrap()).await.unwrap()
    }

    fusion_persistence::store_conformance!(fresh);
}

#[cfg(test)]
mod memory {
    use fusion_persistence_sql::{Location, SqlStore};
    use tokio_util::task::TaskTracker;

    struct InMemory {
        store: SqlStore,
    }

    async fn fresh() -> InMemory {
        InMemory {
            store: SqlStore::open(&Location::Memory, &TaskTracker::new())
                .await
                .unwrap(),
        }
    }

    fusion_persistence::store_conformance!(fresh);
}

#[cfg(test)]
mod damage {
    use fusion_persistence::{EventFilter, EventReader};
    use tempfile::TempDir;

    use super::file::open;

    fn refusal(dir: TempDir) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(open(dir))
            .map(|_| ())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_with_the_way_out() {
        let dir = TempDir::new().unwrap();
        std::fs::write(
            dir.path().join("fusion.db"),
            "not a database, but long enough to be read as one".repeat(100),
        )
        .unwrap();
        assert_eq!(
            refusal(dir),
            "the database file is damaged or is not a database: move it away or restore a backup, \
             or use another --data-dir"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_newer_schema_is_refused_and_left_as_it_is() {
        use fusion_persistence_sql::{Durability, Location, SqlStore};
        use sea_orm::{ConnectionTrait, Database};
        use tokio_util::task::TaskTracker;

        let dir = TempDir::new().unwrap();
        let path = dir.path().join("fusion.db");
        let location = Location::File(path.clone(), Durability::Full);
        SqlStore::open(&location, &TaskTracker::new())
            .await
            .unwrap()
            .close()
            .await
            .unwrap();
        let raw = Database::connect(format!("sqlite:{}", path.display()))
            .await
            .unwrap();
        raw.execute_unprepared("INSERT INTO seaql_migrations VALUES ('m9999_future', 0)")
            .await
            .unwrap();
        raw.close().await.unwrap();
        let refused = SqlStore::open(&location, &TaskTracker::new())
            .await
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the database was written by a newer fusion-kit (its schema has step m9999_future): \
             use that version, or another --data-dir"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_closed_database_opens_again_with_everything_in_it() {
        let first = open(TempDir::new().unwrap()).await.unwrap();
        first.store.close().await.unwrap();
        let second = open(first.dir).await.unwrap();
        let events = second
            .store
            .events(EventFilter {
                after: 0,
                run: None,
                limit: 1,
            })
            .await
            .unwrap();
        assert_eq!(events, []);
    }
}
