//! Processes that share a PostgreSQL database: stores that have nothing else in common.

use fusion_persistence::conformance;
use fusion_persistence::{EventFilter, EventReader};
use fusion_persistence_sql::SqlStore;
use futures::future::join_all;

use crate::postgres::{empty_database, open};

async fn two() -> [SqlStore; 2] {
    let url = empty_database().await;
    [open(&url).await, open(&url).await]
}

/// A test for each rule of two processes.
macro_rules! pairs {
    ($($rule:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let [one, other] = two().await;
            conformance::$rule(&one, &other).await;
        }
    )*};
}

pairs! {
    two_processes_claim_each_task_once,
    two_processes_give_an_agent_one_task,
    two_processes_write_one_log,
    two_processes_fill_an_inbox_to_its_limit,
    of_two_processes_that_change_a_row_one_wins,
    opposite_orders_of_two_processes_are_sorted_out,
    a_lease_lost_to_another_process_is_lost,
    nobody_who_subscribes_before_a_batch_is_overlooked,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_open_an_empty_database_at_once() {
    let url = empty_database().await;
    for store in join_all((0..4).map(|_| open(&url))).await {
        let all = EventFilter::default();
        assert_eq!(store.events_after(&all, 0, 1).await.unwrap(), []);
        store.close().await.unwrap();
    }
}
