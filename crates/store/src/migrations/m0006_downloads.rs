//! The download queue of each gateway.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let mut gateway = ForeignKey::create();
    gateway
        .from("downloads", "gateway_id")
        .to("gateways", "id")
        .on_delete(ForeignKeyAction::Cascade);
    let table = Table::create()
        .table("downloads")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("gateway_id").uuid().not_null())
        .col(ColumnDef::new("repo_id").text().not_null())
        .col(ColumnDef::new("revision").text().not_null())
        .col(ColumnDef::new("position").big_integer().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("total_bytes").big_integer())
        .col(ColumnDef::new("done_bytes").big_integer().not_null())
        .col(ColumnDef::new("error").text())
        .col(ColumnDef::new("created_at_ms").big_integer().not_null())
        .col(ColumnDef::new("started_at_ms").big_integer())
        .col(ColumnDef::new("finished_at_ms").big_integer())
        .foreign_key(&mut gateway)
        .to_owned();
    let index = Index::create()
        .name("downloads_gateway_id_position")
        .table("downloads")
        .col("gateway_id")
        .col("position")
        .to_owned();
    vec![backend.build(&table), backend.build(&index)]
}
