//! The contract of the store on PostgreSQL.

use std::sync::atomic::{AtomicU32, Ordering};

use fusion_persistence_sql::{Durability, Location, SqlStore};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tokio_util::task::TaskTracker;

/// A database of its own on the server that the tests share.
pub(crate) struct OnServer {
    pub(crate) store: SqlStore,
}

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Makes an empty database; gives its URL.
pub(crate) async fn empty_database() -> String {
    let server = fusion_testkit::shared_postgres().unwrap();
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    let name = format!("t{}_{number}", std::process::id());
    let admin: DatabaseConnection = crate::raw::connect(&server).await;
    for sql in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name}"),
    ] {
        admin.execute_unprepared(&sql).await.unwrap();
    }
    admin.close().await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

pub(crate) async fn open(url: &str) -> SqlStore {
    let location = Location::from_url(url, Durability::Full).unwrap();
    SqlStore::open(&location, &TaskTracker::new())
        .await
        .unwrap()
}

async fn fresh() -> OnServer {
    OnServer {
        store: open(&empty_database().await).await,
    }
}

fusion_persistence::store_conformance!(fresh);

/// Two processes have two writers: the rows of the database hold them apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_not_archived_under_new_work_of_another_process() {
    let url = empty_database().await;
    let (one, other) = (open(&url).await, open(&url).await);
    fusion_persistence::conformance::archiving_and_work_at_once(&one, &other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_index_has_of_an_event_goes_with_it() {
    let url = empty_database().await;
    let store = open(&url).await;
    crate::file::index_goes_with_its_events(&store, &url).await;
}
