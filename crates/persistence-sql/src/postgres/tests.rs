use std::time::Duration;

use fusion_core::Coded;
use fusion_persistence::Error;
use fusion_testkit::shared_postgres;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use tokio::time::{Instant, timeout};

use super::{Access, options};
use crate::error::trying;
use crate::location::{Durability, Location};
use crate::readers::Readers;

/// Two places for readers, and as many queries that get no answer.
#[tokio::test]
async fn readers_of_a_mute_server_are_told_to_try_later_and_keep_no_place_in_the_pool() {
    let brief = Duration::from_millis(300);
    let url = shared_postgres().unwrap();
    let Ok(Location::Server(url)) = Location::from_url(&url, Durability::Full) else {
        panic!("{url}");
    };
    let mut options = options(&url, Access::ReadOnly, 2);
    options.acquire_timeout(brief);
    let pool = Database::connect(options).await.unwrap();
    let readers = Readers::waiting(pool, brief);
    let ask = async |sql: &str| {
        let statement = Statement::from_string(DbBackend::Postgres, sql);
        let answer = readers.query_one_raw(statement).await;
        answer.map_err(trying("read a row"))
    };
    for _ in 0..2 {
        let error = ask("SELECT 1 FROM pg_sleep(60)").await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    }
    let limit = Duration::from_secs(10);
    let give_up = Instant::now() + limit;
    while let Err(error) = ask("SELECT 1").await {
        assert!(Instant::now() < give_up, "{error:?}");
    }
    timeout(limit, readers.close()).await.unwrap().unwrap();
}
