//! Contract of the repository, checked on every adapter.

/// Declares the tests of the suite, on the repository that `$open` opens.
macro_rules! contract {
    ($open:path) => {
        gantry_common_testing::repository_contract! { super::suite, $open:
            an_order_reads_back_as_created
            an_unknown_order_is_not_found
            every_event_reads_back
            a_change_of_an_older_version_is_refused
            a_change_of_an_unknown_order_is_refused
            an_order_id_is_unique
            a_refused_unit_writes_nothing
            a_saga_id_is_unique
            an_address_stays_until_it_is_replaced
            a_repeated_request_is_recognised
            a_repeated_request_is_recognised_before_the_version
            concurrent_changes_have_one_winner
            a_list_is_sorted_newest_first
            a_list_can_be_limited_to_one_user
            a_list_shows_current_orders
            a_draft_beyond_the_quota_is_refused
            concurrent_drafts_keep_to_the_quota
        }
    };
}

mod postgres;
mod sqlite;
mod suite;
