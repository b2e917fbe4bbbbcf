//! The tests that run on SQLite and on Postgres.

pub mod aliases;
mod attachments;
mod chat_copies;
mod chats;
mod downloads;
mod gateways;
mod messages;
pub mod personas;
mod profiles;
pub mod prompts;
mod requests;
mod run_starts;
mod runs;
mod search;
mod servers;
mod settings;

use mlxm_store::Store;
use std::pin::Pin;

/// A test with an empty database.
pub type Test = fn(Store) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! suite {
    ($($module:ident { $($test:ident,)+ })+) => {
        /// All tests with their names, for Postgres.
        pub const TESTS: &[(&str, Test)] = &[
            $($((
                concat!(stringify!($module), "::", stringify!($test)),
                |store| Box::pin($module::$test(store)),
            ),)+)+
        ];

        /// Each test on a SQLite file of its own.
        mod on_sqlite {
            $(mod $module {
                $(#[test]
                fn $test() {
                    crate::suite::run_on_sqlite(|store| Box::pin(crate::suite::$module::$test(store)));
                })+
            })+
        }
    };
}

suite! {
    aliases {
        an_alias_is_created_changed_and_deleted,
        bad_aliases_are_rejected,
        aliases_are_listed_by_the_bytes_of_their_names,
    }
    attachments {
        a_content_is_stored_once_for_each_user,
        messages_refer_to_attachments,
        only_old_attachments_without_a_reference_are_collected,
        bad_attachments_are_rejected,
        unknown_hashes_are_reported,
    }
    chats {
        a_chat_keeps_every_field,
        bad_chats_are_rejected,
        a_user_sees_only_own_chats,
        lists_have_pinned_chats_first_and_then_the_latest_activity,
        pages_contain_every_chat_once,
        filters_select_chats,
        tags_are_counted,
        a_deleted_chat_is_restored_or_purged,
        an_erased_chat_leaves_what_others_can_restore,
        temporary_chats_are_in_no_list_and_no_search,
    }
    chat_copies {
        a_fork_copies_one_branch,
        an_import_keeps_the_tree_with_new_ids,
        an_import_that_is_no_tree_is_rejected,
        a_purge_deletes_everything_of_a_long_chat,
    }
    downloads {
        the_queue_keeps_its_order,
        a_download_keeps_its_patterns,
        reorder_moves_the_named_downloads_first,
        reorder_rejects_unknown_and_repeated_downloads,
        progress_records_the_first_start_and_the_end,
        interrupted_downloads_are_queued_again,
        downloads_need_a_registered_gateway,
    }
    gateways {
        a_gateway_keeps_its_id_and_its_rows_after_a_restart,
        a_heartbeat_needs_a_registered_gateway,
    }
    messages {
        a_message_keeps_every_field,
        a_message_needs_a_chat_and_a_parent,
        branches_follow_the_open_leaf,
        deleted_messages_are_restored_with_their_subtree,
        only_deleted_messages_of_the_chat_are_restored,
        a_message_that_a_run_writes_is_not_deleted,
        a_key_stores_one_message_of_a_chat,
    }
    personas {
        three_personas_are_built_in,
        a_persona_is_created_changed_and_deleted,
        bad_personas_are_rejected,
        personas_are_listed_by_the_bytes_of_their_names,
    }
    profiles {
        a_profile_keeps_every_field,
        names_and_ports_are_unique,
        bad_profiles_are_rejected,
        a_new_profile_has_the_color_that_is_used_least,
        missing_profiles_are_reported,
        text_of_any_language_is_kept,
    }
    prompts {
        a_prompt_is_created_changed_and_deleted,
        bad_prompts_are_rejected,
        prompts_are_listed_by_the_bytes_of_their_names,
    }
    requests {
        a_batch_of_any_size_is_stored_exactly,
        a_batch_is_stored_completely_or_not_at_all,
        text_of_clients_cannot_make_a_batch_fail,
        filters_select_rows,
        pages_contain_every_row_once,
        totals_are_exact_sums_of_the_selected_rows,
        a_row_is_found_by_its_id,
        retention_deletes_in_batches,
    }
    run_starts {
        an_idempotency_key_belongs_to_its_chat,
        a_continued_response_does_not_end_as_before,
        a_response_that_others_follow_is_not_continued,
        a_run_of_a_deleted_chat_stores_its_result_only,
    }
    runs {
        a_run_stores_its_messages_and_opens_the_response,
        a_response_is_generated_again_next_to_the_first,
        an_idempotency_key_starts_one_run,
        snapshots_are_stored_in_order_until_the_end,
        a_response_is_continued_by_one_run_at_a_time,
        runs_need_messages_of_the_right_role,
        interrupted_runs_keep_their_text,
    }
    search {
        words_are_found_in_titles_and_messages,
        excerpts_mark_the_newest_message,
        changed_and_deleted_texts_are_not_found,
        every_script_is_found,
        queries_of_any_text_are_accepted,
    }
    servers {
        a_server_keeps_every_field,
        servers_need_a_gateway_and_a_profile,
        a_server_outlives_its_profile,
        servers_are_deleted_with_their_gateway,
    }
    settings {
        settings_are_set_replaced_and_unset,
        secrets_are_not_listed,
        rotation_makes_every_secret_readable_with_the_new_key,
        stored_settings_resolve_with_their_source,
    }
}

fn run_on_sqlite(test: Test) {
    crate::support::run(async {
        let home = crate::support::home();
        let store = crate::support::open(home.path()).await.unwrap();
        test(store.clone()).await;
        store.close().await;
    });
}
