//! The contract of [`Store`](crate::Store), as tests that every adapter runs.
//!
//! An adapter calls [`store_conformance!`](crate::store_conformance) with an async function
//! that gives a fresh, empty store.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "these are tests: they panic where a store breaks the contract"
)]

mod claims;
mod commits;
mod sample;

pub use claims::*;
pub use commits::*;

/// Makes one `#[tokio::test]` for each rule of the contract.
///
/// `$make` is the path of an `async fn() -> T` where `T` holds the store in a field `store`
/// and whatever must live as long (a temporary directory, say).
#[macro_export]
macro_rules! store_conformance {
    ($make:path) => {
        $crate::store_conformance! { @rules $make,
            a_task_is_read_back_as_written,
            a_run_is_read_back_as_written,
            agents_are_read_back_with_their_workspaces,
            a_batch_is_written_whole_or_not_at_all,
            an_update_of_an_old_version_is_refused,
            a_fenced_batch_needs_the_newest_number,
            a_requeued_task_is_out_of_reach_of_its_old_worker,
            a_failing_batch_does_not_disturb_its_neighbours,
            events_are_dense_and_in_order_of_the_commits,
            usage_booked_by_many_adds_up,
            releasing_a_task_readies_its_successors,
            a_journal_entry_gets_one_outcome,
            the_newest_version_of_a_workflow_is_found_by_name,
            a_missing_row_is_named,
            a_task_is_claimed_by_one_agent_only,
            an_agent_that_holds_a_task_is_given_no_other,
            claims_follow_priority_then_age,
            a_claim_fits_the_agent,
            a_claim_and_its_event_are_one,
            leases_are_seen_and_extended,
        }
    };
    (@rules $make:path, $($rule:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $rule() {
            let made = $make().await;
            $crate::conformance::$rule(&made.store).await;
        }
    )*};
}
