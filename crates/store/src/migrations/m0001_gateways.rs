//! Gateways, each with a heartbeat.

use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let table = Table::create()
        .table("gateways")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("host").text().not_null())
        .col(ColumnDef::new("address").text().not_null())
        .col(ColumnDef::new("version").text().not_null())
        .col(ColumnDef::new("pid").big_integer().not_null())
        .col(ColumnDef::new("started_at_ms").big_integer().not_null())
        .col(ColumnDef::new("heartbeat_at_ms").big_integer().not_null())
        .to_owned();
    vec![backend.build(&table)]
}
