//! Audit rows: one per inference request.

use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::create()
        .table("requests")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        // Not a foreign key: the row outlives its gateway.
        .col(ColumnDef::new("gateway_id").uuid().not_null())
        .col(ColumnDef::new("request_id").text().not_null())
        .col(ColumnDef::new("at_ms").big_integer().not_null())
        .col(ColumnDef::new("endpoint").text().not_null())
        .col(ColumnDef::new("model").text().not_null())
        .col(ColumnDef::new("served_by").text())
        .col(ColumnDef::new("status").integer().not_null())
        .col(ColumnDef::new("error_kind").text())
        .col(ColumnDef::new("finish_reason").text())
        .col(ColumnDef::new("prompt_tokens").big_integer())
        .col(ColumnDef::new("cached_tokens").big_integer())
        .col(ColumnDef::new("completion_tokens").big_integer())
        .col(ColumnDef::new("queue_ms").big_integer())
        .col(ColumnDef::new("time_to_first_token_ms").big_integer())
        .col(ColumnDef::new("duration_ms").big_integer().not_null())
        .to_owned();
    let at = Index::create()
        .name("requests_at_ms_id")
        .table("requests")
        .col("at_ms")
        .col("id")
        .to_owned();
    vec![backend.build(&table), backend.build(&at)]
}
