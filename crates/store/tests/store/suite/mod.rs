//! The tests that run on SQLite and on Postgres.

mod aliases;
mod downloads;
mod gateways;
mod profiles;
mod requests;
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
    profiles {
        a_profile_keeps_every_field,
        names_and_ports_are_unique,
        bad_profiles_are_rejected,
        a_new_profile_has_the_color_that_is_used_least,
        missing_profiles_are_reported,
        text_of_any_language_is_kept,
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
