//! Past the store.

use sea_orm::{ConnectOptions, Database, DatabaseConnection};

/// A connection of the test's own, beside the store's. No task of its pool looks after idle ones: it
/// may spin for ever (<https://github.com/launchbadge/sqlx/issues/3645>).
pub(crate) async fn connect(url: impl Into<String>) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.idle_timeout(None).max_lifetime(None);
    Database::connect(options).await.unwrap()
}
