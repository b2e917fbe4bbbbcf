//! Servers: the worker processes of a gateway.

use sea_orm::sea_query::{ColumnDef, ForeignKey, ForeignKeyAction, Index, Table};
use sea_orm::{DbBackend, Statement};

pub(super) fn statements(backend: DbBackend) -> Vec<Statement> {
    let mut gateway = ForeignKey::create();
    gateway
        .from("servers", "gateway_id")
        .to("gateways", "id")
        .on_delete(ForeignKeyAction::Cascade);
    let mut profile = ForeignKey::create();
    profile
        .from("servers", "profile_id")
        .to("profiles", "id")
        .on_delete(ForeignKeyAction::SetNull);
    let table = Table::create()
        .table("servers")
        .col(ColumnDef::new("id").uuid().not_null().primary_key())
        .col(ColumnDef::new("gateway_id").uuid().not_null())
        .col(ColumnDef::new("profile_id").uuid())
        .col(ColumnDef::new("model").text().not_null())
        .col(ColumnDef::new("pid").big_integer().not_null())
        .col(
            ColumnDef::new("process_started_at_ms")
                .big_integer()
                .not_null(),
        )
        .col(ColumnDef::new("port").integer())
        .col(ColumnDef::new("started_at_ms").big_integer().not_null())
        .col(ColumnDef::new("state").text().not_null())
        .col(ColumnDef::new("state_detail").text())
        .col(ColumnDef::new("last_health_at_ms").big_integer())
        .col(ColumnDef::new("restarts").big_integer().not_null())
        .foreign_key(&mut gateway)
        .foreign_key(&mut profile)
        .to_owned();
    let index = Index::create()
        .name("servers_gateway_id")
        .table("servers")
        .col("gateway_id")
        .to_owned();
    vec![backend.build(&table), backend.build(&index)]
}
