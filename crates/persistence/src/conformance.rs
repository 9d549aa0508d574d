//! The contract of [`Store`](crate::Store), as tests that every adapter runs.
//!
//! An adapter calls [`store_conformance!`](crate::store_conformance) with an async function
//! that gives a fresh, empty store.

#![expect(
    clippy::cognitive_complexity,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "these are tests: they say one thing after the other, and panic where a store breaks the contract"
)]

/// A filter with these conditions only.
macro_rules! only {
    ($filter:ident, $($field:ident $(: $value:expr)?),+) => {
        $filter { $($field $(: $value)?,)+ ..$filter::default() }
    };
}

mod accounts;
mod archived;
mod claims;
mod commits;
mod costs;
mod deletions;
mod dry_runs;
mod due;
mod entities;
mod inboxes;
mod items;
mod kept_files;
mod listeners;
mod lists;
mod log;
mod machines;
mod marks;
mod messages;
mod moments;
mod needed;
mod nodes;
mod office;
mod pairs;
mod pool;
mod queue;
mod references;
mod requests;
mod sample;
mod schedules;
mod search;
mod standing;
mod top;
mod waits;
mod webhooks;
mod world;

pub use accounts::*;
pub use archived::*;
pub use claims::*;
pub use commits::*;
pub use costs::*;
pub use deletions::*;
pub use dry_runs::*;
pub use due::*;
pub use entities::*;
pub use inboxes::*;
pub use items::*;
pub use kept_files::*;
pub use listeners::*;
pub use lists::*;
pub use log::*;
pub use machines::*;
pub use marks::*;
pub use messages::*;
pub use moments::*;
pub use needed::*;
pub use nodes::*;
pub use pairs::*;
pub use pool::*;
pub use queue::*;
pub use references::*;
pub use requests::*;
pub use schedules::*;
pub use search::*;
pub use standing::*;
pub use top::*;
pub use waits::*;
pub use webhooks::*;

/// Makes one `#[tokio::test]` for each rule of the contract.
///
/// `$make` is the path of an `async fn() -> T` where `T` holds the store in a field `store`
/// and whatever must live as long (a temporary directory, say).
#[macro_export]
macro_rules! store_conformance {
    ($make:path) => {
        $crate::store_conformance! { @rules $make,
            nothing_is_due_in_an_empty_store_and_leases_are_once_there_are_some,
            mail_is_due_where_somebody_has_to_deal_with_it,
            a_message_that_ran_out_is_due,
            agents_are_due_that_are_half_done_or_at_work_for_nobody_knows_what,
            an_agent_that_is_being_made_is_due,
            the_pool_is_due_while_it_has_a_task_whose_time_has_come,
            schedules_and_questions_are_due_at_their_time,
            a_run_is_taken_by_one_node_only,
            a_driver_that_lost_its_run_is_refused,
            a_run_that_is_given_up_is_free,
            a_run_that_ended_is_given_to_nobody,
            a_reserved_run_is_the_one_of_its_maker,
            a_run_that_is_held_is_not_taken_and_one_that_is_to_end_is,
            nodes_are_seen_with_what_they_hold,
            a_dead_nodes_leases_end_and_its_losses_are_kept,
            a_lost_task_is_ended_by_its_rescuer_and_a_held_one_is_not,
            a_snapshot_is_named_by_the_commit_that_holds_and_by_no_other,
            a_workspace_that_moved_is_read_back_where_it_is,
            a_task_is_read_back_as_written,
            a_run_is_read_back_as_written,
            agents_are_read_back_with_their_workspaces,
            a_batch_is_written_whole_or_not_at_all,
            an_update_of_an_old_version_is_refused,
            a_fenced_batch_needs_the_newest_number,
            a_requeued_task_is_out_of_reach_of_its_old_worker,
            an_old_fence_is_refused_at_the_newest_version_too,
            a_queued_task_is_not_written_under_a_fence,
            a_failing_batch_does_not_disturb_its_neighbours,
            a_dry_run_writes_nothing,
            a_dry_run_is_refused_as_its_batch_would_be,
            a_dry_run_does_not_disturb_its_neighbours,
            a_batch_that_expects_nobody_to_listen_is_refused_when_one_does,
            a_batch_to_those_who_listen_is_refused_when_others_do,
            events_are_dense_and_in_order_of_the_commits,
            room_in_an_account_is_held_up_to_the_limit_however_many_ask,
            room_of_a_task_that_was_given_back_is_free,
            room_of_a_lease_that_was_lost_counts_as_used_for_good,
            room_that_nobody_settled_counts_as_used_however_the_lease_ended,
            room_of_a_call_of_unknown_cost_counts_as_used_and_of_a_known_one_does_not,
            a_call_that_never_fits_is_refused_and_others_are_not_disturbed,
            usage_booked_by_many_adds_up,
            work_of_an_agent_is_all_that_it_was_given,
            costs_are_what_was_booked_however_they_are_grouped,
            costs_of_a_time_are_those_of_calls_that_ended_in_it,
            the_greatest_costs_come_first_and_the_rest_is_counted,
            who_used_most_comes_first_and_sums_are_what_was_booked_and_sampled,
            models_and_projects_use_what_their_costs_tell,
            who_used_most_in_a_time_is_told_by_samples_and_calls_of_it,
            releasing_a_task_readies_its_successors,
            what_many_commits_count_adds_up,
            a_journal_entry_gets_one_outcome,
            the_newest_version_of_a_workflow_is_found_by_name,
            a_missing_row_is_named,
            a_task_is_claimed_by_one_agent_only,
            a_task_of_its_own_is_read_back_as_written,
            the_pool_goes_by_priority_and_age,
            a_changed_priority_changes_the_place_in_the_pool,
            projects_share_the_agents,
            a_demanded_task_is_taken_by_its_agent_only,
            an_idle_agent_steals_from_the_most_loaded,
            a_task_of_the_pool_is_taken_once,
            an_agent_that_is_not_free_is_unfit_for_the_pool,
            what_a_task_of_the_pool_needs_is_counted_as_it_is,
            a_dependency_that_ends_meanwhile_is_not_waited_for,
            what_will_never_be_ready_is_found,
            a_task_that_is_put_off_is_taken_once_its_time_has_come,
            the_pool_and_the_queues_of_runs_are_apart,
            an_agent_that_holds_a_task_is_given_no_other,
            claims_follow_priority_then_age,
            a_claim_fits_the_agent,
            a_claim_and_its_event_are_one,
            a_claim_with_a_batch_sees_what_the_batch_did,
            a_claim_goes_with_its_batch_or_not_at_all,
            a_held_run_gives_no_task,
            only_a_lease_that_ran_out_is_rescued,
            an_extended_lease_is_not_rescued,
            agents_are_kept_as_written,
            api_tokens_are_kept_as_written,
            approvals_are_kept_as_written,
            capabilities_are_kept_as_written,
            journal_entries_are_kept_as_written,
            projects_are_kept_as_written,
            providers_are_kept_as_written,
            metrics_are_kept_as_taken,
            runs_are_kept_as_written,
            tasks_are_kept_as_written,
            workflows_are_kept_as_written,
            workspaces_are_kept_as_written,
            a_zero_character_is_replaced_in_texts_and_kept_in_json,
            a_name_that_is_taken_is_refused,
            a_place_that_is_taken_is_refused,
            a_new_row_refers_to_rows_that_are_there,
            an_updated_row_refers_to_rows_that_are_there,
            a_row_is_deleted_at_its_version_only,
            a_row_in_use_is_not_deleted,
            what_stays_as_history_is_not_deleted,
            a_row_is_not_deleted_under_a_new_user,
            agents_are_selected_by_their_filter,
            what_lists_show_is_what_is_stored_now,
            a_mark_ends_with_the_next_commit,
            tasks_are_selected_by_their_filter,
            workflows_and_runs_are_selected_by_their_filters,
            approvals_are_selected_by_their_filter,
            journal_entries_are_selected_by_their_filter,
            named_rows_are_selected_by_their_filters,
            metrics_and_workspaces_are_selected_by_their_filters,
            a_list_is_walked_without_gaps_while_others_write,
            a_page_has_its_size_at_most,
            an_agent_has_the_moves_of_its_machine_only,
            a_task_has_the_moves_of_its_machine_only,
            a_workflow_has_the_moves_of_its_machine_only,
            a_run_has_the_moves_of_its_machine_only,
            an_approval_has_the_moves_of_its_machine_only,
            a_repeated_request_gets_the_first_answer,
            a_key_is_not_used_for_another_request,
            a_request_sent_by_many_at_once_is_done_once,
            a_refused_request_leaves_no_key,
            an_expired_key_may_be_used_again,
            a_repeated_release_gets_the_first_answer,
            old_keys_are_forgotten,
            the_outbox_is_dense_and_one_with_its_cause,
            the_outbox_is_pruned_up_to_a_place,
            an_event_is_read_back_as_written,
            events_are_selected_by_patterns_of_types,
            events_are_selected_by_each_condition,
            events_are_selected_by_all_conditions_together,
            the_log_is_paged_back_in_its_order,
            old_events_go_from_the_front,
            a_log_that_age_emptied_goes_on_with_its_numbers,
            a_reader_in_step_is_not_disturbed_by_age,
            old_metrics_go,
            events_are_found_by_their_words,
            events_are_found_by_the_beginnings_of_words,
            words_in_young_scripts_are_found,
            a_search_without_a_word_finds_nothing,
            a_search_is_combined_with_the_other_conditions,
            events_of_a_long_log_are_found_by_each_condition,
            events_that_were_told_late_are_found_by_their_times,
            a_search_forwards_reaches_far_hits,
            rare_words_in_a_long_log_are_found_once_each,
            endless_words_are_stored_and_found,
            a_search_does_not_find_what_age_took,
            own_and_pooled_tasks_are_one_queue,
            an_agent_may_fit_any_number_of_sets,
            equal_priorities_go_by_age_then_id,
            an_agent_that_is_not_idle_is_given_nothing,
            capabilities_with_odd_names_are_matched,
            a_refused_release_leaves_the_task_with_its_worker,
            a_join_of_fifty_is_ready_exactly_once,
            a_message_is_kept_as_it_was_sent,
            a_message_refers_to_rows_that_are_there,
            messages_are_dense_and_in_order_of_the_commits,
            messages_are_selected_by_their_filter,
            messages_are_found_by_place_and_by_id,
            an_inbox_is_read_in_the_order_of_the_log,
            one_look_at_an_inbox_is_bounded_in_bytes,
            the_last_message_read_of_each_sender_tells_its_hops,
            an_expired_message_is_not_read_and_is_found,
            what_waits_for_an_ended_agent_is_found,
            a_delivery_ends_once_and_is_told_once,
            what_was_given_up_can_still_be_read,
            the_status_of_a_message_follows_from_its_deliveries,
            an_acknowledgement_is_one_with_its_batch,
            a_full_inbox_refuses_the_whole_batch,
            senders_at_once_do_not_overfill_an_inbox,
            old_messages_go_unless_somebody_has_to_read_them,
            the_outbox_is_pruned_by_age,
            a_postponed_task_is_claimed_by_nobody_before_its_time,
            a_task_whose_time_has_come_is_claimed_once_it_is_woken,
            a_task_may_be_woken_early,
            only_a_queued_task_is_postponed,
            an_update_leaves_a_wait_as_it_is,
            a_standing_agent_works_for_the_run_that_gave_it_a_task,
            standing_agents_with_mail_are_found_while_they_are_idle,
            progress_leaves_the_version_of_an_agent_as_it_is,
            a_list_waits_for_all_of_its_items,
            a_run_is_read_with_its_tasks_at_one_moment,
            items_of_a_list_begin_one_by_one_where_it_says_so,
            a_failed_item_of_a_list_is_found,
            the_tasks_that_need_one_are_found_however_far_they_are,
            schedules_are_kept_as_written,
            schedules_are_selected_by_their_filter,
            an_occurrence_starts_one_run_however_many_deal_with_it,
            a_project_with_something_open_is_not_archived,
            an_archived_project_takes_nothing_new,
            a_held_schedule_of_an_archived_project_is_not_let_go_on,
            a_project_is_not_archived_under_new_work,
            what_deleted_runs_cost_stays_in_the_books,
            what_a_deleted_run_cost_in_an_hour_that_is_cut_is_told,
            a_run_that_another_one_needs_is_not_deleted,
            a_run_that_open_work_needs_is_not_deleted,
            files_of_deleted_runs_are_told_until_they_are_dealt_with,
            a_file_that_is_noted_again_is_forgotten_by_nobody_who_looked_before,
            loose_files_are_given_page_by_page,
            files_that_were_named_since_are_told_without_all_others,
            a_file_that_a_run_was_handed_stays_until_that_run_is_deleted,
            a_message_of_another_stays_when_its_reader_is_deleted,
            a_run_is_not_deleted_under_one_that_goes_on_from_it,
            nothing_new_needs_a_task_of_a_run_that_is_deleted,
            a_run_is_not_deleted_under_a_task_that_needs_one_of_it,
            a_run_that_only_ended_tasks_needed_is_deleted,
            webhooks_are_kept_as_written,
            webhooks_are_selected_by_their_filter,
            a_webhook_that_is_behind_the_log_is_due,
            of_two_who_move_a_webhook_on_one_is_refused,
            the_last_attempts_of_each_webhook_are_kept_and_go_with_it,
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
